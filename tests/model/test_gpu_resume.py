"""A run on one GPU that is stopped and resumed ends as the same run without a break."""

import pytest
import torch

from kit.errors import StoppedCleanly
from tests.on_gpu import GPU_TEST, the_store

pytestmark = GPU_TEST
LAST = "step_00000012"


@pytest.fixture
def folder(tmp_path):
    the_store()
    from tests.images.made_work import label, make_work

    make_work(tmp_path, wells=6)
    label(tmp_path, "P1", "P2")
    return tmp_path


@pytest.fixture
def deterministic():
    """torch's deterministic algorithms; conftest.py has set what cuBLAS needs for them."""
    torch.use_deterministic_algorithms(True)
    yield
    torch.use_deterministic_algorithms(False)


def both_ways(folder, **train):
    """Train `whole` without a break, and `cut` with one after each of six steps; return their last tensors and their losses."""
    from safetensors.torch import load

    from kit.model.history import read_metrics
    from tests.model.run_tiny import run_tiny

    train = {"max_steps": 12, **train}
    run_tiny(folder, "whole", train=train)
    for _ in range(6):
        with pytest.raises(StoppedCleanly):
            run_tiny(folder, "cut", resume=True, max_hours=0, train=train)
    run_tiny(folder, "cut", resume=True, train=train)
    runs = [folder / "runs" / name for name in ("whole", "cut")]
    tensors = [load((run / "checkpoints" / f"{LAST}.safetensors").read_bytes()) for run in runs]
    losses = [[line["loss"] for line in read_metrics(run) if "loss" in line] for run in runs]
    assert len(losses[0]) == len(losses[1]) == 12
    return tensors, losses


@pytest.mark.parametrize("precision", ["auto", "fp32"])
def test_resume_is_bit_for_bit_the_same_with_deterministic_algorithms(folder, deterministic, precision):
    (whole, cut), losses = both_ways(folder, precision=precision)
    assert whole.keys() == cut.keys()
    assert not [name for name in whole if not torch.equal(whole[name], cut[name])]
    assert losses[0] == losses[1]


def test_resume_is_the_same_to_1e_5_without_them(folder):
    (whole, cut), losses = both_ways(folder, precision="fp32")
    assert losses[1] == pytest.approx(losses[0], rel=1e-5)
    for name, value in whole.items():
        if name.startswith("teacher."):  # a mean of the student's weights over steps
            torch.testing.assert_close(cut[name], value, rtol=0, atol=1e-5 * max(1.0, float(value.abs().max())))
