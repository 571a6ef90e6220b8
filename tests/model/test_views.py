"""What is drawn for a view: its distribution, and that it depends on seed, sample and role alone."""

import colorsys
from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy import stats

from kit.config import ViewsConfig
from kit.errors import UsageError
from kit.images.crops.groups import IDS_PER_SAMPLE
from kit.images.crops.loader import CropBatch, CropGroup
from kit.kernels.warp import AFFINE, AS_IT_IS, ELASTIC
from kit.model import views
from kit.model.channel_order import draw_order
from kit.model.composite import composite, wheel

FLUORESCENCE = ("fluorescence",) * 5
MEAN, SD = torch.full((5,), 0.2), torch.full((5,), 0.1)


def crops(B=6, C=5, P=42, seed=0):
    pixels = torch.randint(0, 256, (B, C, P, P), generator=torch.Generator().manual_seed(seed), dtype=torch.uint8)
    return pixels, pixels.long().sum((2, 3)), torch.arange(B) * 1_000_003 + 2**40


def make(batch, config, role="first", seed=1, channel_groups=FLUORESCENCE, **more):
    C = len(channel_groups)
    return views.make_view(
        *batch, config, seed=seed, role=role, channel_groups=channel_groups, mean_C=MEAN[:C], sd_C=SD[:C], **more
    )


STYLES = [
    ViewsConfig(elastic_sigma=12.0, elastic_alpha=100.0),
    ViewsConfig(normalise="crop", rotation="none", elastic_p=0.0),
    ViewsConfig(noise_unit="sd", normalise="crop", normalise_floor_unit="sd", elastic_p=0.0),
    ViewsConfig(style="dinov2"),
    ViewsConfig(blur_and_solarise=True, elastic_sigma=12.0, elastic_alpha=100.0),
    ViewsConfig(style="none"),
]


@pytest.mark.parametrize("config", STYLES)
def test_a_view_is_seed_sample_and_role(config):
    batch = crops()
    whole = make(batch, config)
    assert whole.shape == batch[0].shape
    assert whole.isfinite().all()
    assert torch.equal(make(batch, config), whole)
    back = torch.arange(6).flip(0)
    assert torch.equal(make(tuple(t[back] for t in batch), config), whole[back])
    for i in range(6):
        assert torch.equal(make(tuple(t[i : i + 1] for t in batch), config), whole[i : i + 1])
    same = config.style == "none"
    assert torch.equal(make(batch, config, role="second"), whole) == same
    assert torch.equal(make(batch, config, seed=2), whole) == same


def draws(B=20000, C=5, seed=3, role=0):
    return views._Draws(torch.arange(B), C, seed, role)


def test_jitter_factors_are_uniform_and_independent():
    config, found = ViewsConfig(brightness=0.4, contrast=1.5), draws()
    mean_BC = torch.full((20000, 5), 0.3, dtype=torch.float64)
    jitter = views._channel_jitter(config, found, mean_BC)
    contrast = (1 - jitter.shift_BC.double() / 0.3).numpy()  # shift = m (1 - g), scale = b g
    brightness = jitter.scale_BC.double().numpy() / contrast
    for c in range(5):
        assert stats.kstest(contrast[:, c], stats.uniform(0, 2.5).cdf).pvalue > 1e-5  # max(0, 1 - 1.5) to 1 + 1.5
        assert stats.kstest(brightness[contrast[:, c] > 0.1, c], stats.uniform(0.6, 0.8).cdf).pvalue > 1e-5
    columns = np.concatenate([contrast, found.per_channel(0).numpy()], 1)
    assert np.abs(np.corrcoef(columns.T) - np.eye(10)).max() < 5 / 20000**0.5


def test_probabilities():
    config, found = ViewsConfig(elastic_p=0.3, noise_p=0.7, elastic_alpha=10.0, elastic_sigma=8.0), draws(B=4000)
    warp, noise = views._warp(config, found, 8, 8), views._noise(config, found, FLUORESCENCE)
    error = 5 * 0.5 / 4000**0.5
    assert abs(float((warp.kind_B == ELASTIC).double().mean()) - 0.3) < error
    assert set(warp.kind_B.unique().tolist()) == {AFFINE, ELASTIC}
    assert abs(float(noise.on_B.double().mean()) - 0.7) < error
    both = ((warp.kind_B == ELASTIC) & (noise.on_B == 1)).double().mean()
    assert abs(float(both) - 0.21) < error  # drawn independently
    assert views._warp(ViewsConfig(rotation="none", elastic_p=0.0), found, 8, 8) is None
    assert views._noise(ViewsConfig(noise_p=0.0), found, FLUORESCENCE) is None
    still = views._warp(ViewsConfig(rotation="right", elastic_sigma=8.0), found, 8, 8)
    assert set(still.kind_B.unique().tolist()) == {AS_IT_IS, ELASTIC}


def test_rotation_is_uniform():
    angle = draws().common("angle") * 2 * torch.pi
    affine = views._warp(ViewsConfig(elastic_p=0.0), draws(), 9, 9).affine_B6.double() / 2**18
    assert (affine[:, 0] - angle.cos()).abs().max() < 1e-5
    assert (affine[:, 3] - angle.sin()).abs().max() < 1e-5
    assert stats.kstest(torch.atan2(affine[:, 3], affine[:, 0]).numpy(), stats.uniform(-np.pi, 2 * np.pi).cdf).pvalue > 1e-5


def test_contrast_is_about_the_channel_mean():
    """With brightness 1 the mean of a channel does not change, whatever the contrast."""
    pixels, sums, sample = crops()
    config = ViewsConfig(brightness=0.0, contrast=0.9, rotation="none", elastic_p=0.0, noise_p=0.0)
    out = make((pixels, sums, sample), config) * 0.1 + 0.2
    assert (out.mean((2, 3)) - (pixels.float() / 255).mean((2, 3))).abs().max() < 1e-5
    assert (out.std((2, 3)) - (pixels.float() / 255).std((2, 3))).abs().max() > 0.05


def test_noise_strength_per_channel_group():
    batch = crops(C=2, P=64)
    config = ViewsConfig(rotation="none", elastic_p=0.0, brightness=0.0, contrast=0.0, noise_p=1.0, noise_brightfield=0.0)
    plain = make(batch, ViewsConfig(style="none"), channel_groups=("fluorescence", "brightfield"))
    noisy = make(batch, config, channel_groups=("fluorescence", "brightfield"))
    torch.testing.assert_close(noisy[:, 1], plain[:, 1], rtol=0, atol=1e-5)  # brightfield: strength 0
    assert (noisy[:, 0] - plain[:, 0]).std() > 0.5
    weaker = make(
        batch, ViewsConfig(**{**_fields(config), "noise_fluorescence": 0.1}), channel_groups=("fluorescence", "brightfield")
    )
    ratio = (weaker[:, 0] - plain[:, 0]).std() / (noisy[:, 0] - plain[:, 0]).std()
    assert 0.2 < ratio < 0.6  # shot noise goes as the square root of its scale


def _fields(config):
    return {name: getattr(config, name) for name in config.__dataclass_fields__}


def test_elastic_side_scales_the_field():
    """alpha and sigma given for a crop of twice the side: half the displacement, half the wavelength."""
    found = draws(B=3000)
    full = views._warp(ViewsConfig(elastic_alpha=400.0, elastic_sigma=20.0), found, 60, 60)
    half = views._warp(ViewsConfig(elastic_alpha=400.0, elastic_sigma=20.0, elastic_side=120), found, 60, 60)
    assert half.spacing == full.spacing / 2
    assert abs(float(half.lattice_B2KK.std() / full.lattice_B2KK.std()) - 0.5) < 0.03


@pytest.mark.parametrize("role", ["first", "second", "local"])
def test_blur_and_solarise_are_those_of_the_style_dinov2(role):
    """Without jitter, warp and noise the two styles are one; with the switch off nothing is blurred."""
    still = {"brightness": 0.0, "contrast": 0.0, "rotation": "none", "elastic_p": 0.0, "noise_p": 0.0}
    batch, still = crops(), {**still, "dinov2_blur_p": (0.5, 0.5, 0.5), "dinov2_solarise_p": 0.5}
    own = make(batch, ViewsConfig(blur_and_solarise=True, **still), role=role)
    assert torch.equal(own, make(batch, ViewsConfig(style="dinov2", **still), role=role))
    plain = make(batch, ViewsConfig(style="none"), role=role)
    torch.testing.assert_close(make(batch, ViewsConfig(**still), role=role), plain, rtol=0, atol=1e-6)
    assert (own - plain).abs().max() > 0.1


@pytest.mark.parametrize("unit", ["level", "sd"])
def test_blur_comes_after_the_warp_and_before_the_noise(unit):
    """So the noise stays as sharp as a camera's: blurring it would leave neighbours alike."""
    batch = (torch.full((1, 2, 96, 96), 100, dtype=torch.uint8), torch.full((1, 2), 100 * 96 * 96), torch.tensor([5]))
    batch[0][:, :, ::2] = 101  # the unit sd needs one
    facts = {"brightness": 0.0, "contrast": 0.0, "elastic_p": 0.0, "noise_p": 1.0, "noise_unit": unit, "rotation": "free"}
    out = make(batch, ViewsConfig(blur_and_solarise=True, **facts), channel_groups=FLUORESCENCE[:2])[0, 0]
    assert abs(np.corrcoef(out[:, 1:].flatten(), out[:, :-1].flatten())[0, 1]) < 0.1


def test_dinov2_style():
    """Blur always on the first global view, rarely on the second; solarised only there; one jitter for all channels."""
    found = draws()
    config = ViewsConfig(style="dinov2")
    error = 5 * 0.5 / 20000**0.5
    for role, blurred, solarised in (("first", 1.0, 0.0), ("second", 0.1, 0.2), ("local", 0.5, 0.0)):
        sigma, turned = views._blur_terms(config, found, role)
        assert abs(float((sigma > 0).double().mean()) - blurred) < error
        assert abs(float(turned.double().mean()) - solarised) < error
        assert stats.kstest(sigma[sigma > 0].numpy(), stats.uniform(0.1, 1.9).cdf).pvalue > 1e-5
    jitter = views._common_jitter(config, found, torch.full((20000, 5), 0.3, dtype=torch.float64))
    assert torch.equal(jitter.scale_BC[:, :1].expand(-1, 5), jitter.scale_BC)
    assert abs(float((jitter.scale_BC[:, 0] == 1).double().mean()) - 0.2) < error


def test_crops_are_standardised():
    out = make(crops(), ViewsConfig(normalise="crop", normalise_floor=0.0, elastic_sigma=8.0, elastic_alpha=20.0)).double()
    assert out.mean((2, 3)).abs().max() < 1e-5
    assert (out.std((2, 3), correction=0) - 1).abs().max() < 1e-4


@pytest.mark.parametrize("normalise", ["dataset", "crop"])
def test_sites_are_normalised_as_views_are(normalise):
    batch, config = crops(), ViewsConfig(style="none", normalise=normalise)
    assert torch.equal(views.normalise_site(batch[0], config, MEAN, SD), make(batch, config))
    half = views.normalise_site(batch[0], config, MEAN, SD, dtype=torch.float16)
    assert half.dtype == torch.float16


def test_dataset_without_spread_is_refused():
    with pytest.raises(UsageError, match="use crop"):
        views.normalise_site(crops()[0], ViewsConfig(), MEAN, torch.zeros(5))


def test_the_order_of_channels_is_drawn_for_every_image():
    """Uniform, by seed and sample alone, and the same for all crops of a sample; a view's own draws stay as they were."""
    sample_B = torch.arange(6000) * IDS_PER_SAMPLE
    order_BC = draw_order(sample_B, 5, seed=1)
    assert torch.equal(order_BC.sort(1).values, torch.arange(5).expand(6000, 5))
    counts_CC = torch.stack([torch.bincount(order_BC[:, place], minlength=5) for place in range(5)])
    assert ((counts_CC - 1200).abs() < 5 * (6000 * 0.2 * 0.8) ** 0.5).all()
    assert len(order_BC.unique(dim=0)) == 120
    assert torch.equal(draw_order(sample_B[77:78] + 16, 5, seed=1)[0], order_BC[77])  # a local crop of sample 77
    assert not torch.equal(draw_order(sample_B, 5, seed=2), order_BC)
    batch = crops()
    view = make(batch, config := ViewsConfig(style="dinov2"))
    group = CropGroup(batch[0], batch[1], batch[2])
    facts = {"seed": 1, "channel_groups": FLUORESCENCE, "mean_C": MEAN, "sd_C": SD}
    permuted = replace(config, channel_order="permuted")
    found = views.make_views(CropBatch({"v1": group}, [], 0, 0), ["v1"], permuted, **facts)["v1"]
    order_BC = draw_order(batch[2], 5, seed=1)
    assert torch.equal(found, torch.stack([one[order] for one, order in zip(view, order_BC, strict=True)]))
    assert torch.equal(views.make_views(CropBatch({"v1": group}, [], 0, 0), ["v1"], config, **facts)["v1"], view)


def test_a_composite_is_every_channel_in_its_colour_of_the_wheel():
    assert wheel(3) == [(1, 0, 0), (0, 1, 0), (0, 0, 1)]
    assert wheel(2) == [(1, 0, 0), (0, 1, 1)]
    np.testing.assert_allclose(wheel(6)[1::2], [(1, 1, 0), (0, 1, 1), (1, 0, 1)], atol=1e-12)
    pixels, _, sample = crops(B=2)
    colours = np.array([colorsys.hsv_to_rgb(c / 5, 1, 1) for c in range(5)])
    expected = np.minimum(np.rint(np.einsum("bchw,cr->brhw", pixels.numpy().astype(float), colours)), 255)
    assert np.abs(composite(pixels).numpy() - expected).max() <= 1  # a half is rounded in float32
    assert (expected == 255).any()
    config = ViewsConfig(composite="wheel", normalise="crop", elastic_p=0.0)
    rgb = composite(pixels)
    plain = replace(config, composite="none")
    found = make((pixels, pixels.long().sum((2, 3)), sample), config)
    assert torch.equal(found, make((rgb, rgb.long().sum((2, 3)), sample), plain, channel_groups=FLUORESCENCE[:3]))
    assert torch.equal(views.normalise_site(pixels, config, MEAN, SD), views.normalise_site(rgb, plain, MEAN[:3], SD[:3]))
    with pytest.raises(UsageError, match=r"views\.composite = wheel: need none, or views\.normalise = crop"):
        replace(config, normalise="dataset")
