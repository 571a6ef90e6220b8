"""What the bench prints and measures; no timing is asserted."""

import json
import math
import sys
import time
from types import SimpleNamespace

import pytest
import torch
from triton.errors import TritonError

from kit.kernels import bench, bench_step, bench_view
from kit.kernels.timing import Contestant, Row, Task, measure


def test_share_of_the_whole():
    rows = [Row("kit", 2.0), Row("step", 38.0)]
    assert bench.share(rows, "step") == pytest.approx(0.05)
    assert bench.share(rows, "") is None
    assert bench.share([rows[0], Row("step", None)], "step") is None
    found = bench.run(
        Task("part", "cpu", 1, 1, (Contestant("kit", lambda: 0), Contestant("step", lambda: 0)), part_of="step"), 0.01
    )
    assert f"kit: {100 * found['share']:.2f} % of the time of both" in bench.to_text(found, None)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU: it is measured")
def test_the_step_is_not_measured_without_a_gpu():
    (task,) = bench_step.tasks("cpu")
    assert bench.to_text(bench.run(task), None).count("not measured: no GPU") == 2


def test_the_step_goes_back_to_every_weight():
    step = bench_step.network_step(torch.rand(2, 3, 28, 28), dim=16, depth=2, heads=2)
    step()
    student, teacher = (step.__closure__[step.__code__.co_freevars.index(name)].cell_contents for name in ("student", "teacher"))
    assert all(weight.grad is not None and weight.grad.any() for weight in student.blocks.parameters() if weight.ndim > 1)
    assert all(weight.grad is None for weight in teacher.parameters())


@pytest.mark.parametrize("error", [torch.OutOfMemoryError, TritonError, AttributeError])  # Triton's is no RuntimeError
def test_a_contestant_that_fails_is_named_and_costs_the_others_nothing(error):
    def fail():
        raise error("out of memory\nmore")

    assert measure(Contestant("rival", fail), "cpu", 0.0) == Row("rival", None, "failed: out of memory")
    found = bench.run(Task("t", "cpu", 1, 1, (Contestant("kit", fail), Contestant("rival", int)), error=fail), 0.0)
    text = bench.to_text(found, 100.0)
    assert "largest error not to be had: out of memory" in text
    assert "kit                                  failed: out of memory" in text
    assert found["rows"][1]["ms"] >= 0


@pytest.mark.parametrize(("version", "reason"), [("0.8.3", "kornia 0.8.3 blurs"), ("0.10.0", "KIT_BENCH_COMPILE=1")])
def test_kornia_races_with_its_separable_field_alone(version, reason, monkeypatch):
    parts = dict.fromkeys(("AugmentationSequential", "RandomElasticTransform", "RandomRotation"), lambda *_, **__: None)
    pipeline = SimpleNamespace(**parts)
    monkeypatch.setitem(sys.modules, "kornia", SimpleNamespace(augmentation=pipeline))
    monkeypatch.setitem(sys.modules, "kornia.augmentation", pipeline)
    monkeypatch.setattr(bench_view.importlib.util, "find_spec", lambda name: name)
    monkeypatch.setattr(bench_view.importlib.metadata, "version", lambda name: version)
    monkeypatch.delenv("KIT_BENCH_COMPILE", raising=False)
    contestant = bench_view._kornia(SimpleNamespace(device="cpu"), compiled=True)
    assert contestant.run is None
    assert contestant.skip.startswith(reason)


def test_slow_downs_are_printed():
    found = {"task": "t", "device": "cpu", "bytes": 1, "largest_error": None, "share": None}
    rows = [{"name": name, "ms": ms, "cpu_ms": None, "note": ""} for name, ms in (("kit", 2.0), ("rival", 1.0))]
    assert "0.50x" in bench.to_text(found | {"rows": rows}, None)


def test_tables_that_there_is_no_time_for_are_named_and_the_file_is_whole_after_each(tmp_path):
    path, calls = tmp_path / "found.json", []

    def slow():
        calls.append(json.loads(path.read_text())["tasks"] if path.is_file() else [])
        time.sleep(0.2)

    tasks = [Task(title, "cpu", 1, 1, (Contestant("kit", run),)) for title, run in (("one", int), ("two", slow), ("three", slow))]
    found = {"tasks": [], "left_out": []}
    bench.race(tasks, time.monotonic() + 0.3, found, None, path)
    assert json.loads(path.read_text()) == found
    assert [table["task"] for table in found["tasks"]] == ["one", "two"]
    assert found["left_out"] == ["three on cpu"]
    assert [table["task"] for table in calls[0]] == ["one"]  # a kill during the second loses nothing of the first
    without = {"tasks": [], "left_out": []}
    bench.race(tasks[:1], math.inf, without, None, None)
    assert len(without["tasks"]) == 1
