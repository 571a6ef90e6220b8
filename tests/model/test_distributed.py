"""Two processes equal one: the same batch split over gloo ranks gives the same losses and weights."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import torch.distributed as dist

from kit.errors import UsageError
from kit.model.distributed import ONE, Group, join_group
from kit.model.history import read_metrics
from kit.model.step import learn
from tests.images.made_work import make_work
from tests.model.processes import run_two_ranks
from tests.model.run_tiny import run_tiny
from tests.model.tiny import as_double, assert_near, random_views, tiny_config, tiny_learner

ROOT = Path(__file__).parents[2]
STEPS = 20
DTYPES = (torch.float64, torch.float32)
CASES = {
    "sinkhorn, local aggregation": {
        "model": {"drop_path": 0.2},
        "loss": {"local_aggregation": True, "symmetric": True, "head_batchnorm": True},
    },
    "centring, two views": {
        "crops": {"local_crops": 2, "local_side": 8},
        "loss": {"targets": "centring", "separate_ibot_head": True, "kl_weight": 0.3},
        "train": {"micro_batches": 2, "batch": 8},
    },
}


def train_part(case: str, dtype: torch.dtype, group: Group) -> tuple[list[float], dict]:
    """Train this rank's contiguous share of every batch."""
    config = tiny_config(**CASES[case])
    learner = tiny_learner(config, dtype=dtype, steps=STEPS, group=group)
    share = config.train.batch // group.world
    losses = []
    for step in range(STEPS):
        views = random_views(config, step, dtype=dtype)
        mine = {}
        for name, view in views.items():
            rows = share * len(view) // config.train.batch
            mine[name] = view[group.rank * rows : (group.rank + 1) * rows]
        losses.append(float(learn(learner, mine, step).parts["loss"]))
    return losses, as_double(learner.student) | {f"teacher.{name}": value for name, value in as_double(learner.teacher).items()}


def one_of_two(rank: int, store: str, out: str) -> None:
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{store}", rank=rank, world_size=2)
    results = {(case, dtype): train_part(case, dtype, Group(rank, 2)) for case in CASES for dtype in DTYPES}
    torch.save(results, f"{out}{rank}")
    dist.destroy_process_group()


@pytest.fixture(scope="module")
def both(tmp_path_factory):
    """What each of the two ranks found, for every case."""
    folder = tmp_path_factory.mktemp("ranks")
    run_two_ranks(one_of_two, str(folder / "store"), str(folder / "rank"))
    return [torch.load(folder / f"rank{rank}") for rank in range(2)]


@pytest.mark.parametrize("case", CASES)
def test_two_processes_equal_one_in_float64(both, case):
    losses, weights = train_part(case, torch.float64, ONE)
    for rank in range(2):
        rank_losses, rank_weights = both[rank][case, torch.float64]
        assert rank_losses == pytest.approx(losses, rel=1e-10)
        for name, value in weights.items():
            assert_near(rank_weights[name], value, 1e-10, name)
    assert losses[-1] != losses[0]


@pytest.mark.parametrize("case", CASES)
def test_two_processes_lose_as_one_in_float32(both, case):
    losses, _ = train_part(case, torch.float32, ONE)
    for rank in range(2):
        assert both[rank][case, torch.float32][0] == pytest.approx(losses, rel=1e-4)


@pytest.mark.slow
def test_torchrun_trains_the_same_run(tmp_path):
    """Two processes with the real loader against one process."""
    make_work(tmp_path)
    run_tiny(tmp_path, "one")
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2", "-m", "tests.model.run_tiny"]
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "KIT_QUIET": "1"}
    done = subprocess.run([*command, str(tmp_path), "two", "--resume"], cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    losses = [[line["loss"] for line in read_metrics(tmp_path / "runs" / name) if "loss" in line] for name in ("one", "two")]
    assert losses[1] == pytest.approx(losses[0], rel=1e-4)
    assert len(losses[0]) == 40


def test_torchruns_variables(monkeypatch):
    for name in ("RANK", "WORLD_SIZE", "LOCAL_RANK"):
        monkeypatch.delenv(name, raising=False)
    assert join_group() == ONE
    monkeypatch.setenv("RANK", "1")
    with pytest.raises(UsageError, match="WORLD_SIZE, LOCAL_RANK is not: start several processes with torchrun"):
        join_group()
