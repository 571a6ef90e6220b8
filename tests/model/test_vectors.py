"""Sites to vectors, by value: class token, mean and SD of the patch tokens of a site that is normalised, else untouched."""

import numpy as np
import pytest
import torch

from kit.config import ViewsConfig
from kit.model.vectors import site_vectors
from kit.model.vit import seeded_vit
from tests.model.tiny import tiny_config

MEAN, SD = torch.tensor([0.5, 0.4, 0.6]), torch.tensor([0.3, 0.2, 0.25])


@pytest.fixture
def network():
    return seeded_vit(tiny_config().model, 3, 1).requires_grad_(False).eval()


@pytest.fixture
def site_BCHW():
    return torch.from_numpy(np.random.default_rng(0).integers(0, 256, (3, 3, 16, 16), dtype=np.uint8))


def test_class_token_and_mean_and_sd_of_patches(network, site_BCHW):
    found = site_vectors(network, site_BCHW, mean_C=MEAN, sd_C=SD, side=16, views=ViewsConfig(normalise="dataset"))
    tokens = network((site_BCHW / 255 - MEAN[:, None, None]) / SD[:, None, None])
    torch.testing.assert_close(found[:, :24], tokens.cls_BD, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(found[:, 24:48], tokens.patch_BND.mean(dim=1), rtol=1e-5, atol=1e-5)
    sd_BD = np.std(tokens.patch_BND.numpy(), axis=1)
    np.testing.assert_allclose(found[:, 48:], sd_BD, rtol=1e-4, atol=1e-5)
    assert (found.shape, found.dtype) == ((3, 72), torch.float32)


def test_sites_are_resized_to_the_side(network, site_BCHW):
    flat = site_BCHW[:, :, :1, :1]  # one level a channel: the same at any size
    large, small = flat.expand(-1, -1, 50, 50).contiguous(), flat.expand(-1, -1, 16, 16).contiguous()
    how = {"mean_C": MEAN, "sd_C": SD, "side": 16, "views": ViewsConfig(normalise="dataset")}
    torch.testing.assert_close(site_vectors(network, large, **how), site_vectors(network, small, **how))


def test_only_the_centre_is_seen_with_a_crop(network, site_BCHW):
    how = {"mean_C": MEAN, "sd_C": SD, "side": 16, "views": ViewsConfig(normalise="crop")}
    centre = site_BCHW[:, :, 4:12, 4:12].contiguous()
    assert torch.equal(site_vectors(network, site_BCHW, **how, crop=8), site_vectors(network, centre, **how))


def test_mixed_precision_gives_float32_a_little_off(network, site_BCHW):
    how = {"mean_C": MEAN, "sd_C": SD, "side": 16, "views": ViewsConfig(normalise="dataset")}
    exact, half = (site_vectors(network, site_BCHW, **how, autocast=dtype) for dtype in (None, torch.bfloat16))
    assert half.dtype == torch.float32
    assert 0 < (half - exact).abs().max() < 0.1
