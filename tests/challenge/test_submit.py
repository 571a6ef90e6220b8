"""The real kaggle command line against a server on this machine: what it takes, refuses, and pretends to have taken."""

import hashlib
import json
import logging
import os
import tomllib

import pytest

from kit import doctor
from kit.challenge import kaggle_cli
from kit.challenge.kaggle_answers import CREDENTIALS_WAYS
from kit.challenge.submissions import submissions
from kit.challenge.submit import prepare, upload
from kit.errors import KitError
from kit.profiles.manifest import manifest_path
from tests.commands import kit_here

from .loopback import Answers, environment, serve

KEY = "a-key-that-no-one-may-see"


@pytest.fixture
def kaggle(tmp_path, monkeypatch):
    """A loopback Kaggle, credentials in the environment, nothing of the user's own."""
    answers = Answers()
    server = serve(answers)
    home = tmp_path / "home"
    home.mkdir()
    asking = environment(server, home, KEY)
    for name in set(os.environ) - set(asking):
        monkeypatch.delenv(name)
    for name, value in asking.items():
        monkeypatch.setenv(name, value)
    yield answers
    server.shutdown()
    server.server_close()


@pytest.fixture
def submission(tmp_path):
    path = tmp_path / "submission.csv"
    path.write_text("ID,a\n1,0.5\n2,1.5\n")
    steps = [
        {"step": "runs", "runs": {"fluo": {"config": {"model": {"dim": 96}}, "baseline": None}}},
        {"step": "align", "a": 0.9},
    ]
    manifest = {"schema": 1, "sha256": hashlib.sha256(path.read_bytes()).hexdigest(), "steps": steps, "uses_well_position": True}
    manifest_path(path).write_text(json.dumps(manifest))
    (tmp_path / "score.json").write_text(json.dumps({"schema": 1, "mean": 0.4321}))
    return path


def test_an_upload_arrives_and_is_recorded(kaggle, submission, tmp_path, caplog):
    caplog.set_level(logging.DEBUG)
    plan = prepare(submission, "first try", competition="challenge")
    done = upload(plan, records=tmp_path / "records")
    assert kaggle.calls[:3] == ["StartSubmissionUpload", "PUT", "CreateSubmission"]
    assert kaggle.uploaded == submission.read_bytes()
    assert kaggle.created["submissionDescription"] == "first try"
    assert done.answer == "Successfully submitted to the challenge"
    record = next((tmp_path / "records").iterdir())
    assert done.record == record
    assert sorted(path.name for path in record.iterdir()) == ["manifest.json", "notes.md", "run.toml", "score.json"]
    table = tomllib.loads((record / "run.toml").read_text())
    assert table["submission"]["sha256"] == hashlib.sha256(submission.read_bytes()).hexdigest()
    assert table["steps"][0]["runs"]["fluo"]["config"]["model"]["dim"] == 96
    assert json.loads((record / "score.json").read_text())["mean"] == 0.4321
    assert KEY not in done.text() + caplog.text + "".join(path.read_text() for path in record.iterdir())


def test_waiting_for_the_public_score(kaggle, submission, tmp_path):
    row = {"ref": 7, "fileName": "submission.csv", "date": "2026-01-01T00:00:00Z", "description": "first, with a comma"}
    kaggle.submissions = [{**row, "status": "COMPLETE", "publicScore": "0.39100"}]
    done = upload(prepare(submission, "first, with a comma"), wait=True, records=tmp_path / "records", poll_seconds=0.1)
    assert (done.status, done.public_score) == ("complete", "0.39100")
    assert tomllib.loads((done.record / "run.toml").read_text())["submission"]["public_score"] == "0.39100"
    table = submissions(records=tmp_path / "records")
    assert "43.2" in table
    assert "0.39100" in table
    assert "first, with a comma" in table


def test_a_submission_kaggle_cannot_score_is_a_failure(kaggle, submission, tmp_path):
    row = {"ref": 7, "fileName": "submission.csv", "date": "2026-01-01T00:00:00Z", "description": "m", "publicScore": ""}
    kaggle.submissions = [{**row, "status": "ERROR"}]
    with pytest.raises(KitError, match="could not score"):
        upload(prepare(submission, "m"), wait=True, records=tmp_path / "records", poll_seconds=0.1)


def test_the_score_is_waited_for_an_hour(submission, monkeypatch):
    now, looks = [0.0], []
    monkeypatch.setattr("time.monotonic", lambda: now[0])
    monkeypatch.setattr("time.sleep", lambda seconds: now.append(now.pop() + seconds))
    monkeypatch.setattr("kit.challenge.submit.list_submissions", lambda competition: looks.append(now[0]) or [])
    monkeypatch.setattr("kit.challenge.submit.submit_file", lambda *words: "taken")
    with pytest.raises(KitError, match=r"^no score after 60 minutes; kit submissions will show it later$"):
        upload(prepare(submission, "m"), wait=True, records=submission.parent / "records")
    assert looks == [10.0 * look for look in range(360)]


def fails(submission, tmp_path) -> str:
    with pytest.raises(KitError) as error:
        upload(prepare(submission, "m", competition="challenge"), records=tmp_path / "records")
    assert not (tmp_path / "records").exists()  # a failure leaves no record
    assert "\n" not in str(error.value)
    assert KEY not in str(error.value)
    return str(error.value)


def test_the_failure_that_exits_zero_is_a_failure(kaggle, submission, tmp_path):
    kaggle.message = "Could not submit to competition"
    assert "Could not submit to competition" in fails(submission, tmp_path)


def test_refused_says_to_accept_the_rules(kaggle, submission, tmp_path):
    kaggle.start = 403
    message = fails(submission, tmp_path)
    assert "You must accept the rules" in message
    assert "https://www.kaggle.com/competitions/challenge/rules" in message


def test_an_unknown_competition_is_named(kaggle, submission, tmp_path):
    kaggle.start = 404
    message = fails(submission, tmp_path)
    assert "Not found" in message
    assert "Check that challenge is the right competition" in message


def test_an_upload_that_breaks_off_is_a_failure(kaggle, submission, tmp_path):
    kaggle.put = 500
    fails(submission, tmp_path)
    assert "CreateSubmission" not in kaggle.calls


def test_no_credentials(kaggle, submission, tmp_path, monkeypatch):
    monkeypatch.delenv("KAGGLE_USERNAME")
    monkeypatch.delenv("KAGGLE_KEY")
    message = fails(submission, tmp_path)
    assert "no Kaggle credentials" in message
    assert CREDENTIALS_WAYS in message
    assert kaggle.uploaded == b""


def test_credentials_are_looked_for_before_anybody_is_asked(kaggle, submission, monkeypatch, capsys):
    asked = []
    monkeypatch.setattr("click.confirm", lambda question, **_: asked.append(question))
    monkeypatch.delenv("KAGGLE_KEY")
    kit_here(f"submit {submission} --message m", code=1)
    assert f"kit: no Kaggle credentials: {CREDENTIALS_WAYS}" in capsys.readouterr().err
    assert not asked
    monkeypatch.setenv("KAGGLE_KEY", KEY)
    kit_here(f"submit {submission} --message m")
    assert "not uploaded" in capsys.readouterr().out
    assert len(asked) == 1
    assert not kaggle.calls


def test_every_place_of_credentials_is_looked_at(tmp_path, monkeypatch):
    for name in ("KAGGLE_USERNAME", "KAGGLE_KEY", "KAGGLE_API_TOKEN", "XDG_CONFIG_HOME", "KAGGLE_KERNEL_RUN_TYPE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("KAGGLE_CONFIG_DIR", "")  # as not set
    for name in (".config/kaggle/kaggle.json", "own/kaggle.json", "token", ".kaggle/access_token.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True, parents=True)
    assert kaggle_cli.find_credentials() == ""
    (tmp_path / ".config/kaggle/kaggle.json").touch()
    assert kaggle_cli.find_credentials() == "", "where ~/.kaggle is there, kaggle looks nowhere else"
    (tmp_path / ".kaggle").rmdir()
    assert kaggle_cli.find_credentials() == "kaggle.json"
    monkeypatch.setenv("KAGGLE_CONFIG_DIR", str(tmp_path / "own"))
    assert kaggle_cli.find_credentials() == ""
    monkeypatch.setenv("KAGGLE_API_V1_TOKEN", str(tmp_path / "token"))
    (tmp_path / "token").touch()
    assert kaggle_cli.find_credentials() == "", "a notebook's token counts in a notebook"
    monkeypatch.setenv("KAGGLE_KERNEL_RUN_TYPE", "Interactive")
    assert kaggle_cli.find_credentials() == "token"
    monkeypatch.delenv("KAGGLE_API_V1_TOKEN")
    (tmp_path / ".kaggle").mkdir()
    (tmp_path / ".kaggle/access_token.txt").touch()
    assert kaggle_cli.find_credentials() == "access_token.txt"


def test_doctor_names_the_same_ways_and_never_a_value(tmp_path, monkeypatch):
    for name in ("KAGGLE_USERNAME", "KAGGLE_KEY", "KAGGLE_API_TOKEN", "KAGGLE_CONFIG_DIR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert doctor._kaggle() == f"absent: {CREDENTIALS_WAYS}"
    (tmp_path / ".kaggle").mkdir()
    for name in ("credentials.json", "kaggle.json", "access_token"):  # each is asked before those above it
        (tmp_path / ".kaggle" / name).write_text("secret")
        assert doctor._kaggle() == f"present ({name})"
    monkeypatch.setenv("KAGGLE_USERNAME", "someone")
    monkeypatch.setenv("KAGGLE_KEY", "secret")
    assert doctor._kaggle() == "present (KAGGLE_USERNAME and KAGGLE_KEY)"


def test_without_kaggle_the_package_is_named(submission, tmp_path, monkeypatch):
    monkeypatch.setattr(kaggle_cli.importlib.util, "find_spec", lambda name: None)
    assert "pip install kaggle" in fails(submission, tmp_path)


def test_warnings_before_anything_is_sent(submission):
    assert any("well position" in warning for warning in prepare(submission, "m").warnings)
    submission.write_text("ID,a\n1,0.75\n")
    assert any("changed after its manifest" in warning for warning in prepare(submission, "m").warnings)
    manifest_path(submission).unlink()
    assert any("no manifest" in warning for warning in prepare(submission, "m").warnings)
    assert "cell-line-transferability-challenge-cvdd" in prepare(submission, "m").question()


def test_what_is_no_submission_is_refused(tmp_path):
    with pytest.raises(KitError, match="does not exist"):
        prepare(tmp_path / "none.csv", "m")
    (tmp_path / "other.csv").write_text("a,b\n1,2\n")
    with pytest.raises(KitError, match="no column ID"):
        prepare(tmp_path / "other.csv", "m")


def test_past_submissions_without_kaggle(submission, tmp_path, kaggle, monkeypatch):
    assert "no submission recorded" in submissions(records=tmp_path / "records")
    upload(prepare(submission, "kept"), records=tmp_path / "records")
    monkeypatch.delenv("KAGGLE_KEY")
    table = submissions(records=tmp_path / "records")
    assert "43.2" in table
    assert "no Kaggle credentials" in table


def test_the_null_of_a_local_score_stands_beside_it(submission, tmp_path, kaggle):
    null = {"value": 0.0123, "final_features_only": False}
    submission.with_name("score.json").write_text(json.dumps({"mean": 0.4321, "null": null}))
    upload(prepare(submission, "kept"), records=tmp_path / "records")
    assert " 43.2    1.2 " in submissions(records=tmp_path / "records")
    (record,) = (tmp_path / "records").iterdir()
    null |= {"final_features_only": True, "note": "null of the final features only: why"}
    (record / "score.json").write_text(json.dumps({"mean": 0.4321, "null": null}))
    lines = submissions(records=tmp_path / "records").splitlines()
    assert " 43.2   1.2* " in lines[1]
    assert lines[2] == "* null of the final features only: why"


def test_a_damaged_record_hides_no_other(submission, tmp_path, kaggle):
    upload(prepare(submission, "kept"), records=tmp_path / "records")
    (tmp_path / "records" / "2020-bad").mkdir()
    (tmp_path / "records" / "2020-bad" / "run.toml").write_text("[submission")
    table = submissions(records=tmp_path / "records")
    assert "43.2" in table
    assert "2020-bad is not a readable record" in table.splitlines()[-1]
