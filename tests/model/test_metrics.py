"""metrics.jsonl and its twin for TensorBoard."""

import sys

import pytest

from kit.errors import UsageError
from kit.model.metrics import Metrics, read_metrics


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
    with pytest.raises(UsageError, match="needs the package tensorboard: pip install tensorboard"):
        Metrics(tmp_path, step=0, tensorboard=True)


def test_tensorboard_gets_every_number(tmp_path, monkeypatch):
    written = []

    class Writer:
        def __init__(self, folder):
            self.folder = folder

        def add_scalar(self, name, value, step):
            written.append((name, value, step))

        def close(self):
            written.append("closed")

    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", type(sys)("board"))
    sys.modules["torch.utils.tensorboard"].SummaryWriter = Writer
    metrics = Metrics(tmp_path, step=0, tensorboard=True)
    metrics.write(3, {"loss": 2.0, "signs": {"used": 0.5}, "event": "knn"})
    metrics.close()
    assert written == [("loss", 2.0, 3), ("signs/used", 0.5, 3), "closed"]
