"""A run of several parts: in time, a fault in one losing nothing of the others, and what is known always on disk."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from kit.errors import UsageError
from kit.gpu import running
from kit.gpu import session as sessions
from kit.gpu.boxes import PARTS, RESERVE, RUNS, Part, box_of, chosen_parts
from kit.gpu.digest import LINES, summary
from kit.gpu.environment import Environment
from kit.gpu.session import Session

ROOT = Path(__file__).parents[2]


def test_prepared_runs_name_parts_that_exist_and_end_in_four_and_six_minutes():
    assert {name: run.seconds for name, run in RUNS.items()} == {"first": 240, "second": 360}
    for run in RUNS.values():
        assert set(run.weights) <= set(PARTS)
        assert sum(run.weights.values()) <= run.seconds - RESERVE  # the weights are seconds where nothing is lost
        assert list(run.weights) == [name for name in PARTS if name in run.weights]  # in the order in which they run


def test_the_loader_runs_between_the_steps_and_learning_which_keeps_its_three_minutes():
    assert list(RUNS["second"].weights) == ["build", "steps", "loader", "learn"]
    assert RUNS["second"].weights["learn"] >= 180
    assert {part.name for part in PARTS.values() if part.alone} == {"build", "loader"}


def test_boxes_fill_what_is_left_and_pass_on_what_a_part_does_not_use():
    weights = {"a": 1.0, "b": 3.0, "c": 4.0}
    assert box_of("a", ["b", "c"], weights, 80) == 10
    assert box_of("b", ["c"], weights, 80) == pytest.approx(80 * 3 / 7)  # a took no time at all
    assert box_of("c", [], weights, 12) == 12


def test_parts_run_in_their_own_order_and_a_wrong_name_is_refused():
    assert [part.name for part in chosen_parts(" tests, build")] == ["build", "tests"]
    assert [part.name for part in chosen_parts("")] == list(PARTS)
    with pytest.raises(UsageError, match=r"no part 'test'; did you mean tests\?; there are build"):
        chosen_parts("build,test")


def lives(process: str) -> bool:
    try:
        return "Z (zombie)" not in Path(f"/proc/{process}/status").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False


def test_at_the_end_of_the_box_nothing_is_left_alive(tmp_path, monkeypatch):
    """The command and its own child ignore the request to end."""
    monkeypatch.setattr(running, "GRACE", 0.5)
    start = time.monotonic()
    command = ["sh", "-c", "trap '' TERM; sleep 60 & echo on $!; wait"]
    ended = running.run_boxed(command, 3.0, tmp_path / "log", folder=tmp_path, switches={})
    assert (ended.word, ended.code) == ("cut", None)
    assert time.monotonic() - start < 30
    said, child = (tmp_path / "log").read_text().split()  # what it said is there
    assert said == "on"
    while lives(child):  # what is killed takes a moment to go; the suite's own limit ends a wait in vain
        time.sleep(0.01)


def test_a_command_that_does_not_exist_has_failed(tmp_path):
    ended = running.run_boxed([tmp_path / "nothing"], 3.0, tmp_path / "log", folder=tmp_path, switches={})
    assert (ended.word, ended.code) == ("failed", 127)
    assert "nothing" in ended.said


@pytest.fixture
def run(tmp_path, monkeypatch):
    """Return what runs parts, {name: code of Python}, in a session, and gives its results, summary and log."""
    monkeypatch.setattr(sessions, "prepare", lambda *_: Environment(Path(sys.executable)))
    monkeypatch.setattr(sessions, "torch_facts", lambda python: {"torch": "2.11.0", "gpu": False})
    monkeypatch.setattr(sessions, "tool_facts", lambda root: {"commit": "abc", "cpus": 2})
    monkeypatch.setattr(sessions, "missing", lambda python, names: [name for name in names if name.startswith("no_")])

    def go(parts, **more):
        for name, code in parts.items():
            (tmp_path / f"part_{name}.py").write_text(
                f"import json, sys, time\nout = sys.argv[sys.argv.index('--json') + 1]\n{code}\n"
            )
        made = [Part(name, f"part_{name}", 30, needs_gpu=False, **more.get(name, {})) for name in parts]
        session = Session(tmp_path, "", made, tmp_path / "results", time.time(), rehearse=False)
        session.work()
        said = session.finish()
        results = json.loads((tmp_path / "results" / "parts-results.json").read_text())
        assert (tmp_path / "results" / "parts-summary.txt").read_text() == said
        return session, results, said, (tmp_path / "results" / "parts-log.txt").read_text()

    return go


GOOD = "print('hello'); json.dump({'lines': ['all well']}, open(out, 'w'))"
BAD = "json.dump({'lines': ['half of it']}, open(out, 'w')); print('the reason'); sys.exit(3)"


def test_a_fault_in_one_part_loses_nothing_of_the_others(run):
    session, results, said, log = run({"a": BAD, "b": GOOD, "c": GOOD, "d": GOOD}, c={"packages": ("no_such",)})
    parts = results["parts"]
    assert [part["state"] for part in parts.values()] == ["failed", "done", "skipped", "done"]
    assert parts["a"]["code"] == 3
    assert parts["a"]["found"]["lines"] == ["half of it"]
    assert session.code == 1
    assert "no GPU: nothing below was run on one" in said
    assert "a: failed" in said
    assert "half of it" in said
    assert "said last: the reason" in said
    assert "c: skipped: no_such is not there" in said
    assert log.count("hello") == 2
    assert len(list(Path(session._results).iterdir())) == 3


def test_a_part_is_prepared_on_the_cpu_while_others_run_and_not_while_one_wants_every_cpu(run):
    """b waits in vain for what prepares it if this starts only with b; a build or a bench of the loader finds nothing of it."""
    there = "from pathlib import Path\nready = Path('ready')\n"
    none = there + "sys.exit(int(ready.exists()))"
    wait = there + "import os\nif '--prepare' in sys.argv:\n    assert os.environ['CUDA_VISIBLE_DEVICES'] == ''\n"
    wait += "    ready.touch(); print('prepared'); sys.exit()"
    slow = f"{there}end = time.monotonic() + 20\nwhile not ready.exists() and time.monotonic() < end: time.sleep(0.05)\n{GOOD}"
    _, results, said, log = run(
        {"build": none, "a": slow, "b": f"{wait}\n{slow}"}, b={"ahead": ("--prepare", "--json", "x")}, build={"alone": True}
    )
    assert [part["state"] for part in results["parts"].values()] == ["done"] * 3, said
    assert "===== b, ahead of it\nprepared" in log
    assert max(part["seconds"] for part in results["parts"].values()) < 20


def test_a_part_that_needs_a_gpu_is_skipped_with_the_reason(run, tmp_path):
    assert run({"a": GOOD})[0].code == 0
    made = [Part("gpu", "part_a", 30)]
    session = Session(tmp_path, "", made, tmp_path / "results", time.time(), rehearse=False)
    session.work()
    assert session.found["parts"]["gpu"] == {"state": "skipped", "why": "torch sees no GPU here"}


def test_no_part_starts_when_the_time_is_over(run, tmp_path):
    made = [Part("a", "part_a", 30, needs_gpu=False)]
    session = Session(tmp_path, "", made, tmp_path / "results", time.time() - 85, rehearse=False)
    session.work()
    assert session.found["parts"]["a"] == {"state": "left out", "why": "0 s were left"}
    assert session.code == 1


def test_the_summary_has_at_most_60_lines():
    parts = {f"part{i}": {"state": "done", "seconds": 1.0, "box": 2.0, "found": {"lines": ["x" * 400] * (40 * (i % 2) + 2)}}
             for i in range(7)}  # fmt: skip
    said = summary({"run": "first", "date": "today", "machine": {"commit": "abc"}, "rehearsal": False, "parts": parts})
    lines = said.splitlines()
    assert len(lines) <= LINES
    assert max(map(len, lines)) <= 300
    assert [line.split(":")[0] for line in lines if not line.startswith(" ")][3:] == list(parts)
    assert "more in results.json" in said


def test_tables_of_the_kernels_bench_are_one_line_each():
    rows = [
        {"name": name, "ms": ms, "cpu_ms": None, "note": ""}
        for name, ms in (("kit", 2.0), ("eager torch", 9.0), ("OpenCV", None))
    ]
    found = {"copy_gb_s": 2000.0, "tasks": [{"task": "view", "bytes": 2e9, "share": None, "rows": rows}], "left_out": ["blur"]}
    machine = {"card": "a card", "commit": "abc"}
    said = summary(
        {"run": "x", "date": "d", "machine": machine, "rehearsal": False, "parts": {"views": {"state": "done", "found": found}}}
    )
    assert "view: 2.00 ms, 50 % of the memory floor; eager torch 4.50 x\n" in said
    assert "no time left for blur" in said
    rows[0] |= {"ms": None, "note": "failed: no kernel"}  # a rival must not pass for ours
    said = summary(
        {"run": "x", "date": "d", "machine": machine, "rehearsal": False, "parts": {"views": {"state": "done", "found": found}}}
    )
    assert "view: kit failed: no kernel; eager torch 9.00 ms\n" in said
    assert "no GPU" not in said


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (["RUN=frist"], "make gpu: RUN=frist: there is no such run; did you mean first?"),
        (["RUN=first", "PARTS=build"], "give RUN or PARTS"),
        (["PARTS=bild"], "there is no part 'bild'"),
        (["FIELDS=/nowhere", "PARTS=build"], "/nowhere/images.csv does not exist"),
        (["first"], "scripts/gpu.sh: first: need RUN=, PARTS="),
    ],
)
def test_wrong_settings_are_one_line(settings, message, tmp_path):
    environment = {**os.environ, "RESULTS": str(tmp_path), "PYTHON": sys.executable}
    done = subprocess.run([ROOT / "scripts" / "gpu.sh", *settings], capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == 2
    assert message in done.stderr
    assert len(done.stderr.splitlines()) == 1
