"""The hours of a session go to one network after the other."""

import sys

import pytest

import kit.model.train
from kit.errors import KitError, StoppedCleanly
from kit.notebook import training
from kit.notebook.training import train_networks
from tests.commands import SHORT
from tests.images.made_work import make_work

NETWORKS = {"fluo": "Mito,AGP", "bright": "RNA"}


class Finished:
    def text(self):
        return "finished"


@pytest.fixture
def session(tmp_path, monkeypatch):
    """Train by a clock: a run takes as many hours as `takes` says; return what was asked for and said."""
    make_work(tmp_path, wells=1, sites=1)
    now, asked, said = [0.0], [], []
    monkeypatch.setattr(training.time, "monotonic", lambda: now[0])

    def run(hours: float, **takes: float) -> tuple[bool, list, list]:
        def train(work, run, config, *, resume, max_hours):
            assert resume
            asked.append((run, config.channels, round(max_hours, 6)))
            now[0] += min(takes[run], max_hours) * 3600
            if takes[run] > max_hours:
                raise StoppedCleanly("stopped cleanly after step 7 of 9")
            return Finished()

        monkeypatch.setattr(kit.model.train, "train", train)
        return train_networks(tmp_path, NETWORKS, "demo", hours=hours, say=said.append), asked, said

    return run


FLUO, BRIGHT = ("Mito", "AGP"), ("RNA",)


def test_the_second_network_gets_the_hours_that_the_first_leaves(session):
    finished, asked, said = session(11, fluo=4, bright=5)
    assert finished
    assert asked == [("fluo", FLUO, 11), ("bright", BRIGHT, 7)]
    assert said == ["finished", "finished"]


def test_a_network_that_is_stopped_ends_the_session(session):
    finished, asked, said = session(11, fluo=12, bright=5)
    assert not finished
    assert asked == [("fluo", FLUO, 11)]
    assert said[0] == "fluo: stopped cleanly after step 7 of 9"
    assert "attach its output" in said[1]


def launched(monkeypatch, code: str, tmp_path) -> tuple[bool, list[str]]:
    """Let a line of Python stand for torchrun and what it starts."""
    monkeypatch.setattr(training, "_TORCHRUN", (sys.executable, "-c", code))
    said: list[str] = []
    return train_networks(tmp_path, {"fluo": "fluorescence"}, "demo", hours=1, processes=2, say=said.append), said


def test_several_processes_that_stop_in_order_are_no_failure(monkeypatch, tmp_path):
    code = "import sys; print('step 1'); print('kit: --max-hours 1: stopped cleanly after step 1 of 4'); print('75'); sys.exit(1)"
    finished, said = launched(monkeypatch, code, tmp_path)
    assert not finished
    assert said[:2] == ["step 1", "fluo: --max-hours 1: stopped cleanly after step 1 of 4"]
    assert launched(monkeypatch, "print('fluo: 4 steps')", tmp_path) == (True, ["fluo: 4 steps"])


def test_a_failure_gives_the_reason_and_not_torchruns_report(monkeypatch, tmp_path):
    code = "import sys; print('kit: no space left for x'); print('Traceback of torchrun'); sys.exit(1)"
    with pytest.raises(KitError, match=r"^training fluo failed: no space left for x$") as caught:
        launched(monkeypatch, code, tmp_path)
    assert caught.value.lines[-1] == "Traceback of torchrun"
    with pytest.raises(KitError, match=r"^training fluo failed: exit 3$"):
        launched(monkeypatch, "import sys; sys.exit(3)", tmp_path)


@pytest.mark.slow
def test_two_processes_of_torchrun_stop_in_order_and_the_run_goes_on(tmp_path):
    make_work(tmp_path, wells=6, sites=2, side=64)
    settings = [*SHORT, "train.max_steps=3", "train.batch=4", "model.depth=1"]
    said: list[str] = []
    asked = {"settings": settings, "say": said.append}
    assert not train_networks(tmp_path, {"net": "AGP,RNA"}, "demo", hours=1e-9, processes=2, **asked)
    assert sum("net: --max-hours 1e-09: stopped cleanly after step 2 of 3" in line for line in said) == 1
    assert train_networks(tmp_path, {"net": "AGP,RNA"}, "demo", hours=1, **asked)
    assert said[-1].startswith("net: 3 steps in ")
