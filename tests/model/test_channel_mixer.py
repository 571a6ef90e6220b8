"""CellRep's front: the paper's formulas by numpy, and what does not depend on the order or the number of channels."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from kit.config import ModelConfig
from kit.errors import UsageError
from kit.model.channel_mixer import ChannelPatches
from kit.model.cost import forward_flops
from kit.model.vit import Vit, seeded_vit
from tests.model.tiny import as_numpy, assert_near, stir
from tests.oracle import cellrep_numpy

CONFIG = ModelConfig(
    dim=12, depth=1, heads=2, patch=4, position_side=8, layerscale=1.0, drop_path=0.0, stem="mixer", channel_filters=3,
    mixer_blocks=2,
)  # fmt: skip


def network(dtype=torch.float64, **changes) -> Vit:
    found = seeded_vit(replace(CONFIG, **changes), 3, 0).to(dtype)
    stir(found, 4)
    return found


def view(channels: int, side: int = 8, B: int = 2) -> torch.Tensor:
    return torch.randn(B, channels, side, side, generator=torch.Generator().manual_seed(channels), dtype=torch.float64)


def by_numpy(x_BCPP, weights: dict, pool: str = "location"):
    return cellrep_numpy.backbone(x_BCPP.numpy(), weights, patch=4, blocks=2, depth=1, heads=2, pool=pool)


@pytest.mark.parametrize("pool", ["location", "window"])
@pytest.mark.parametrize("channels", [1, 3])
def test_tokens_are_the_papers_algorithm(channels, pool):
    vit, x = network(pool=pool), view(channels)
    tokens = vit(x)
    for found, expected in zip(tokens, by_numpy(x, as_numpy(vit), pool), strict=True):
        assert_near(found.detach(), expected, 1e-12)
    assert tokens.patch_BND.shape == (2, 4, 12), "the student has one token a place, whatever the channels"


def test_gradients_are_those_of_the_papers_algorithm():
    """Of every parameter of the front, along a random direction, by central differences of the numpy reading."""
    vit, x = network(), view(2, B=1)
    rng = np.random.default_rng(0)
    pull_LD = rng.normal(size=(4, 12))
    (vit(x).patch_BND[0] * torch.from_numpy(pull_LD)).sum().backward()
    weights, step, checked = as_numpy(vit), 1e-5, 0
    for name, parameter in vit.named_parameters():
        if not name.startswith(("patch_embed", "mixer")) or name.endswith("qkv.bias"):
            continue
        direction = rng.normal(size=parameter.shape)
        ends = [
            (by_numpy(x, weights | {name: weights[name] + sign * step * direction})[1][0] * pull_LD).sum() for sign in (1, -1)
        ]
        assert float((parameter.grad.numpy() * direction).sum()) == pytest.approx((ends[0] - ends[1]) / step / 2, rel=1e-5), name
        checked += 1
    assert checked == 8 + 1 + 2 * 13


@pytest.mark.parametrize("channels", [3, 4, 5, 8])
def test_the_order_of_channels_changes_no_feature_by_construction(channels):
    vit, x = network(torch.float32).eval(), view(channels, side=16).float()
    order = torch.randperm(channels, generator=torch.Generator().manual_seed(1))
    assert not torch.equal(order, torch.arange(channels))
    for found, expected in zip(vit(x[:, order]), vit(x), strict=True):
        assert_near(found.detach(), expected.detach(), 1e-5)


def test_a_window_over_the_sequence_mixes_places_and_depends_on_the_order():
    """What the paper prints: with as many places as divide by the channels, another order moves whole windows, no more."""
    vit, x = network(pool="window"), view(2)
    order = torch.tensor([1, 0])
    rows, columns = 2, 2
    before, after = (vit.mixer(vit.patch_embed(seen), rows, columns) for seen in (x, x[:, order]))
    torch.testing.assert_close(after, before[:, [2, 3, 0, 1]])
    assert float((vit(x).cls_BD - vit(x[:, order]).cls_BD).detach().abs().max()) > 1e-3
    one = view(1)
    torch.testing.assert_close(vit(one).cls_BD, network()(one).cls_BD)  # of one channel both are the tokens themselves


def test_one_network_takes_any_number_of_channels_and_a_channel_may_be_absent():
    vit, x = network(), view(8)
    alone = [vit(x[:, :channels]).cls_BD for channels in (1, 3, 4, 5, 8)]
    assert all(float((a - b).detach().abs().max()) > 1e-3 for a, b in pairwise(alone)), "each is looked at"
    torch.testing.assert_close(vit(torch.cat([x[:, :3], x[:, :3]], 1)).cls_BD, alone[1])  # each channel twice is as each once
    plain = seeded_vit(replace(CONFIG, stem="patch"), 3, 0)
    with pytest.raises(ValueError, match="the network takes 3 channels, the view has 8"):
        plain(x.float())


def test_a_masked_place_is_hidden_in_every_channel():
    vit, x = network(), view(3)
    mask = torch.tensor([[True, False, False, False], [False] * 4])
    other = x.clone()
    other[0, :, :4, :4] += 3 * torch.randn(3, 4, 4, dtype=torch.float64)
    vit.patch_embed.encoder = _Blind()  # it alone sees the place, as a small part of its channel's mean
    for seen, expected in zip(vit(other, mask), vit(x, mask), strict=True):
        torch.testing.assert_close(seen, expected)
    assert not torch.allclose(vit(other).cls_BD[0], vit(x).cls_BD[0])


class _Blind(torch.nn.Module):
    def forward(self, x_R1PP):
        return torch.zeros(len(x_R1PP), CONFIG.dim, dtype=x_R1PP.dtype)


def test_a_channel_is_told_by_its_look_and_not_by_its_place():
    """The encoding is added to all patches of its own channel and to no other."""
    stem = ChannelPatches(CONFIG).double()
    stir(stem, 3)
    stem.norm = torch.nn.Identity()
    x = view(2)
    plain = stem(x)
    stem.encoder = _Blind()
    added_BCLD = plain - stem(x)
    torch.testing.assert_close(added_BCLD, added_BCLD[:, :, :1].expand_as(added_BCLD))
    assert not torch.allclose(added_BCLD[:, 0], added_BCLD[:, 1])


def test_recomputed_activations_give_the_same_gradients():
    gradients = []
    for again in (False, True):
        vit = network()
        vit.checkpoint_activations = vit.mixer.checkpoint_activations = again
        vit(view(3)).cls_BD.square().sum().backward()
        gradients.append(vit.patch_embed.proj.weight.grad)
    torch.testing.assert_close(*gradients)


@pytest.mark.parametrize("settings", [{}, {"stem": "patch"}, {"stem": "patch", "bag": True}])
def test_the_cost_is_what_torch_counts(settings):
    """Torch's counter sees every product but those of the fused attention, 4 n n D a block."""
    config, n = replace(CONFIG, dim=24, ffn="mlp", **settings), 2 * 2 + 1
    network = seeded_vit(config, 1 if config.bag else 5, 0)
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        network(view(5, B=1).float())
    attention = 4 * 24 * (n * n * (5 if config.bag else 1) + (20 * 20 * 2 if config.stem == "mixer" else 0))
    assert forward_flops(config, 5, 8) == counter.get_total_flops() + attention


def test_a_bag_of_all_channels_together_is_refused():
    with pytest.raises(UsageError, match=r"model\.bag = true: need false for model\.stem = mixer"):
        ModelConfig(stem="mixer", bag=True)
