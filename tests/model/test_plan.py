"""Costs by hand, memory by measurement."""

from dataclasses import replace
from itertools import accumulate

import pytest
import torch

from kit.config import CHANNELS, ModelConfig
from kit.errors import UsageError
from kit.model.cost import forward_flops, masked_rows, step_flops, step_memory, ways_to_fit
from kit.model.dino import seeded_network
from kit.model.losses import prototype_loss, sinkhorn_bias
from kit.model.plan import plan
from kit.model.step import learn, make_learner
from kit.recipe import load_recipe
from tests.model.tiny import assert_near

FLUORESCENCE = CHANNELS[:5]


@pytest.mark.parametrize(("side", "gflop"), [(98, 2.2), (224, 12.3), (392, 45.3), (518, 93.8)])
def test_flops_of_vit_s(side, gflop):
    assert forward_flops(ModelConfig(), 5, side) / 1e9 == pytest.approx(gflop, rel=0.01)


def test_flops_of_a_step():
    """DINOv2 at batch 128 with two views of 518 px: 8 forwards of 128 views of 93.8 GFLOP, and 52,570 masked patches."""
    config = load_recipe("dinov2-518", ["crops.local_crops=0"], channels=FLUORESCENCE)
    assert step_flops(config, 5).backbone == pytest.approx(8 * 128 * 93.8e9, rel=0.001)
    assert masked_rows(config) == pytest.approx(52_570, rel=0.001)
    again = replace(config, train=replace(config.train, checkpoint_activations=True))
    assert step_flops(again, 5).backbone == pytest.approx(10 * 128 * 93.8e9, rel=0.001)
    local = load_recipe("sslprofiler-local", channels=FLUORESCENCE)
    assert step_flops(local, 5).backbone == pytest.approx(11 * 128 * 93.8e9, rel=0.001)


def test_the_step_of_batch_32_fits_14_gb():
    for recipe in ("dinov2-518", "sslprofiler-local"):
        config = load_recipe(recipe, ["train.batch=32", "crops.local_crops=0"], channels=FLUORESCENCE)
        with_checkpointing = replace(config, train=replace(config.train, checkpoint_activations=True))
        assert step_memory(with_checkpointing, 5).total < 14e9
    config = load_recipe("dinov2-518", ["train.batch=32", "crops.local_crops=0"], channels=FLUORESCENCE)
    assert step_memory(config, 5).activations == pytest.approx(17e9, rel=0.1)
    assert ways_to_fit(config, 5, 14e9)[0][0] == "train.checkpoint_activations=true"


def test_the_plans_of_the_recipes():
    text = plan(load_recipe("sslprofiler-local", channels=FLUORESCENCE), "kaggle-2xt4")
    assert "73,100, 731 an epoch" in text
    assert "sessions of 12 h on 2 x T4" in text
    assert "not measured" in text
    assert "--set train.checkpoint_activations=true: " in text
    assert "measured on one view now" in plan(load_recipe("demo", channels=FLUORESCENCE), "here")
    with pytest.raises(UsageError, match="needs --channels"):
        plan(load_recipe("demo"), "here")


def peak_bytes(run) -> int:
    """Return the most memory that a call held in tensors at once, temporaries of torch's operators included."""
    with torch.profiler.profile(profile_memory=True) as profile:
        run()
    events = [event for event in profile.profiler.kineto_results.events() if event.name() == "[memory]"]
    return max(accumulate(event.nbytes() for event in sorted(events, key=lambda event: event.start_ns())))


def rows(n: int, seed: int) -> torch.Tensor:
    return torch.nn.functional.normalize(torch.randn(n, 32, generator=torch.Generator().manual_seed(seed)), dim=1)


def plain_loss(student, prototypes, teacher, centres, weight) -> torch.Tensor:
    with torch.no_grad():
        Q = torch.exp(teacher @ centres.T / 0.05)
        for _ in range(3):
            Q /= Q.sum(0, keepdim=True) * Q.shape[1]
            Q /= Q.sum(1, keepdim=True) * Q.shape[0]
        Q *= len(Q)
    return -((Q * torch.log_softmax(student @ prototypes.T / 0.1, 1)).sum(1) * weight).sum()


def chunked_loss(student, prototypes, teacher, centres, weight) -> torch.Tensor:
    bias = sinkhorn_bias(teacher, centres, 0.05, steps=3, chunk=64)
    temperatures = {"student_temperature": 0.1, "teacher_temperature": 0.05}
    return prototype_loss(student, prototypes, teacher, centres, bias, weight, **temperatures, chunk=64)[0]


@pytest.mark.slow
def test_the_loss_takes_a_third_of_the_plain_forms_memory_at_most():
    R, K = 512, 65_536
    peaks, results = [], []
    for form in (plain_loss, chunked_loss):
        student, prototypes = rows(R, 1).requires_grad_(), rows(K, 2).requires_grad_()
        arguments = (student, prototypes, rows(R, 3), rows(K, 4), torch.full((R,), 1 / R))

        def run(form=form, arguments=arguments):
            loss = form(*arguments)
            loss.backward()
            results.append(loss.detach())

        peaks.append(peak_bytes(run))
        results.extend((student.grad, prototypes.grad))
    for plain, chunked in zip(results[:3], results[3:], strict=True):
        assert_near(chunked, plain, 1e-5)
    assert peaks[0] > 3 * 4 * R * K, "the plain form did hold several of its logits"
    assert peaks[1] < peaks[0] / 3


@pytest.mark.slow
@pytest.mark.parametrize("checkpointing", [True, False])
def test_the_planned_memory_is_what_a_step_takes(checkpointing):
    """518 px, batch 2, 65,536 prototypes; two blocks, so that the loss is not lost beside the backbone."""
    settings = [
        "train.batch=2",
        "model.depth=2",
        "loss.chunk_rows=256",
        f"train.checkpoint_activations={str(checkpointing).lower()}",
    ]
    config = load_recipe("sslprofiler-local", settings, channels=FLUORESCENCE)

    def run():
        networks = [seeded_network(config.model, config.loss, 5, 0) for _ in range(2)]
        learner = make_learner(config, *networks, steps=10, steps_per_epoch=10)
        views = {name: torch.randn(2, 5, 518, 518) for name in learner.arrangement.views}
        for step in range(2):  # the optimiser's moments are there from the second on
            learn(learner, views, step)

    assert step_memory(config, 5, half=False).total == pytest.approx(peak_bytes(run), rel=0.2)
