"""The stems: one token per patch, what a step costs, and what it refuses."""

import re
from dataclasses import replace

import numpy as np
import pytest
import torch

from kit.config import ModelConfig
from kit.errors import KitError, UsageError
from kit.model.cost import forward_flops
from kit.model.official import read_weights
from kit.model.stem import energies, energy_width, stem_flops
from kit.model.vit import Vit, seeded_vit

CONFIG = ModelConfig(dim=24, depth=2, heads=3, patch=8, position_side=32, stem="energy", layerscale=1.0, drop_path=0.0)


def test_masked_patches_and_any_side_work_as_with_linear_patches():
    network = seeded_vit(CONFIG, 3, 0).eval()
    view, mask = torch.randn(2, 3, 48, 40), torch.zeros(2, 30, dtype=torch.bool)
    mask[0, 7] = True
    plain, masked = network(view), network(view, mask)
    assert plain.patch_BND.shape == (2, 30, 24)
    torch.testing.assert_close(plain.cls_BD[1], masked.cls_BD[1])
    assert not torch.allclose(plain.cls_BD[0], masked.cls_BD[0])
    with pytest.raises(ValueError, match="a view of 44 x 40 pixels does not divide into patches of 8 pixels"):
        network(torch.randn(1, 3, 44, 40))


def energies_by_numpy(view_CHW: np.ndarray, scales: int) -> np.ndarray:
    """Return [E] of a view that is one patch: the variance that each halving loses, block by block."""
    found, level = [], view_CHW
    for _ in range(scales):
        C, side = len(level), level.shape[1] // 2
        blocks = level.reshape(C, side, 2, side, 2).transpose(0, 1, 3, 2, 4).reshape(C, side * side, 4)
        detail = (blocks - blocks.mean(axis=2, keepdims=True)).reshape(C, -1)
        products = detail @ detail.T / detail.shape[1]
        energy = np.diag(products)
        upper = np.triu_indices(C, 1)
        roots = np.sqrt(np.multiply.outer(energy, energy))[upper]
        found += [(np.log(energy + 1e-4) + 3) / 1.5, 2 * products[upper] / (roots + 1e-4)]
        level = blocks.mean(axis=2).reshape(C, side, side)
    return np.concatenate([*found, level.reshape(-1)])


@pytest.mark.parametrize("channels", [1, 3, 5])
def test_energies_are_the_variance_that_each_halving_loses(channels):
    rng = np.random.default_rng(channels)
    view = rng.normal(size=(channels, 16, 16)) * rng.uniform(0.2, 2, size=(channels, 1, 1)) + rng.normal(size=(channels, 1, 1))
    wide = np.concatenate([view, view[:, ::-1] * 2], axis=2)  # two patches side by side
    found = energies(torch.from_numpy(wide[None]), 4, torch.triu_indices(channels, channels, 1)).numpy()
    assert found.shape == (1, energy_width(channels, 4), 1, 2)
    for place, patch in enumerate((view, view[:, ::-1] * 2)):
        np.testing.assert_allclose(found[0, :, 0, place], energies_by_numpy(patch, 4), rtol=1e-9, atol=1e-9)


def test_a_token_of_energies_is_that_of_its_patch_turned():
    stem = seeded_vit(CONFIG, 3, 0).double().patch_embed
    view = torch.randn(2, 3, 8, 8, dtype=torch.float64)
    torch.testing.assert_close(stem(view), stem(view.rot90(1, (2, 3))))
    assert stem(torch.zeros(1, 3, 16, 24).double()).isfinite().all()  # flat channels


def test_energies_are_taken_in_float32_whatever_the_autocast():
    stem = seeded_vit(CONFIG, 3, 0).patch_embed
    view, seen = torch.randn(1, 3, 16, 16), []
    stem.linear.register_forward_pre_hook(lambda _module, inputs: seen.append(inputs[0]))
    stem(view)
    with torch.autocast("cpu", torch.bfloat16):
        stem(view)
    assert torch.equal(*seen)


def test_weights_of_energies_are_refused_as_published_weights(tmp_path):
    torch.save(Vit(CONFIG, 3).state_dict(), tmp_path / "weights.pt")
    with pytest.raises(KitError, match=r"holds no DINOv2 backbone: patch_embed\.proj\.weight is missing"):
        read_weights(tmp_path / "weights.pt")


def test_patch_and_energy_is_the_sum_of_both():
    both = seeded_vit(replace(CONFIG, stem="patch+energy"), 3, 0).double().patch_embed
    views = torch.randn(2, 3, 16, 24, dtype=torch.float64)
    torch.testing.assert_close(both(views), both.patch(views) + both.energy(views), rtol=0, atol=0)
    assert [type(part).__name__ for part in (both.patch, both.energy)] == ["PatchEmbed", "EnergyStem"]
    turned = views.rot90(1, (2, 3))
    left = both(turned).unflatten(1, (3, 2)).rot90(-1, (1, 2)).flatten(1, 2) - both(views)
    assert float(left.detach().abs().max()) > 0.1  # unlike energies alone, it tells a turned patch


@pytest.mark.parametrize("stem", ["energy", "patch+energy"])
@pytest.mark.parametrize("patch", [14, 2])
def test_a_patch_that_does_not_halve_to_one_pixel_is_refused(patch, stem):
    text = f"model.patch = {patch}: need a power of 2, at least 4, for model.stem = {stem}"
    with pytest.raises(UsageError, match=re.escape(text)):
        ModelConfig(patch=patch, stem=stem)


def test_the_cost_counts_products_and_the_map():
    width = energy_width(5, 3)
    assert width == 5 * 4 + 3 * 10
    assert stem_flops(CONFIG, 5, 32) == 4 / 3 * 32 * 32 * 30 + 2 * 16 * width * 24
    assert forward_flops(CONFIG, 5, 32) - forward_flops(replace(CONFIG, stem="patch"), 5, 32) == pytest.approx(
        stem_flops(CONFIG, 5, 32) - 2 * 16 * 5 * 64 * 24
    )
    assert stem_flops(replace(CONFIG, stem="patch+energy"), 5, 32) == stem_flops(CONFIG, 5, 32) + 2 * 16 * 5 * 64 * 24
