"""The backbone against two independent readings of DINOv2."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from kit.config import ModelConfig
from kit.model.blocks import Kept
from kit.model.positions import resize_positions
from kit.model.vit import Vit, seeded_vit
from tests.model.tiny import as_double, as_numpy, assert_near, stir
from tests.oracle import dinov2_numpy, dinov2_torch

BASE = ModelConfig(dim=24, depth=3, heads=3, patch=4, position_side=16, drop_path=0.0)
REGISTERS = replace(BASE, registers=4, position_offset=0.0, position_antialias=True)
CASES = {
    "swiglu": (BASE, 5, 16),
    "mlp": (replace(BASE, ffn="mlp"), 3, 16),
    "registers": (REGISTERS, 8, 16),
    "registers, larger view": (REGISTERS, 5, 28),
    "registers, smaller view": (REGISTERS, 3, 12),
    "larger view": (BASE, 5, 28),
    "smaller view": (BASE, 1, 8),
}


def setup(case, dtype):
    config, channels, side = CASES[case]
    network = Vit(config, channels)
    stir(network, 1)
    generator = torch.Generator().manual_seed(2)
    x = torch.randn(3, channels, side, side, generator=generator, dtype=torch.float64)
    mask = torch.rand(3, (side // config.patch) ** 2, generator=generator) < 0.4
    return config, network.to(dtype), x, mask


@pytest.mark.parametrize(("dtype", "share"), [(torch.float64, 1e-12), (torch.float32, 1e-5)])
@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("case", CASES)
def test_forward_is_dinov2s(case, masked, dtype, share):
    config, network, x, mask = setup(case, dtype)
    tokens = network(x.to(dtype), mask if masked else None)
    expected = dinov2_numpy.vit(
        x.numpy(), as_numpy(network), patch=config.patch, depth=config.depth, heads=config.heads,
        mask=mask.numpy() if masked else None, offset=config.position_offset, antialias=config.position_antialias,
    )  # fmt: skip
    assert_near(tokens.cls_BD.detach(), expected[0], share)
    assert_near(tokens.patch_BND.detach(), expected[1], share)


@pytest.mark.parametrize("init", ["dinov2", "fan_in"])
def test_initial_linear_weights_have_the_spread_asked_for(init):
    """Of every linear layer, 96 inputs or 384; the energy stem's and the mixer's too, and patches as a convolution starts."""
    for stem in ("patch", "energy", "patch+energy", "mixer"):
        config = ModelConfig(dim=96, depth=2, heads=3, patch=4, position_side=16, ffn="mlp", stem=stem, init=init)
        network, checked = seeded_vit(config, 3, 0), 0
        for name, module in network.named_modules():
            if isinstance(module, torch.nn.Linear):
                expected = 0.02 if init == "dinov2" else module.in_features**-0.5
                spread = float(module.weight.detach().std())
                assert spread == pytest.approx(expected, rel=0.12), (stem, name)
                assert not module.bias.any()
                checked += 1
        assert checked >= 8
        same = seeded_vit(replace(config, init="dinov2"), 3, 0).pos_embed
        assert torch.equal(network.pos_embed, same)


def test_attention_matters_to_this_test():
    """With LayerScale at 1e-5 a network without attention would pass too; with these weights it must not."""
    _config, network, x, _ = setup("swiglu", torch.float64)
    before = network(x).cls_BD
    with torch.no_grad():
        for block in network.blocks:
            block.attn.qkv.weight.zero_()
    assert float((network(x).cls_BD - before).detach().abs().max()) > 0.1


@pytest.mark.parametrize(("dtype", "share"), [(torch.float64, 1e-11), (torch.float32, 1e-5)])
@pytest.mark.parametrize("case", ["swiglu", "mlp", "registers"])
def test_gradients_are_those_of_an_independent_reading(case, dtype, share):
    config, network, x, mask = setup(case, dtype)
    generator = torch.Generator().manual_seed(3)
    tokens = network(x.to(dtype), mask)
    pull_cls = torch.randn(tokens.cls_BD.shape, generator=generator, dtype=torch.float64)
    pull_patch = torch.randn(tokens.patch_BND.shape, generator=generator, dtype=torch.float64)
    ((tokens.cls_BD * pull_cls).sum() + (tokens.patch_BND * pull_patch).sum()).backward()
    weights = {name: value.requires_grad_() for name, value in as_double(network).items()}
    cls, patch = dinov2_torch.backbone(x, weights, patch=config.patch, heads=config.heads, mask=mask, registers=config.registers)
    ((cls * pull_cls).sum() + (patch * pull_patch).sum()).backward()
    for name, parameter in network.named_parameters():
        assert_near(parameter.grad, weights[name].grad, share)


def test_the_oracles_gradient_is_a_difference_quotient():
    _config, network, x, mask = setup("swiglu", torch.float64)
    plain = as_numpy(network)
    weights = {name: torch.from_numpy(value.copy()).requires_grad_() for name, value in plain.items()}
    dinov2_torch.backbone(x, weights, patch=4, heads=3, mask=mask)[0].square().sum().backward()

    def value():
        cls, _ = dinov2_numpy.vit(x.numpy(), plain, patch=4, depth=3, heads=3, mask=mask.numpy())
        return (cls**2).sum()

    random = np.random.default_rng(0)
    for name in ("patch_embed.proj.weight", "blocks.1.attn.qkv.weight", "blocks.2.mlp.w12.weight", "pos_embed", "mask_token"):
        array = plain[name].reshape(-1)
        for place in random.integers(0, array.size, 3):
            kept, step = array[place], 1e-5
            array[place] = kept + step
            above = value()
            array[place] = kept - step
            below = value()
            array[place] = kept
            assert (above - below) / (2 * step) == pytest.approx(float(weights[name].grad.reshape(-1)[place]), rel=1e-5, abs=1e-7)


GRIDS = [(37, 7, 7), (37, 16, 16), (37, 28, 40), (7, 37, 37), (4, 9, 3), (16, 15, 16)]  # stored, rows, columns


@pytest.mark.parametrize(("dtype", "share"), [(torch.float64, 1e-12), (torch.float32, 1e-5)])
@pytest.mark.parametrize("config", [BASE, REGISTERS], ids=["plain, offset 0.1", "antialiased"])
@pytest.mark.parametrize(("side", "rows", "columns"), GRIDS)
def test_positions_are_resized_as_dinov2_does(side, rows, columns, config, dtype, share):
    """Values and, since they are linear in the embedding, gradients."""
    generator = torch.Generator().manual_seed(4)
    stored = torch.randn(1, 1 + side**2, 5, generator=generator, dtype=torch.float64)
    given = stored.to(dtype, copy=True).requires_grad_()
    found = resize_positions(given, rows, columns, config)
    form = (rows, columns, config.position_offset, config.position_antialias)
    assert_near(found[0].detach(), dinov2_numpy.positions(stored.numpy(), *form), share)
    pull = torch.randn(found.shape, generator=generator, dtype=torch.float64)
    (found * pull).sum().backward()
    for i in np.random.default_rng(5).integers(0, 1 + side**2, 3):
        unit = np.zeros((1, 1 + side**2, 1))
        unit[0, i] = 1
        column = dinov2_numpy.positions(unit, *form)[:, 0]
        expected = torch.from_numpy(column) @ pull[0]
        error = float((given.grad[0, i].double() - expected).abs().max())
        assert error <= share * float(given.grad.abs().max())


def test_the_antialiased_oracle_is_pillows_bicubic():
    picture = np.random.default_rng(6).normal(size=(37, 37))
    for rows, columns in ((7, 7), (16, 24), (50, 41)):
        pillow = np.asarray(Image.fromarray(picture.astype(np.float32)).resize((columns, rows), Image.Resampling.BICUBIC))
        ours = dinov2_numpy.antialiased_matrix(37, rows) @ picture @ dinov2_numpy.antialiased_matrix(37, columns).T
        assert_near(pillow.astype(np.float64), ours, 1e-6)


def test_vit_s_has_the_published_parameters():
    shapes = {name: tuple(value.shape) for name, value in Vit(ModelConfig(), 5).state_dict().items()}
    assert sum(int(np.prod(shape)) for shape in shapes.values()) == 22_213_248
    assert shapes["pos_embed"] == (1, 1370, 384)
    assert shapes["patch_embed.proj.weight"] == (384, 5, 14, 14)
    assert shapes["blocks.11.mlp.w12.weight"] == (2048, 384)
    assert shapes["blocks.0.mlp.w3.weight"] == (384, 1024)
    assert shapes["mask_token"] == (1, 384)
    base = Vit(ModelConfig(dim=768, heads=12, depth=1), 3).state_dict()
    assert base["blocks.0.mlp.w12.weight"].shape == (4096, 768)


def test_drop_path_leaves_out_exactly_the_other_rows():
    _, network, x, _ = setup("swiglu", torch.float64)
    none = Kept(torch.tensor([], dtype=torch.int64), torch.tensor(1.0))
    some = Kept(torch.tensor([0, 2]), torch.tensor(1.0))
    kept = [(none, none), (some, some), (none, none)]
    tokens = network(x, None, kept)
    straight = network(x, None, [(none, none)] * 3)
    one_block = network(x, None, [(none, none), (Kept(torch.arange(3), torch.tensor(1.0)),) * 2, (none, none)])
    assert torch.equal(tokens.cls_BD[1], straight.cls_BD[1])
    assert_near(tokens.cls_BD[[0, 2]].detach(), one_block.cls_BD[[0, 2]].detach(), 1e-14)


def test_activation_checkpointing_changes_nothing():
    _, network, x, mask = setup("swiglu", torch.float64)
    gradients = []
    for on in (False, True):
        network.checkpoint_activations = on
        network.zero_grad()
        network(x, mask).cls_BD.square().sum().backward()
        gradients.append([parameter.grad.clone() for parameter in network.parameters()])
    assert all(torch.equal(a, b) for a, b in zip(*gradients, strict=True))


def test_wrong_views_are_refused():
    network = Vit(BASE, 5)
    with pytest.raises(ValueError, match="takes 5 channels, the view has 3"):
        network(torch.zeros(1, 3, 16, 16))
    with pytest.raises(ValueError, match="16 x 18"):
        network(torch.zeros(1, 5, 16, 18))
