"""metrics.jsonl and its twin for TensorBoard."""

import sys

import pytest

from kit.errors import StoppedCleanly, UsageError
from kit.model.history import read_metrics
from kit.model.metrics import Metrics
from tests.images.made_work import label, make_work
from tests.model.run_tiny import run_tiny

NEEDS = "tensorboard is not installed: pip install cellpaint-kit[tensorboard]"


def test_lines_after_the_checkpoint_and_half_lines_are_taken_out(tmp_path):
    metrics = Metrics(tmp_path, step=0)
    for step in (10, 20, 30):
        metrics.write(step, {"loss": 1 / step})
    metrics.close()
    with (tmp_path / "metrics.jsonl").open("a") as file:
        file.write('{"step": 40, "lo')
    assert [line["step"] for line in read_metrics(tmp_path)] == [10, 20, 30]
    metrics = Metrics(tmp_path, step=20)
    metrics.write(30, {"loss": 5.0})
    metrics.close()
    assert read_metrics(tmp_path) == [{"step": 10, "loss": 0.1}, {"step": 20, "loss": 0.05}, {"step": 30, "loss": 5.0}]


def test_tensorboard_without_its_package_is_one_clear_line(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    with pytest.raises(UsageError, match=r"needs tensorboard: pip install cellpaint-kit\[tensorboard\]"):
        Metrics(tmp_path, step=0, tensorboard=True)


def read_board(folder) -> dict[str, list[tuple[int, float]]]:
    """Every scalar of the event files, by name: (step, value)."""
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator", reason=NEEDS)
    events = accumulator.EventAccumulator(str(folder), size_guidance={accumulator.SCALARS: 0})
    events.Reload()
    return {name: [(event.step, event.value) for event in events.Scalars(name)] for name in events.Tags()["scalars"]}


def test_tensorboard_reads_the_event_files_back(tmp_path):
    pytest.importorskip("tensorboard", reason=NEEDS)
    metrics = Metrics(tmp_path, step=0, tensorboard=True)
    for step in (10, 20, 30):
        metrics.write(step, {"loss": 1 / step, "signs": {"used": 0.5}, "event": "knn"})
    metrics.close()
    metrics = Metrics(tmp_path, step=20, tensorboard=True)  # a resume: step 30 is done again
    metrics.write(30, {"loss": 7.0, "signs": {"used": 0.25}})
    metrics.close()
    assert read_board(tmp_path / "tensorboard") == {
        "loss": [(10, pytest.approx(0.1)), (20, pytest.approx(0.05)), (30, 7.0)],
        "signs/used": [(10, 0.5), (20, 0.5), (30, 0.25)],
    }


def test_tensorboard_of_a_whole_run_says_what_metrics_jsonl_says(tmp_path):
    pytest.importorskip("tensorboard", reason=NEEDS)
    make_work(tmp_path)
    label(tmp_path, "P1", "P2")
    with pytest.raises(StoppedCleanly):
        run_tiny(tmp_path, "board", train={"max_steps": 4, "tensorboard": True, "knn_epochs": 0.25}, max_hours=0)
    run_tiny(tmp_path, "board", train={"max_steps": 4, "tensorboard": True, "knn_epochs": 0.25}, resume=True)
    lines = read_metrics(tmp_path / "runs" / "board")
    board = read_board(tmp_path / "runs" / "board" / "tensorboard")
    for name in ("loss", "koleo", "lr", "momentum", "sites_per_s", "accuracy"):
        assert board[name] == [(line["step"], pytest.approx(line[name])) for line in lines if name in line]
    assert board["signs/rank"] == [(line["step"], pytest.approx(line["signs"]["rank"])) for line in lines if "signs" in line]
    assert [step for step, _ in board["loss"]] == [1, 2, 3, 4]


def test_tensorboard_gets_every_number(tmp_path, monkeypatch):
    written = []

    class Writer:
        def __init__(self, folder, purge_step):
            written.append(purge_step)

        def add_scalar(self, name, value, step):
            written.append((name, value, step))

        def close(self):
            written.append("closed")

    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", type(sys)("board"))
    sys.modules["torch.utils.tensorboard"].SummaryWriter = Writer
    metrics = Metrics(tmp_path, step=2, tensorboard=True)
    metrics.write(3, {"loss": 2.0, "signs": {"used": 0.5}, "event": "knn"})
    metrics.close()
    assert written == [3, ("loss", 2.0, 3), ("signs/used", 0.5, 3), "closed"]
