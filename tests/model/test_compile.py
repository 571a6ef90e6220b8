"""train.compile: the same run as without it, to rounding."""

import shutil
from functools import partial
from pathlib import Path

import pytest
import torch

from kit.errors import KitError, StoppedCleanly
from kit.model.history import read_metrics
from tests.images.made_work import make_work
from tests.model.processes import start
from tests.model.run_tiny import run_tiny

# rows and the factor of drop path differ between student, teacher and local crops: every block is compiled more than once
CHANGES = {"crops": {"local_crops": 2, "local_side": 8}}
STEPS = 12


@pytest.fixture
def compiler(monkeypatch, tmp_path):
    """An empty cache of compiled code, and nothing compiled in this process."""
    if not (shutil.which("g++") or shutil.which("clang++")):
        pytest.skip("torch.compile needs a C++ compiler on the CPU")
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path / "compiled"))
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    torch.compiler.reset()
    yield
    torch.compiler.reset()
    torch.set_num_threads(threads)


def lines(folder: Path, run: str) -> list[dict]:
    return [line for line in read_metrics(folder / "runs" / run) if "loss" in line]


def assert_same_run(folder: Path, run: str) -> None:
    expected, found = lines(folder, "eager"), lines(folder, run)
    assert [line["step"] for line in found] == list(range(1, STEPS + 1))
    for name in ("loss", "dino", "ibot", "koleo"):
        assert [line[name] for line in found] == pytest.approx([line[name] for line in expected], rel=1e-4)
    for name in ("backbone", "dino_head"):
        norms = [[line["grad_norm"][name] for line in run_lines] for run_lines in (found, expected)]
        assert norms[0] == pytest.approx(norms[1], rel=1e-4)


@pytest.mark.slow
def test_a_compiled_run_is_the_eager_run_and_resumes(tmp_path, compiler):
    make_work(tmp_path)
    run_tiny(tmp_path, "eager", train={"max_steps": STEPS}, **CHANGES)
    assert lines(tmp_path, "eager")[-1]["loss"] != pytest.approx(lines(tmp_path, "eager")[0]["loss"], rel=0.1)
    compiled = {"max_steps": STEPS, "compile": True}
    run_tiny(tmp_path, "compiled", train=compiled, **CHANGES)
    assert torch._dynamo.utils.counters["stats"]["unique_graphs"] > 0
    assert_same_run(tmp_path, "compiled")
    with pytest.raises(StoppedCleanly):
        run_tiny(tmp_path, "resumed", train=compiled, max_hours=0, **CHANGES)
    torch.compiler.reset()
    run_tiny(tmp_path, "resumed", train=compiled, resume=True, **CHANGES)
    assert_same_run(tmp_path, "resumed")


@pytest.mark.slow
def test_compiled_with_checkpointing_and_micro_batches(tmp_path, compiler):
    make_work(tmp_path)
    run_tiny(tmp_path, "eager", train={"max_steps": STEPS}, **CHANGES)
    with pytest.raises(StoppedCleanly):
        run_tiny(tmp_path, "compiled", train={"max_steps": STEPS}, max_hours=0, **CHANGES)
    ways = {"max_steps": STEPS, "compile": True, "checkpoint_activations": True, "micro_batches": 2}
    run_tiny(tmp_path, "compiled", train=ways, resume=True, **CHANGES)  # an eager run may go on compiled
    assert_same_run(tmp_path, "compiled")


def test_without_a_compiler_one_clear_line(tmp_path):
    make_work(tmp_path)
    places = {"TORCHINDUCTOR_CACHE_DIR": str(tmp_path / "compiled"), "CXX": str(tmp_path / "no-compiler")}
    compiled = partial(run_tiny, train={"compile": True, "max_steps": 1})
    start(tmp_path / "errors", compiled, tmp_path, "one", **places).join()
    last = (tmp_path / "errors").read_text().splitlines()[-1]
    assert KitError.__name__ in last
    assert "train.compile = true, but torch cannot compile here" in last
    assert last.endswith("set train.compile = false")
