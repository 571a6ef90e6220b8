"""The bench of the step loses nothing to a kill, a fault or the end of its time, and its rows are what they say."""

import json

import pytest
import torch
from triton.errors import TritonError

from kit.bench import steps
from kit.bench.step_case import KIT, PLAIN, Row, at_largest_batch
from kit.bench.timebox import Timebox
from kit.errors import KitError


def read(path):
    return json.loads(path.read_text())


def test_the_file_is_whole_after_every_row(tmp_path):
    path = tmp_path / "found.json"
    box = Timebox(60, path, {"card": "none"})
    assert read(path)["rows"] == []

    def fail():
        raise KitError("no such thing\nsecond line")

    def not_compiled():
        raise TritonError("at 7:11")

    def killed():
        raise KeyboardInterrupt

    assert box.run("one", lambda: ({"name": "one"}, "one: 1")) == {"name": "one"}
    assert box.run("two", fail) is None
    assert box.run("two and a half", not_compiled) is None  # Triton's errors are no RuntimeError
    with pytest.raises(KeyboardInterrupt):
        box.run("three", killed)
    found = read(path)
    assert found["rows"] == [{"name": "one"}, {"name": "two", "error": "KitError: no such thing"},
                             {"name": "two and a half", "error": "TritonError: at 7:11"}]  # fmt: skip
    assert not found["finished"]
    box.finish()
    assert read(path)["finished"]


def test_no_row_starts_that_would_not_end_in_time(tmp_path, monkeypatch):
    now = iter([0.0, 1.0, 31.0, 32.0, 32.0, 33.0])  # made; a row of 30 s; its like is refused; another kind runs
    monkeypatch.setattr("kit.bench.timebox.time.monotonic", lambda: next(now))
    box = Timebox(60, tmp_path / "found.json", {})
    for name, kind in (("long", "compiled"), ("like it", "compiled"), ("short", "row")):
        box.run(name, lambda name=name: ({"name": name}, name), kind=kind)
    found = read(tmp_path / "found.json")
    assert [row["name"] for row in found["rows"]] == ["long", "short"]
    assert found["left_out"] == ["like it"]


def test_a_tiny_run(tmp_path, capsys):
    path = tmp_path / "steps.json"
    tiny = ["--tiny", "--device", "cpu", "--batch", "2", "--each", "0", "--json", str(path)]
    steps.main([*tiny, "--part", "sizes", "--only", "ViT-S/14 224 px DINOv2"])
    ours, plain = read(path)["rows"]
    assert (ours["contestant"], plain["contestant"]) == (KIT, PLAIN)
    assert ours["loss"] == pytest.approx(plain["loss"], rel=1e-4)
    assert ours["tflop"] == plain["tflop"] > 0
    assert set(ours["sections"]) == set(plain["sections"]) == {"views", "teacher", "student", "losses", "optimiser"}
    assert ours["peak_share"] == pytest.approx(ours["tflop"] / ours["seconds"] / read(path)["matmul_tflops"])
    assert f"kit is {ours['images_per_s'] / plain['images_per_s']:.2f} x plain PyTorch" in capsys.readouterr().out


def test_every_way_of_an_op_is_timed_or_named_with_a_reason(tmp_path):
    path = tmp_path / "ops.json"
    steps.main(["--tiny", "--device", "cpu", "--part", "choices", "--only", "attention, 10", "--json", str(path)])
    (row,) = read(path)["rows"]
    assert row["ms"]["flash"] > 0
    assert row["ms"]["math"] > 0
    assert "No viable backend" in row["ms"]["cudnn"]


def test_the_choices_come_beside_the_case_they_change():
    rows = [{"name": "A", "contestant": KIT, "images_per_s": 2.0}, {"name": "A", "contestant": PLAIN, "images_per_s": 1.0}]
    rows += [{"name": "A, train.compile=true", "contestant": KIT, "images_per_s": 3.0}, {"name": "B", "error": "RuntimeError"}]
    assert steps.ratios(rows) == ["A: kit is 2.00 x plain PyTorch", "A: train.compile=true is 1.50 x kit as it is"]
    names = [case.name for case, _ in steps.plan_of("all")]
    assert names[:2] == ["ViT-S/14 518 px SSLProfiler"] * 2
    assert names[4].endswith(", train.compile=true")
    assert [len(list(steps.plan_of(part))) for part in ("sizes", "choices")] == [16, 2 + 2 * len(steps.CHOICES)]
    assert len(set(names)) == len(steps.SIZES) + 2 * len(steps.CHOICES)
    assert {case.config(4, tiny=False).model.dim for case in steps.SIZES} == {384, 768}


def test_a_row_by_hand():
    row = Row("a case", KIT, 128, 5, 0.25, 1.0, 100.0, 0.5, {"student": 200.0}, 40.25, 50.0, 15.0)
    assert row.images_per_s == 512
    assert row.text() == (
        "a case, batch 128, kit: 512 img/s, 250 ms   50% of the matmul rate  40.2 GB (planned 50.0)  "
        "loss 15.0000  ms: student 200"
    )


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_gpu_that_is_not_there(capsys):
    with pytest.raises(SystemExit):
        steps.main(["--device", "cuda"])
    assert "torch sees no GPU here; --device cpu measures on the CPU" in capsys.readouterr().err


def test_a_batch_that_does_not_fit_is_halved_until_one_does():
    asked = []

    def take(batch, fits=3):
        asked.append(batch)
        if batch > fits:
            raise torch.OutOfMemoryError
        return batch

    assert at_largest_batch(16, torch.device("cpu"), take) == 2
    assert asked == [16, 8, 4, 2]
    with pytest.raises(torch.OutOfMemoryError):
        at_largest_batch(2, torch.device("cpu"), lambda batch: take(batch, fits=0))
