"""MAE: masks, decoder and loss against a reading in plain numpy, and its step."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from kit.config import LossConfig
from kit.errors import UsageError
from kit.model.arrangement import arrange
from kit.model.learner import Learner, make_learner
from kit.model.mae import Decoder, draw_visible, mae_errors, patchify, positions
from kit.model.seeded import seeded_trained
from kit.model.step import learn
from kit.model.vit import seeded_vit
from tests.model.test_simclr import slopes
from tests.model.tiny import as_double, as_numpy, assert_near, random_views, stir, tiny_config
from tests.oracle import dinov2_numpy, teacherless_numpy
from tests.oracle.slopes import assert_slopes, gradients_of

MAE = {"objective": "mae", "mae_decoder_dim": 16, "mae_decoder_depth": 1, "mae_decoder_heads": 2}


@pytest.mark.parametrize("norm_pixels", [True, False])
def test_the_loss_is_that_of_the_paper_by_value_and_gradient(norm_pixels):
    random = np.random.default_rng(2)
    x, painted = random.normal(3, 2, size=(2, 2, 6, 6)), random.normal(size=(2, 9, 8))
    visible = draw_visible(9, 2, masked=0.7, seed=1, step=0)
    assert visible.shape == (2, 2)  # int(9 * 0.3)
    rows = torch.tensor(painted, requires_grad=True)
    loss = mae_errors(rows, torch.tensor(x), torch.tensor(visible), 2, norm_pixels=norm_pixels).mean()
    assert loss.item() == pytest.approx(teacherless_numpy.mae_loss(painted, x, visible, 2, norm_pixels=norm_pixels), rel=1e-12)
    loss.backward()
    assert_near(rows.grad, slopes(lambda y: teacherless_numpy.mae_loss(y, x, visible, 2, norm_pixels=norm_pixels), painted), 1e-7)
    assert not rows.grad[0, visible[0]].any()


def test_a_flat_patch_has_a_finite_loss():
    errors = mae_errors(torch.zeros(1, 4, 4), torch.full((1, 1, 4, 4), 7.0), torch.tensor([[0]]), 2, norm_pixels=True)
    assert errors.tolist() == [0.0]


def test_masks_are_uniform_of_three_quarters_and_of_seed_and_step():
    visible = draw_visible(49, 4000, masked=0.75, seed=5, step=3)
    assert visible.shape == (4000, 12)
    assert (np.diff(visible, axis=1) > 0).all()
    share = np.bincount(visible.ravel(), minlength=49) / 4000
    assert np.abs(share - 12 / 49).max() < 5 * 0.5 / 4000**0.5
    assert np.array_equal(draw_visible(49, 4000, masked=0.75, seed=5, step=3), visible)
    assert not np.array_equal(draw_visible(49, 4000, masked=0.75, seed=5, step=4), visible)
    assert draw_visible(4, 1, masked=0.99, seed=0, step=0).shape == (1, 1)
    assert draw_visible(4, 1, masked=0.01, seed=0, step=0).shape == (1, 3)


def test_positions_are_sines_and_cosines_of_column_and_row():
    found = positions(5, 12).numpy()
    for row, column in ((0, 0), (2, 4), (4, 1)):
        for half, place in ((0, column), (6, row)):
            angles = [place / 10_000 ** (k / 3) for k in range(3)]
            expected = [*np.sin(angles), *np.cos(angles)]
            assert np.allclose(found[5 * row + column, half : half + 6], expected, atol=1e-12)


@pytest.mark.parametrize("stem", [{}, {"stem": "energy", "registers": 2}])
def test_the_backbone_sees_the_visible_patches_only_and_each_at_its_place(stem):
    config = tiny_config(model=stem)
    network = seeded_vit(config.model, 3, 1).double()
    stir(network, 4)
    x, visible = random_views(config, 0)["v1"][:2], torch.tensor([[1, 6, 11], [0, 2, 15]])
    tokens = network(x, visible_BV=visible)
    assert tokens.patch_BND.shape == (2, 3, 24)
    hidden = torch.ones(2, 16, dtype=torch.bool).scatter(1, visible, False).view(2, 1, 4, 4)
    noise = torch.randn_like(x) * hidden.repeat_interleave(4, 2).repeat_interleave(4, 3)
    other = network(x + noise, visible_BV=visible)
    assert_near(other.patch_BND.detach(), tokens.patch_BND.detach(), 1e-12)
    assert_near(other.cls_BD.detach(), tokens.cls_BD.detach(), 1e-12)
    swapped = network(x, visible_BV=visible[:, [2, 0, 1]])  # tokens come in the order asked for, whatever it is
    assert_near(swapped.patch_BND.detach(), tokens.patch_BND[:, [2, 0, 1]].detach(), 1e-12)
    every = network(x, visible_BV=torch.arange(16).repeat(2, 1))
    assert_near(every.patch_BND.detach(), network(x).patch_BND.detach(), 1e-12)


def test_the_decoder_puts_every_token_back_in_its_place():
    """Without blocks a patch's pixels are a function of its token and place alone; hidden ones all have the mask token."""
    config = tiny_config(loss=MAE)
    decoder = Decoder(config.model, config.loss, 3).double()
    decoder.layers = torch.nn.ModuleList()
    stir(decoder, 2)
    visible = torch.tensor([[3, 9]])
    tokens = seeded_vit(config.model, 3, 1).double()(random_views(config, 0)["v1"][:1], visible_BV=visible)
    painted = decoder(tokens, visible, 4)[0]
    assert painted.shape == (16, 4 * 4 * 3)
    for n in range(16):
        token = decoder.embed(tokens.patch_BND[0, [3, 9].index(n)]) if n in (3, 9) else decoder.mask_token[0, 0]
        assert_near(painted[n].detach(), decoder.pixels(decoder.norm(token + positions(4, 16)[n])).detach(), 1e-12)


def learner(**changes) -> Learner:
    config = tiny_config(**{**changes, "loss": MAE | changes.get("loss", {})})
    networks = [seeded_trained(config.model, config.loss, len(config.channels), 3).double() for _ in range(2)]
    stir(networks[0], 5)
    return make_learner(config, *networks, steps=20, steps_per_epoch=4)


@pytest.mark.parametrize("norm_pixels", [True, False])
def test_a_whole_step_is_the_papers_by_value_and_gradient(norm_pixels):
    """Backbone on the visible patches, decoder with its blocks, and loss in numpy; the gradient of every parameter."""
    found = learner(loss={"mae_norm_pixels": norm_pixels}, train={"clip": 1e9, "batch": 2})
    x, weights = random_views(found.config, 1)["v1"], {name: value.copy() for name, value in as_numpy(found.student).items()}
    visible = draw_visible(16, 2, masked=0.75, seed=3, step=1)

    def by_hand(w: dict) -> float:
        cls, patch = dinov2_numpy.vit(x.numpy(), dinov2_numpy.part(w, "backbone."), patch=4, depth=2, heads=2, visible=visible)
        painted = teacherless_numpy.decoder(cls, patch, visible, 4, dinov2_numpy.part(w, "decoder."), depth=1, heads=2)
        return teacherless_numpy.mae_loss(painted, x.numpy(), visible, 4, norm_pixels=norm_pixels)

    assert float(learn(found, {"v1": x}, 1).parts["mae"]) == pytest.approx(by_hand(weights), rel=1e-10)
    gradients = gradients_of(found.student)
    assert {name for name in weights if name not in gradients} == {"backbone.mask_token"}
    assert_slopes(by_hand, weights, gradients)


def test_a_step_is_the_loss_of_what_is_painted_and_micro_batches_change_nothing():
    whole, split = learner(), learner(train={"micro_batches": 3})
    for step in range(2):
        views = random_views(whole.config, step)
        visible = torch.from_numpy(draw_visible(16, 6, masked=0.75, seed=3, step=step))
        painted = whole.student.decoder(whole.student.backbone(views["v1"], visible_BV=visible), visible, 4)
        expected = teacherless_numpy.mae_loss(painted.detach().numpy(), views["v1"].numpy(), visible.numpy(), 4, norm_pixels=True)
        one, many = learn(whole, views, step), learn(split, views, step)
        assert float(one.parts["mae"]) == pytest.approx(expected, rel=1e-9)
        assert float(one.parts["loss"]) == pytest.approx(float(many.parts["loss"]), rel=1e-12)
        assert_near(many.watched_PBD, one.watched_PBD, 1e-6)
    for name, value in as_double(whole.student).items():
        assert_near(as_double(split.student)[name], value, 1e-9, name)
    assert all(torch.equal(value, as_double(whole.student)[name]) for name, value in as_double(whole.teacher).items())


def test_one_view_is_made_and_sizes_are_checked():
    assert arrange(LossConfig(objective="mae"), 0).groups == ("v1",)
    assert patchify(torch.arange(16.0).view(1, 1, 4, 4), 2)[0, 1].tolist() == [2.0, 3.0, 6.0, 7.0]
    with pytest.raises(UsageError, match=r"loss\.mae_decoder_dim = 20: need a multiple of loss\.mae_decoder_heads = 8"):
        LossConfig(mae_decoder_dim=20)
    with pytest.raises(
        UsageError, match=r"loss\.objective = mae needs model\.stem = patch, energy or patch\+energy: a mixer sees the hidden"
    ):
        tiny_config(loss=MAE, model={"stem": "mixer"})
    with pytest.raises(UsageError, match=r"loss\.mae_mask = 1\.0: need 0 < share < 1"):
        replace(LossConfig(), mae_mask=1.0)
