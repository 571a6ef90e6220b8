"""The real kaggle command line against a server on this machine: what it takes, refuses, and pretends to have taken."""

import hashlib
import importlib.metadata
import json
import logging
import tomllib

import pytest

from kit.errors import KitError
from kit.kaggle import command, submit
from kit.kaggle.answers import CREDENTIALS, INTERRUPTED, QUOTA, REFUSED, SERVER, Failure
from kit.kaggle.command import Refused
from kit.kaggle.competition import identity
from kit.kaggle.credentials import CREDENTIALS_WAYS
from kit.kaggle.plan import Standing, prepare
from kit.kaggle.submit import upload
from tests.commands import kit_here

from .conftest import KEY

INSTALLED = tuple(int(part) for part in importlib.metadata.version("kaggle").split(".")[:3])
needs_numbers = pytest.mark.skipif(
    INSTALLED < (2, 2, 5), reason="kaggle before 2.2.5 gives a submission no number; make test-slow runs both"
)
NOTHING = Standing(left=None, known=frozenset())


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch):
    monkeypatch.setattr(submit, "_LOOKS", (0.0, 0.0))


def send(submission, tmp_path, standing=NOTHING, **options):
    plan = prepare(submission, "first try", competition="challenge")
    return upload(plan, standing, records=tmp_path / "records", poll_seconds=0.1, pauses=(0.0, 0.0), **options)


def fails(submission, tmp_path, **options) -> str:
    with pytest.raises(KitError) as error:
        send(submission, tmp_path, **options)
    assert not (tmp_path / "records").exists()  # a failure leaves no record
    assert "\n" not in str(error.value)
    assert KEY not in str(error.value)
    return str(error.value)


@needs_numbers
def test_an_upload_arrives_is_recorded_compared_and_scored(kaggle, submission, tmp_path, caplog):
    caplog.set_level(logging.DEBUG)
    done = send(submission, tmp_path, verify=True, wait=True)
    assert kaggle.calls[:3] == ["StartSubmissionUpload", "PUT", "CreateSubmission"]
    assert kaggle.uploaded == submission.read_bytes()
    assert kaggle.created["submissionDescription"] == "first try"
    record = next((tmp_path / "records").iterdir())
    assert (done.record, done.ref, done.status, done.public_score) == (record, "7", "complete", "0.39100")
    assert done.answer == "Successfully submitted to the challenge"
    sha256 = hashlib.sha256(submission.read_bytes()).hexdigest()
    assert done.verified == f"the same file, SHA-256 {sha256[:16]}..."
    assert sorted(path.name for path in record.iterdir()) == ["manifest.json", "notes.md", "run.toml", "score.json"]
    table = tomllib.loads((record / "run.toml").read_text())
    wanted = {"ref": "7", "sha256": sha256, "verified": True, "public_score": "0.39100", "status": "complete", "bytes": 17}
    assert {key: table["submission"][key] for key in wanted} == wanted
    assert table["steps"][0]["runs"]["fluo"]["config"]["model"]["dim"] == 96
    assert json.loads((record / "score.json").read_text())["mean"] == 0.4321
    assert KEY not in done.text() + caplog.text + "".join(path.read_text() for path in record.iterdir())
    assert not list(tmp_path.glob(".kaggle-*"))  # what was fetched is gone


@needs_numbers
def test_what_kaggle_keeps_can_be_another_file(kaggle, submission, tmp_path):
    kaggle.other = b"ID,a\n1,0.5\n"
    with pytest.raises(KitError, match=r"^another file, SHA-256 .* submit submission.csv again; the record is "):
        send(submission, tmp_path, verify=True)
    (record,) = (tmp_path / "records").iterdir()
    assert tomllib.loads((record / "run.toml").read_text())["submission"]["verified"] is False


def answers(monkeypatch, *ends):
    """Let uploads end so, one after another: with a failure, or taken. Return the list of uploads."""
    sent = []

    def send(submission, message, competition, **limits):
        sent.append(message)
        end = ends[len(sent) - 1]
        if isinstance(end, Failure):
            raise Refused(end)
        return end

    monkeypatch.setattr(submit, "submit_file", send)
    return sent


TAKEN = submit.Taken(answer="taken", ref="7")
BROKEN = Failure(kind=INTERRUPTED, message="Could not submit to competition", began=True)
EARLY = Failure(kind=SERVER, message="Internal error")
LATE = Failure(kind=SERVER, message="Internal error", began=True)


def test_what_certainly_submitted_nothing_is_sent_again(submission, tmp_path, monkeypatch, caplog):
    sent = answers(monkeypatch, EARLY, BROKEN, TAKEN)
    assert send(submission, tmp_path).ref == "7"
    assert len(sent) == 3
    assert caplog.text.count("nothing was submitted, next try in 0 s") == 2


def test_an_upload_that_always_breaks_off_is_a_failure(submission, tmp_path, monkeypatch):
    sent = answers(monkeypatch, *[BROKEN] * 9)
    assert "Could not submit to competition; it was interrupted" in fails(submission, tmp_path)
    assert len(sent) == 3


@pytest.mark.parametrize("kind", [REFUSED, QUOTA, CREDENTIALS])
def test_a_refusal_is_not_sent_again(submission, tmp_path, monkeypatch, kind):
    sent = answers(monkeypatch, Failure(kind=kind, message="no"), TAKEN)
    fails(submission, tmp_path)
    assert len(sent) == 1


def test_a_submission_that_was_taken_without_saying_so_is_found_and_not_sent_again(submission, tmp_path, monkeypatch):
    sent = answers(monkeypatch, LATE, TAKEN)
    row = {"ref": "3", "fileName": "submission.csv", "description": "first try", "date": "2026", "status": "COMPLETE"}
    monkeypatch.setattr(submit, "list_submissions", lambda _: [{**row, "ref": "8", "publicScore": "0.4"}, row])
    done = send(submission, tmp_path, Standing(left=None, known=frozenset({("3",)})), wait=True)  # of the same name, from before
    assert (done.ref, done.public_score, len(sent)) == ("8", "0.4", 1)
    assert done.answer.startswith("the submission is listed, although the upload ended with: Kaggle failed: Internal error")


def test_a_submission_of_unknown_end_is_not_sent_again(submission, tmp_path, monkeypatch):
    sent = answers(monkeypatch, LATE, TAKEN)
    row = {"ref": "3", "fileName": "submission.csv", "description": "first try", "date": "2026", "status": "COMPLETE"}
    monkeypatch.setattr(submit, "list_submissions", lambda _: [row])  # of the same name, from before
    message = fails(submission, tmp_path, standing=Standing(left=None, known=frozenset({("3",)})))
    assert message.startswith(
        "Kaggle failed: Internal error. The fault is on Kaggle's side. It is not known whether Kaggle took the submission: "
        "look at https://www.kaggle.com/competitions/challenge/"
    )
    assert len(sent) == 1


def test_an_old_command_that_gives_no_number_is_told_apart_by_the_servers_date(submission, tmp_path, monkeypatch):
    answers(monkeypatch, submit.Taken(answer="taken", ref=None))
    row = {"fileName": "submission.csv", "description": "first try", "date": "2025", "status": "COMPLETE", "publicScore": "0.1"}
    monkeypatch.setattr(submit, "list_submissions", lambda _: [{**row, "date": "2026", "publicScore": "0.4"}, row])
    standing = Standing(left=None, known=frozenset({identity(row)}))
    done = send(submission, tmp_path, standing, wait=True, verify=True)
    assert (done.ref, done.public_score) == (None, "0.4")
    assert done.verified.startswith("not compared: the installed kaggle does not say which submission this is")
    assert tomllib.loads((done.record / "run.toml").read_text())["submission"]["date"] == "2026"


def test_no_setting_of_the_bar_hides_that_an_upload_began(kaggle, submission, tmp_path, monkeypatch):
    monkeypatch.setenv("TQDM_BAR_FORMAT", "{desc}")
    kaggle.create = [500, 200]
    fails(submission, tmp_path)
    assert kaggle.calls.count("CreateSubmission") == 1


def test_nothing_is_sent_of_which_no_record_could_be_kept(submission, tmp_path, monkeypatch):
    sent = answers(monkeypatch, TAKEN)
    (tmp_path / "records").touch()
    with pytest.raises(
        KitError, match=r"records cannot take the record of the upload \(File exists\): run kit submit in a folder"
    ):
        send(submission, tmp_path)
    assert not sent


def test_refused_says_to_accept_the_rules(kaggle, submission, tmp_path):
    kaggle.create = 403
    message = fails(submission, tmp_path)
    assert "You must accept the rules" in message
    assert "https://www.kaggle.com/competitions/challenge/rules" in message
    assert kaggle.calls.count("CreateSubmission") == 1


def test_the_score_is_waited_for_an_hour(submission, monkeypatch):
    now, looks = [0.0], []
    monkeypatch.setattr("time.monotonic", lambda: now[0])
    monkeypatch.setattr("time.sleep", lambda seconds: now.append(now.pop() + seconds))
    monkeypatch.setattr(submit, "list_submissions", lambda competition: looks.append(now[0]) or [])
    monkeypatch.setattr(submit, "submit_file", lambda *_, **__: submit.Taken(answer="taken", ref="7"))
    with pytest.raises(KitError, match=r"^no score after 60 minutes; kit submissions will show it later$"):
        upload(prepare(submission, "m"), NOTHING, wait=True, records=submission.parent / "records")
    assert looks == [10.0 * look for look in range(360)]


@needs_numbers
def test_access_is_checked_before_anybody_is_asked(kaggle, submission, monkeypatch, capsys):
    asked = []
    monkeypatch.setattr("click.confirm", lambda question, **_: asked.append(question))
    monkeypatch.delenv("KAGGLE_KEY")
    kit_here(f"submit {submission} --message m", code=1)
    assert f"kit: no Kaggle credentials: {CREDENTIALS_WAYS}" in capsys.readouterr().err
    assert not kaggle.calls
    monkeypatch.setenv("KAGGLE_KEY", KEY)
    kaggle.limits = 403
    kit_here(f"submit {submission} --message m --competition challenge", code=1)
    assert "kit: Kaggle refused: You must accept the rules. Check that challenge is" in capsys.readouterr().err
    kaggle.limits, kaggle.left = 200, 0
    kit_here(f"submit {submission} --message m --competition challenge", code=1)
    said = capsys.readouterr()
    assert "kit: challenge takes no more submission today: Kaggle counts days in UTC, and the next one starts in " in said.err
    assert "2 rows x 1 feature, IDs and values as kit export checked them" in said.out
    assert "local score: 43.2 %, its null - %, chance 0.3 %" in said.out
    assert not asked
    kaggle.left = 1
    kit_here(f"submit {submission} --message m --competition challenge")
    assert capsys.readouterr().out.endswith("not uploaded\n")
    assert asked == [f"Upload {submission} to challenge (Kaggle takes 1 more submission today)?"]
    assert set(kaggle.calls) == {"GetSubmissionLimits", "ListSubmissions"}


def test_without_kaggle_the_package_is_named(submission, tmp_path, monkeypatch):
    monkeypatch.setattr(command.importlib.util, "find_spec", lambda name: None)
    assert "pip install kaggle" in fails(submission, tmp_path)
