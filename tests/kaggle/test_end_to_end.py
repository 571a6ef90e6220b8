"""The whole way to Kaggle with the real command line, the oldest allowed and the newest, against a server on this machine.

Nothing may leave the machine, and no credential may be seen in output, logs, records or the process list.
"""

import base64
import hashlib
import json
import logging
import subprocess
import sys
import threading
import time
import zipfile
from io import BytesIO
from pathlib import Path

import pytest

import kit
from kit.errors import KitError, UsageError
from kit.kaggle import command, submit
from kit.kaggle.competition import list_submissions, submit_file, submitted_sha256
from kit.kaggle.metadata import check_dataset, check_notebook, write_metadata
from kit.kaggle.notebook import pull_runs, push_notebook
from kit.kaggle.plan import Standing, prepare
from kit.kaggle.push import push_dataset
from kit.kaggle.submissions import submissions
from tests.images.made_work import make_work

from .conftest import KEY
from .loopback import MESSAGES, SIGNED
from .versions import NEWEST, VERSIONS, python_path

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]
MB = 1 << 20
newest_only = pytest.mark.parametrize("version", [NEWEST], indirect=True)  # what kit makes of it, the same for both


@pytest.fixture(params=VERSIONS)
def version(request, kaggle, tmp_path, monkeypatch, caplog, capfd):
    """A version of kaggle in children that reach this machine only; afterwards nothing has left it, and no secret is seen."""
    monkeypatch.setenv("PYTHONPATH", python_path(request.param, tmp_path / "path"))
    monkeypatch.setattr(submit, "_LOOKS", (0.0,))
    caplog.set_level(logging.DEBUG)
    if request.param == NEWEST:  # by the file, as kaggle's pages say; the oldest by the environment
        monkeypatch.delenv("KAGGLE_USERNAME")
        monkeypatch.delenv("KAGGLE_KEY")
        (tmp_path / "home" / "kaggle.json").write_text(json.dumps({"username": "someone", "key": KEY}))
    yield request.param
    assert not (tmp_path / "path" / "elsewhere.txt").exists()
    printed = capfd.readouterr()
    assert_no_secret(caplog.text + printed.out + printed.err)


def assert_no_secret(text: str) -> None:
    for secret in (KEY, base64.b64encode(f"someone:{KEY}".encode()).decode(), SIGNED):
        assert secret not in text


NOTHING = Standing(left=None, known=frozenset())


def send(submission, tmp_path, pauses=(), **options):
    plan = prepare(submission, "a message", competition="challenge")
    return submit.upload(plan, NOTHING, records=tmp_path / "records", poll_seconds=0.1, pauses=pauses, **options)


def fails(submission, tmp_path, **options) -> str:
    with pytest.raises(KitError) as error:
        send(submission, tmp_path, **options)
    assert not (tmp_path / "records").exists()
    said = str(error.value)
    assert "\n" not in said
    assert_no_secret(said)
    return said


def test_the_command_line_submits_waits_and_compares(version, kaggle, submission, tmp_path):
    with submission.open("a") as file:
        file.writelines(f"{row},{row / 7}\n" for row in range(3, 8_000))
    kaggle.slow = 0.3
    words = ["submit", submission, "--message", "first try", "--competition", "challenge", "--yes", "--wait", "--verify"]
    child = subprocess.Popen(
        [sys.executable, "-c", "from kit.cli.main import main; main()", *map(str, words)],
        cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    seen = set()

    def watch():
        while child.poll() is None:
            for path in Path("/proc").glob("[0-9]*/cmdline"):
                try:
                    seen.add(path.read_bytes().decode(errors="replace"))
                except OSError:
                    continue
            time.sleep(0.1)

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    stdout, stderr = child.communicate(timeout=600)
    thread.join(10)
    assert child.returncode == 0, stderr
    assert any("competitions\0submit" in line for line in seen)  # the list was looked at while it uploaded
    assert_no_secret("".join(seen) + stdout + stderr)
    assert kaggle.sha256 == hashlib.sha256(submission.read_bytes()).hexdigest()
    assert "7999 rows x 1 feature, every value finite" in stdout
    assert "status: complete, public score: 0.39100" in stdout
    found = "the same file, SHA-256" if version == NEWEST else "not compared: the installed kaggle does not say which"
    assert f"what Kaggle keeps: {found}" in stdout
    (record,) = (tmp_path / "submissions").iterdir()
    assert_no_secret("".join(path.read_text() for path in record.iterdir()))
    table = submissions(competition="challenge", records=tmp_path / "submissions")
    assert " 43.2 " in table
    assert " 0.39100       -4.1  first try" in table


def test_what_kaggle_refuses_in_its_own_words(version, kaggle, submission):
    rules = ". Check that challenge is the right competition"
    for field, status, said in [
        ("start", 401, "no Kaggle credentials, or they were not accepted: set KAGGLE_API_TOKEN"),
        ("start", 403, f"Kaggle refused: {MESSAGES[403]}{rules}"),
        ("start", 404, f"Kaggle refused: {MESSAGES[404]}{rules}"),
        ("create", 400, f"Kaggle refused: {MESSAGES[400]}. Kaggle counts days in UTC"),
        ("create", 429, f"Kaggle refused: {MESSAGES[429]}. Wait a few minutes"),
        ("create", 403, "Kaggle refused: Basic ***. "),  # a server that repeats the header
    ]:
        setattr(kaggle, field, status)
        kaggle.echo = "***" in said
        with pytest.raises(command.Refused) as error:
            submit_file(submission, "a message", "challenge")
        assert str(error.value).startswith(said), (field, status)
        assert_no_secret(str(error.value))
        setattr(kaggle, field, 200)
    assert not kaggle.submissions


@newest_only
def test_what_broke_before_it_was_a_submission_is_sent_again(version, kaggle, submission, tmp_path):
    kaggle.start, kaggle.put = [503, 200], [500, 200]
    assert send(submission, tmp_path, pauses=(0.0, 0.0)).record.is_dir()
    assert kaggle.calls.count("StartSubmissionUpload") == 3
    assert kaggle.calls.count("PUT") == 2
    assert kaggle.calls.count("CreateSubmission") == len(kaggle.submissions) == 1


def test_what_may_be_a_submission_is_looked_up(version, kaggle, submission, tmp_path):
    kaggle.create = 500
    assert "It is not known whether Kaggle took the submission" in fails(submission, tmp_path, pauses=(0.0,))
    kaggle.takes = True
    done = send(submission, tmp_path, pauses=(0.0,), wait=True)
    assert done.answer.startswith("the submission is listed, although")
    assert (done.public_score, len(kaggle.submissions), kaggle.calls.count("CreateSubmission")) == ("0.39100", 1, 2)
    assert done.ref == ("7" if version == NEWEST else None)


@newest_only
def test_a_failure_that_exits_with_zero_and_one_that_cannot_be_scored(version, kaggle, submission, tmp_path):
    kaggle.message = "Could not submit to competition"
    assert "Could not submit to competition; it was interrupted" in fails(submission, tmp_path)
    kaggle.message, kaggle.status, kaggle.score = "ok", "ERROR", ""
    with pytest.raises(KitError, match=r"could not score the submission \(error\)"):
        send(submission, tmp_path, wait=True)


@newest_only
def test_a_gigabyte_arrives(version, kaggle, tmp_path):
    path = tmp_path / "large.csv"
    with path.open("wb") as file:
        file.write(b"ID,a\n")
        file.truncate(1 << 30)
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    submit_file(path, "large", "challenge")
    assert kaggle.sha256 == digest
    path.unlink()


@newest_only
def test_a_cut_a_slow_and_a_hanging_upload(version, kaggle, tmp_path):
    path = tmp_path / "s.csv"
    path.write_bytes(bytes(range(256)) * (16 * MB // 256))
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    kaggle.cuts = 1
    submit_file(path, "cut midway", "challenge")
    assert kaggle.sha256 == digest
    assert (kaggle.calls.count("PUT"), len(kaggle.submissions)) == (2, 1)
    kaggle.slow = 0.02  # a read
    submit_file(path, "slow", "challenge")
    assert (kaggle.sha256, len(kaggle.submissions)) == (digest, 2)
    kaggle.slow, kaggle.hangs = 0.0, 30.0
    with pytest.raises(command.Refused, match="no answer for 3 s"):
        submit_file(path, "hangs", "challenge", quiet_seconds=3.0)
    assert len(kaggle.submissions) == 2


@newest_only
def test_no_server_at_all(version, kaggle, monkeypatch):
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    with pytest.raises(KitError, match=r"^Kaggle cannot be reached: ") as error:
        list_submissions("challenge")
    assert_no_secret(str(error.value))


def test_what_kaggle_keeps_is_fetched(version, kaggle, submission, tmp_path):
    if version != NEWEST:
        with pytest.raises(command.NoSuchCommand, match="has no command competitions submission-download: pip install -U kaggle"):
            submitted_sha256("7", tmp_path)
        return
    kaggle.uploaded = b"what is kept"
    assert submitted_sha256("7", tmp_path) == hashlib.sha256(b"what is kept").hexdigest()


def unpack(kaggle, ref, target):
    """Lay out the newest version of a data set as Kaggle mounts it."""
    for token in kaggle.datasets[ref][-1]["files"]:
        name = kaggle.names[token]
        if name.endswith(".zip"):
            zipfile.ZipFile(BytesIO(kaggle.blobs[token])).extractall(target / name.removesuffix(".zip"))
        else:
            target.mkdir(parents=True, exist_ok=True)
            (target / name).write_bytes(kaggle.blobs[token])


def test_a_store_goes_up_in_parts_breaks_off_goes_on_and_comes_back(version, kaggle, tmp_path):
    work = make_work(tmp_path / "work", plates=("P1", "P2"), wells=4, sites=1, lines=("U2OS",) * 2)
    size = sum(path.stat().st_size for path in work.path.rglob("*") if path.is_file())
    said, options = [], {"name": "someone/cpjump1-store", "part_gb": 0.7 * size / 1e9, "pauses": ()}
    kaggle.halves, kaggle.room = 2, 1
    with pytest.raises(KitError, match="You have used up your private quota"):
        push_dataset("store", work.path, say=said.append, **options)
    assert [line.partition(":")[0] for line in said] == ["someone/cpjump1-store"]
    asked, went_on = [asked for asked in kaggle.resumed if "*" in asked], [asked for asked in kaggle.resumed if "*" not in asked]
    expected = (
        (2, 2) if version == NEWEST else (0, 0)
    )  # kaggle asks how far it had come and sends the rest; the old one begins again
    assert (len(asked), len(went_on)) == expected
    kaggle.room = 2
    push_dataset("store", work.path, say=said.append, **options)
    assert "someone/cpjump1-store: unchanged since" in said[1]
    assert said[2].startswith("someone/cpjump1-store-2: plate P2 of 2, ")
    for ref, (made,) in kaggle.datasets.items():
        unpack(kaggle, ref, tmp_path / "input" / ref.partition("/")[2])
        assert made["isPrivate"]
    back = kit.open(tmp_path / "input")
    assert back.plates == ["P1", "P2"]
    assert (back.read_site("P2", "A03", 1) == work.read_site("P2", "A03", 1)).all()
    before = len(kaggle.calls)
    push_dataset("store", work.path, **options)
    assert kaggle.calls[before:] == ["GetDatasetStatus"] * 2


def test_a_data_set_gets_a_next_version_or_is_refused_in_an_answer_of_status_200(version, kaggle, tmp_path):
    (tmp_path / "w.pt").write_bytes(b"weights")
    options = {"name": "someone/kit-weights", "pauses": ()}
    kaggle.refuses = "You have used up your private quota."
    with pytest.raises(KitError, match=r"^Kaggle refused: You have used up your private quota\. Check the name"):
        push_dataset("weights", tmp_path / "w.pt", **options)
    kaggle.refuses, kaggle.put = "", [400, 200]
    with pytest.raises(KitError, match=r"Upload unsuccessful: w\.pt"):
        push_dataset("weights", tmp_path / "w.pt", **options)
    kaggle.datasets = {"someone/kit-weights": []}
    push_dataset("weights", tmp_path / "w.pt", notes="second", **options)
    (sent,) = kaggle.datasets["someone/kit-weights"]
    assert (sent["versionNotes"], [kaggle.blobs[token] for token in sent["files"]]) == ("second", [b"weights"])


@newest_only
def test_the_rules_of_data_sets_are_kaggles(version, kaggle, tmp_path):
    for slug, title in [(5, 6), (51, 6), (6, 5), (6, 51), (6, 50), (50, 6)]:
        table = {"id": f"someone/{'a' * slug}", "title": "a" * title, "licenses": [{"name": "other"}]}
        _agree_on(kaggle, tmp_path / f"{slug}-{title}", table, 6 <= slug <= 50 and 6 <= title <= 50)


def _agree_on(kaggle, folder, table, passes):
    folder.mkdir()
    (folder / "w.pt").touch()
    write_metadata(folder / "dataset-metadata.json", table)
    kaggle.datasets.clear()
    assert _passes(lambda: check_dataset(table)) == passes
    assert _passes(lambda: command.run(["datasets", "create", "-p", str(folder)])) == passes


def _passes(check) -> bool:
    try:
        check()
    except (UsageError, command.Refused):
        return False
    return True


def test_a_notebook_goes_up_and_its_runs_come_back(version, kaggle, tmp_path):
    path = tmp_path / "kaggle_train.ipynb"
    path.write_text(json.dumps({"cells": [{"cell_type": "code", "source": ["1"], "outputs": ["old"]}]}))
    said = push_notebook(str(path), datasets=["cpjump1-store", "kit-wheels"])
    assert said[0] == (
        "Kernel version 1 successfully pushed.  Please check progress at https://www.kaggle.com/code/someone/kaggle-train"
    )
    sent = kaggle.notebooks[0]
    assert (sent["slug"], sent["isPrivate"], sent["enableGpu"]) == ("someone/kaggle-train", True, True)
    assert sent["datasetDataSources"] == ["someone/cpjump1-store", "someone/kit-wheels"]
    assert json.loads(sent["text"])["cells"][0]["outputs"] == []
    kaggle.refuses = "Notebook is locked"
    with pytest.raises(KitError, match=r"^Kaggle refused: Notebook is locked"):
        push_notebook(str(path))
    kaggle.outputs = {"work/runs/fluo/run.toml": b"a = 1\n", "work/runs/fluo/checkpoints/last.pt": bytes(100)}
    assert pull_runs("kaggle-train", tmp_path / "work")[0] == "someone/kaggle-train: complete"
    assert (tmp_path / "work/runs/fluo/checkpoints/last.pt").read_bytes() == bytes(100)
    kaggle.worker = "RUNNING"
    with pytest.raises(KitError, match="is running"):
        pull_runs("kaggle-train", tmp_path / "work")


@newest_only
@pytest.mark.parametrize("letters", [4, 5])
def test_the_rules_of_notebooks_are_kaggles(version, kaggle, tmp_path, letters):
    (tmp_path / "n.ipynb").write_text(json.dumps({"cells": []}))
    name = "a" * letters
    table = {"id": f"someone/{name}", "title": name, "code_file": "n.ipynb", "language": "python", "kernel_type": "notebook"}
    write_metadata(tmp_path / "kernel-metadata.json", table)
    words = ["kernels", "push", "-p", str(tmp_path)]
    assert _passes(lambda: check_notebook(table, tmp_path)) == _passes(lambda: command.run(words)) == (letters >= 5)
