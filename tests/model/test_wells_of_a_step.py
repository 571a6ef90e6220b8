"""What a training step sees of wells, watched in whole runs through loader and trainer, on one process and on two."""

import os
from itertools import chain

import numpy as np
import pytest
import torch
import torch.distributed as dist

import kit.model.loop
from kit.images.store.work import open_work
from tests.images.made_work import CHANNELS, made_site, make_work
from tests.model.processes import run_two_ranks
from tests.model.run_tiny import run_tiny
from tests.model.tiny import as_numpy
from tests.oracle import dinov2_numpy

STEPS, BATCH = 8, 6
LONE = [("P1", f"A{well:02d}") for well in range(1, 9)]  # wells with one site, of 24
WHOLE = {
    "crops": {"global_side": 32, "global_area": (1.0, 1.0), "global_aspect": (1.0, 1.0), "flips": False, "quarter_turns": False},
    "views": {"style": "none"},
}
DRAWN = {}


def watch(work, run: str, patch: pytest.MonkeyPatch, **changes) -> list[dict]:
    """Train a few steps and return of each: who was in it, the views, the student before it and the KoLeo loss it reported."""
    steps: list[dict] = []
    make, learn = kit.model.loop.make_views, kit.model.loop.learn

    def making(batch, *rest, **more):
        views = make(batch, *rest, **more)
        steps.append({"who": [tuple(who) for who in batch.who], "views": {name: view.numpy() for name, view in views.items()}})
        return views

    def learning(learner, *rest):
        steps[-1]["student"] = {name: value.copy() for name, value in as_numpy(learner.student.backbone).items()}
        report = learn(learner, *rest)
        steps[-1]["koleo"] = float(report.parts["koleo"])
        return report

    patch.setattr(kit.model.loop, "make_views", making)
    patch.setattr(kit.model.loop, "learn", learning)
    run_tiny(work, run, train={"max_steps": STEPS, "batch": BATCH}, model={"drop_path": 0.0}, **changes)
    return steps


def one_of_two(rank: int, work, out: str) -> None:
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{out}store", rank=rank, world_size=2)
    os.environ |= {"RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": "2"}
    with pytest.MonkeyPatch.context() as patch:
        np.save(f"{out}{rank}.npy", np.array(watch(work, "two", patch, **DRAWN), dtype=object), allow_pickle=True)


@pytest.fixture(scope="module")
def work(tmp_path_factory):
    path = tmp_path_factory.mktemp("work")
    make_work(path, lone=LONE)
    return path


@pytest.fixture(scope="module")
def runs(work, tmp_path_factory):
    """Per run, per step, what each of its ranks saw."""
    out = str(tmp_path_factory.mktemp("ranks")) + "/"
    found = {}
    for name, changes in {"whole sites": WHOLE, "one process": DRAWN}.items():
        with pytest.MonkeyPatch.context() as patch:
            found[name] = [[step] for step in watch(work, name.replace(" ", "-"), patch, **changes)]
    run_two_ranks(one_of_two, work, out)
    ranks = [np.load(f"{out}{rank}.npy", allow_pickle=True) for rank in range(2)]
    found["two processes"] = list(zip(*ranks, strict=True))
    return found


RUNS = ["whole sites", "one process", "two processes"]


@pytest.mark.parametrize("run", RUNS)
def test_a_well_comes_at_most_once_in_the_global_batch(runs, run):
    assert len(runs[run]) == STEPS
    for ranks in runs[run]:
        assert {len(rank["who"]) for rank in ranks} == {BATCH // len(ranks)}
        wells = [who[:2] for who in chain.from_iterable(rank["who"] for rank in ranks)]
        assert len(set(wells)) == BATCH


def test_two_processes_share_the_samples_of_one(runs):
    for (alone,), ranks in zip(runs["one process"], runs["two processes"], strict=True):
        assert alone["who"] == ranks[0]["who"] + ranks[1]["who"]
        for name, view in alone["views"].items():
            assert np.array_equal(view, np.concatenate([rank["views"][name] for rank in ranks]))


def class_tokens(ranks: tuple[dict, ...], view: str) -> np.ndarray:
    """The student's class tokens of the global batch, by the independent reading of the network."""
    pixels = np.concatenate([rank["views"][view] for rank in ranks]).astype(np.float64)
    return dinov2_numpy.vit(pixels, ranks[0]["student"], patch=4, depth=2, heads=2)[0]


@pytest.mark.parametrize("run", RUNS)
def test_koleo_is_taken_of_each_view_over_the_global_batch_and_never_across_views(runs, run):
    """With whole sites, v2 of a well with one site is v1 to the bit: across views their distance would be 0, the loss near 18."""
    for ranks in runs[run]:
        tokens = [class_tokens(ranks, view) for view in ("v1", "v2")]
        expected = sum(dinov2_numpy.koleo(part) for part in tokens)
        for rank in ranks:
            assert rank["koleo"] == pytest.approx(expected, rel=1e-4)
        across = 2 * dinov2_numpy.koleo(np.concatenate(tokens))
        assert abs(across - expected) > 0.01 * abs(expected)
        if len(ranks) > 1:
            own = sum(dinov2_numpy.koleo(part[: BATCH // 2]) for part in tokens)
            assert abs(own - expected) > 0.01 * abs(expected)


def samples(steps):
    """Each sample of a run: who it is and its three views."""
    for ranks in steps:
        for rank in ranks:
            for i, who in enumerate(rank["who"]):
                yield who, {name: view[i] for name, view in rank["views"].items()}


def test_v2_shows_another_site_of_the_well_or_the_one_it_has(runs, work):
    mean_C11, sd_C11 = (values[:, None, None] for values in open_work(work).channel_stats(CHANNELS))
    lone = 0
    for (plate, well, site, second), views in samples(runs["whole sites"]):
        assert (second == site) == ((plate, well) in LONE)
        lone += second == site
        for name, number in (("v1", site), ("w", site), ("v2", second)):
            expected = (made_site(plate, well, number) / 255 - mean_C11) / sd_C11
            assert np.abs(views[name] - expected).max() < 1e-5
    assert 0 < lone < STEPS * BATCH


@pytest.mark.parametrize("run", ["one process", "two processes"])
def test_v2_of_a_well_with_one_site_is_a_further_view_of_it(runs, run):
    seen = 0
    for who, views in samples(runs[run]):
        if who[:2] in LONE:
            seen += 1
            differences = [np.abs(views[a] - views[b]).mean() for a, b in (("v1", "v2"), ("w", "v2"), ("v1", "w"))]
            assert min(differences) > 0.1
    assert seen
