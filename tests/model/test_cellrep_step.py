"""CellRep's training step: the losses of its section A.1 by numpy, whose front the teacher has, and who sees which channels."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from kit.config import RunConfig
from kit.errors import UsageError
from kit.model.bag import one_channel_samples
from kit.model.channel_drop import drop_channels
from kit.model.distributed import ONE, Group
from kit.model.losses import kl_to_uniform
from kit.model.step import learn
from tests.model.tiny import as_numpy, random_views, tiny_config, tiny_learner
from tests.oracle import cellrep_numpy, dinov2_numpy
from tests.oracle.slopes import assert_slopes, gradients_of

MODEL = {"stem": "mixer", "channel_filters": 3, "mixer_blocks": 1, "depth": 1, "patch": 8}
LOSS = {"scale": "sum", "kl_weight": 0.3, "local_weight": 0.7, "ibot_weight": 0.0, "koleo_weight": 0.0, "mask_share": 0.0,
        "targets": "centring"}  # fmt: skip
CROPS = {"second_site": False, "local_crops": 2, "local_side": 8}


def cellrep_config(**changes) -> RunConfig:
    tables = {"model": MODEL, "loss": LOSS, "crops": CROPS, "train": {"batch": 3}}
    return tiny_config(**{name: table | changes.get(name, {}) for name, table in tables.items()})


def by_hand(views, student: dict, teacher: dict, centre_K) -> tuple[float, float, float]:
    """L_global, L_local and KL of section A.1: numpy alone, front, backbone, head and losses."""
    L = CROPS["local_crops"]

    def logits(weights, view):
        cls = cellrep_numpy.backbone(view.numpy(), dinov2_numpy.part(weights, "backbone."), patch=8, blocks=1, depth=1, heads=2)[
            0
        ]
        return dinov2_numpy.head_logits(cls, dinov2_numpy.part(weights, "dino_head."))

    of_student, of_teacher = (np.stack([logits(w, views[name]) for name in ("v1", "w")]) for w in (student, teacher))
    local = np.stack([logits(student, views["local"][crop::L]) for crop in range(L)])
    return cellrep_numpy.losses(of_student, local, of_teacher, centre=centre_K.numpy())


def another_teacher(learner) -> None:
    """Give the teacher weights of its own, and a centre that counts."""
    with torch.no_grad():
        for parameter in learner.teacher.parameters():
            parameter.mul_(1.1)
        learner.centres.cls_K = 0.02 * torch.randn(40, generator=torch.Generator().manual_seed(2), dtype=torch.float64)


def test_the_loss_is_the_papers_sum_over_pairs():
    config = cellrep_config()
    learner, views = tiny_learner(config), random_views(config, 0)
    another_teacher(learner)
    whole, local, kl = by_hand(views, as_numpy(learner.student), as_numpy(learner.teacher), learner.centres.cls_K)
    parts = {name: float(value) for name, value in learn(learner, views, 0).parts.items()}
    assert parts["dino"] == pytest.approx(whole + 0.7 * local, rel=1e-10)
    assert (parts["kl"], parts["loss"]) == (
        pytest.approx(kl, rel=1e-10),
        pytest.approx(whole + 0.7 * local + 0.3 * kl, rel=1e-10),
    )
    assert parts["dino_site"] == pytest.approx(whole / 2, rel=1e-10)  # the metrics stay means
    assert parts["dino_local"] == pytest.approx(local / 4, rel=1e-10)
    assert kl > 0
    assert "ibot" not in parts


def test_the_gradient_of_the_sum_is_the_papers():
    """Of every parameter of the student, front, backbone and head, by central differences of the numpy reading."""
    config = cellrep_config(train={"batch": 2, "clip": 1e9})
    learner, views = tiny_learner(config), random_views(config, 0)
    another_teacher(learner)
    weights, teacher = ({name: value.copy() for name, value in as_numpy(x).items()} for x in (learner.student, learner.teacher))
    centre = learner.centres.cls_K.clone()
    learn(learner, views, 0)
    gradients = gradients_of(learner.student)
    assert {name for name in weights if name not in gradients} == {"backbone.mask_token"}

    def total(student: dict) -> float:
        whole, local, kl = by_hand(views, student, teacher, centre)
        return whole + 0.7 * local + 0.3 * kl

    assert_slopes(total, weights, gradients)


def test_kl_is_nil_for_even_use_and_its_gradient_is_numpys():
    generator = torch.Generator().manual_seed(1)
    rows = torch.randn(6, 5, generator=generator, dtype=torch.float64).requires_grad_()
    prototypes = torch.randn(7, 5, generator=generator, dtype=torch.float64).requires_grad_()
    value = kl_to_uniform(rows, prototypes, 0.5, chunk=4)
    value.backward()
    rng = np.random.default_rng(0)

    def kl(rows_RH, prototypes_KH):
        mean_K = dinov2_numpy.softmax(rows_RH @ prototypes_KH.T / 0.5).mean(0)
        return (np.log(1 / len(mean_K)) - np.log(mean_K)).mean()

    plain = [tensor.detach().numpy() for tensor in (rows, prototypes)]
    assert float(value.detach()) == pytest.approx(kl(*plain), rel=1e-12)
    for place, tensor in enumerate((rows, prototypes)):
        direction, step = rng.normal(size=tensor.shape), 1e-6
        ends = [kl(*[x + sign * step * direction if i == place else x for i, x in enumerate(plain)]) for sign in (1, -1)]
        assert float((tensor.grad.numpy() * direction).sum()) == pytest.approx((ends[0] - ends[1]) / step / 2, rel=1e-6)
    assert float(kl_to_uniform(rows[:1] * 0, prototypes, 0.5).detach()) == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize("front", ["own", "shared"])
def test_whose_front_the_teacher_has(front):
    learner = tiny_learner(cellrep_config(model={"front": front}))
    before = {name: value.copy() for name, value in as_numpy(learner.teacher).items()}
    learn(learner, random_views(learner.config, 2), 2)
    student, teacher = as_numpy(learner.student), as_numpy(learner.teacher)
    momentum = learner.schedules.at(2).momentum
    moved = 0
    for name, value in teacher.items():
        shared = front == "shared" and name.startswith(("backbone.patch_embed.", "backbone.mixer."))
        expected = student[name] if shared else momentum * before[name] + (1 - momentum) * student[name]
        np.testing.assert_allclose(value, expected, rtol=1e-12, atol=1e-14, err_msg=name)
        moved += shared and not np.array_equal(student[name], before[name])
    assert moved == (0 if front == "own" else 8 + 1 + 14)


@pytest.mark.parametrize("who", ["teacher", "student"])
def test_one_of_the_networks_misses_channels(who):
    """The same channels of an image in all its views; each number of them, from one to all, and other subsets at each step."""
    config = cellrep_config(loss={"drop_channels": who})
    views = {name: view.clone() for name, view in random_views(config, 0).items()}
    for view in views.values():
        view[:] = torch.arange(3.0)[None, :, None, None]  # a channel is known by its value
    other = {"teacher": "student", "student": "teacher"}[who]
    assert drop_channels(views, config, other, 3, step=0, group=ONE) is views
    counts, kept = set(), set()
    for step in range(20):
        seen = drop_channels(views, config, who, 3, step=step, group=ONE)
        channels = seen["v1"][:, :, 0, 0]
        counts.add(channels.shape[1])
        kept |= {tuple(row.tolist()) for row in channels}
        assert torch.equal(seen["w"][:, :, 0, 0], channels)
        assert torch.equal(seen["local"][:, :, 0, 0], channels.repeat_interleave(2, 0))
        halves = [drop_channels({"v1": views["v1"][:1]}, config, who, 1, step=step, group=Group(rank, 3)) for rank in range(3)]
        assert torch.equal(torch.cat([half["v1"] for half in halves]), seen["v1"]), "ranks see their part"
    assert counts == {1, 2, 3}
    assert len(kept) == 7
    learner = tiny_learner(config)
    assert np.isfinite(float(learn(learner, random_views(config, 1), 1).parts["loss"]))


def test_what_contradicts_is_refused():
    with pytest.raises(UsageError, match=r"loss\.drop_channels = teacher needs model\.stem = mixer"):
        tiny_config(loss={"drop_channels": "teacher"})
    with pytest.raises(UsageError, match=r"loss\.scale = sum: need mean for loss\.local_aggregation = true"):
        tiny_config(loss={"scale": "sum", "local_aggregation": True})
    config = tiny_config(model={"bag": True})
    views = replace(config.views, normalise="crop", composite="wheel")
    with pytest.raises(UsageError, match=r"model\.bag = true needs views\.composite = none"):
        replace(config, views=views)


def test_ibot_on_is_a_switch():
    config = cellrep_config(loss={"ibot_weight": 1.0, "mask_share": 0.5, "mask_ratio": (0.3, 0.5)}, model={"patch": 4})
    parts = learn(tiny_learner(config), random_views(config, 0), 0).parts
    assert float(parts["ibot"]) > 0


def test_a_bag_trains_on_every_channel_as_a_sample():
    """A step on folded views is the step of a one-channel run whose batch holds every channel."""
    views = random_views(config := tiny_config(crops=CROPS | {"local_side": 16}, model={"bag": True}, train={"batch": 2}), 0)
    folded = one_channel_samples(views, 2)
    assert folded["v1"].shape == (6, 1, 16, 16)
    assert torch.equal(folded["v1"][4, 0], views["v1"][1, 1])
    assert torch.equal(folded["local"][2 * 4 + 1, 0], views["local"][2 + 1, 1])  # sample 1, channel 1, its second crop
    one = replace(config, channels=("DNA",), model=replace(config.model, bag=False), train=replace(config.train, batch=6))
    losses = [float(learn(tiny_learner(each), folded, 0).parts["loss"]) for each in (config, one)]
    assert losses[0] == losses[1]


def test_a_bags_vectors_are_those_of_its_channels_side_by_side():
    learner = tiny_learner(tiny_config(model={"bag": True}))
    view, network = random_views(learner.config, 0)["v1"], learner.teacher.backbone
    tokens, alone = network(view), [network(view[:, [channel]]) for channel in range(3)]
    torch.testing.assert_close(tokens.cls_BD, torch.cat([one.cls_BD for one in alone], 1), rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(tokens.patch_BND, torch.cat([one.patch_BND for one in alone], 2), rtol=1e-12, atol=1e-12)
    assert learner.config.width == tokens.cls_BD.shape[1] == 72
