"""SimCLR: NT-Xent against a reading in plain numpy, and its step: micro-batches, ranks, pairs of sites."""

import numpy as np
import pytest
import torch

from kit.config import LossConfig
from kit.errors import UsageError
from kit.model.arrangement import arrange
from kit.model.draws import draw_step
from kit.model.learner import Learner, make_learner
from kit.model.seeded import seeded_trained
from kit.model.simclr import nt_xent
from kit.model.step import learn
from tests.model.tiny import as_double, as_numpy, assert_near, random_views, stir, tiny_config
from tests.oracle import dinov2_numpy, teacherless_numpy
from tests.oracle.slopes import assert_slopes, gradients_of

SIMCLR = {"objective": "simclr", "head_layers": 2, "head_batchnorm": True, "student_temperature": 0.3}


def slopes(function, x: np.ndarray, step: float = 1e-6) -> np.ndarray:
    """Return the gradient of a function of an array by central differences."""
    found = np.zeros_like(x)
    for place in np.ndindex(x.shape):
        up, down = x.copy(), x.copy()
        up[place] += step
        down[place] -= step
        found[place] = (function(up) - function(down)) / (2 * step)
    return found


@pytest.mark.parametrize("temperature", [0.1, 0.7])
def test_nt_xent_is_that_of_the_paper_by_value_and_gradient(temperature):
    random = np.random.default_rng(1)
    first, second = random.normal(size=(4, 3)), 3 * random.normal(size=(4, 3))
    a, b = (torch.tensor(x, requires_grad=True) for x in (first, second))
    loss = nt_xent(a, b, temperature)
    assert loss.item() == pytest.approx(teacherless_numpy.nt_xent(first, second, temperature), rel=1e-12)
    loss.backward()
    assert_near(a.grad, slopes(lambda x: teacherless_numpy.nt_xent(x, second, temperature), first), 1e-7)
    assert_near(b.grad, slopes(lambda x: teacherless_numpy.nt_xent(first, x, temperature), second), 1e-7)


def test_nt_xent_of_alike_and_of_perfect_views():
    alike = torch.ones(5, 4)
    assert float(nt_xent(alike, alike, 0.2)) == pytest.approx(np.log(9))  # nine others, all alike
    apart = torch.eye(4)
    assert float(nt_xent(apart, apart, 0.01)) < 1e-9


class OneOfTwo:
    """A rank of two that knows what the other one has: only its own rows carry a gradient, as in Group."""

    world = 2

    def __init__(self, rank: int, whole: list[torch.Tensor]):
        self.rank, self.whole = rank, list(whole)

    def gather_rows(self, x: torch.Tensor) -> torch.Tensor:
        other = self.whole.pop(0).detach().chunk(2)
        return torch.cat([x if rank == self.rank else other[rank] for rank in range(2)])


def test_gradients_of_two_ranks_are_those_of_the_whole_batch():
    first, second = (torch.randn(6, 4, dtype=torch.float64, requires_grad=True) for _ in range(2))
    whole = nt_xent(first, second, 0.5)
    expected = torch.autograd.grad(whole, (first, second))
    unit = [torch.nn.functional.normalize(x, dim=-1) for x in (first, second)]
    for rank in range(2):
        share = nt_xent(first.chunk(2)[rank], second.chunk(2)[rank], 0.5, OneOfTwo(rank, unit))
        assert share.item() == pytest.approx(whole.item())
        for found, all_rows in zip(torch.autograd.grad(share, (first, second)), expected, strict=True):
            own = slice(3 * rank, 3 * rank + 3)
            assert_near(found[own], all_rows[own], 1e-12)


def learner(**changes) -> Learner:
    config = tiny_config(**{**changes, "loss": SIMCLR | changes.get("loss", {})})
    networks = [seeded_trained(config.model, config.loss, len(config.channels), 3).double() for _ in range(2)]
    stir(networks[0], 5)
    return make_learner(config, *networks, steps=8, steps_per_epoch=4)


def test_a_step_is_the_loss_of_the_projections_and_moves_the_embedded_network_with_the_student():
    found = learner(model={"drop_path": 0.3})
    views, before = random_views(found.config, 1), as_double(found.student)
    draws = draw_step(found.config, found.arrangement, 6, step=1, group=found.group, device=torch.device("cpu"))
    stacked = torch.cat([views["v1"], views["w"]])
    cls_RD = found.student.backbone(stacked, None, draws.kept(slice(0, 6), local=False)).cls_BD
    z = found.student.projection(cls_RD).detach().numpy()
    report = learn(found, views, 1)
    assert float(report.parts["loss"]) == float(report.parts["nt_xent"])
    assert float(report.parts["loss"]) == pytest.approx(teacherless_numpy.nt_xent(z[:6], z[6:], 0.3), rel=1e-9)
    after = as_double(found.student)
    assert any(not torch.equal(before[name], after[name]) for name in before)
    assert all(torch.equal(value, after[name]) for name, value in as_double(found.teacher).items())


def test_a_whole_step_is_the_papers_by_value_and_gradient():
    """Backbone, projection and loss in numpy; the gradient that the step leaves on every parameter."""
    found = learner(train={"clip": 1e9, "batch": 3})
    views, weights = random_views(found.config, 2), {name: value.copy() for name, value in as_numpy(found.student).items()}
    both = np.concatenate([views["v1"].numpy(), views["w"].numpy()])

    def by_hand(w: dict) -> float:
        cls = dinov2_numpy.vit(both, dinov2_numpy.part(w, "backbone."), patch=4, depth=2, heads=2)[0]
        z = teacherless_numpy.projection(cls, dinov2_numpy.part(w, "projection."))
        return teacherless_numpy.nt_xent(z[:3], z[3:], 0.3)

    assert float(learn(found, views, 2).parts["loss"]) == pytest.approx(by_hand(weights), rel=1e-10)
    gradients = gradients_of(found.student)
    assert {name for name in weights if name not in gradients} == {"backbone.mask_token"}
    assert_slopes(by_hand, weights, gradients)


def test_micro_batches_change_nothing():
    whole, split = learner(), learner(train={"micro_batches": 3})
    for step in range(2):
        views = random_views(whole.config, step)
        one, many = learn(whole, views, step), learn(split, views, step)
        assert float(one.parts["loss"]) == pytest.approx(float(many.parts["loss"]), rel=1e-12)
    for name, value in as_double(whole.student).items():
        assert_near(as_double(split.student)[name], value, 1e-9, name)


def test_pairs_are_two_crops_of_a_site_or_two_sites_of_a_well():
    for well, names in ((False, ("v1", "w")), (True, ("v1", "v2"))):
        assert arrange(LossConfig(objective="simclr", local_aggregation=well), 0).groups == names
    with pytest.raises(UsageError, match=r"loss\.objective = simclr has no local crops: set crops\.local_crops = 0"):
        tiny_config(loss=SIMCLR, crops={"local_crops": 2})
