"""The fused view against a float64 reading of the papers, the single ops, and what it refuses."""

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter

from kit.kernels.blur import blur
from kit.kernels.channel_jitter import jitter_terms
from kit.kernels.view import Jitter, Normalise, channel_jitter, elastic_warp, microscope_noise, view

from .view_cases import make_jitter, make_noise, make_warp, parts_of, random_pixels


def test_jitter_is_the_formula_of_the_paper():
    """SSLProfiler 1, section 3.3.2, step by step in float64; the mean is that of the original channel."""
    pixels = random_pixels(B=3, C=4, H=15, W=22)
    draw = np.random.default_rng(0)
    b, g = draw.uniform(0.6, 1.4, (3, 4)), draw.uniform(0.6, 1.4, (3, 4))
    image = pixels.double().numpy() / 255
    mean = image.mean((2, 3))
    terms = jitter_terms(torch.from_numpy(b), torch.from_numpy(g), torch.from_numpy(mean))
    brighter = image * b[..., None, None]
    expected = (brighter - mean[..., None, None]) * g[..., None, None] + mean[..., None, None]
    out = channel_jitter(pixels, *terms)
    np.testing.assert_allclose(out.numpy(), expected, atol=1e-6)
    assert out.max() > 1  # nothing is clamped


def test_jitter_commutes_with_the_warp():
    pixels, jitter, warp = random_pixels(), make_jitter(3, 5), make_warp(3, 40, 33)
    before = elastic_warp(channel_jitter(pixels, jitter.scale_BC, jitter.shift_BC), warp)
    torch.testing.assert_close(view(pixels, warp=warp, jitter=jitter), before, rtol=0, atol=1e-6)


def test_parts_come_in_order():
    """Warp, jitter, noise, normalise: the fused view is the single ops one after the other."""
    pixels, parts = random_pixels(), parts_of("all, dataset", 3, 5, 40, 33)
    x = elastic_warp(pixels, parts["warp"])
    x = channel_jitter(x, parts["jitter"].scale_BC, parts["jitter"].shift_BC)
    x = view(microscope_noise(x, parts["noise"]), normalise=parts["normalise"])
    assert ((view(pixels, **parts) - x).abs() > 2e-5).double().mean() < 1e-3
    late = elastic_warp(microscope_noise(view(pixels), parts["noise"]), parts["warp"])
    early = view(pixels, warp=parts["warp"], noise=parts["noise"])
    assert (late - early).abs().mean() > 0.01  # the order shows


def test_normalise():
    pixels = random_pixels(B=2, C=3)
    out = view(pixels, normalise=Normalise(floor=0.0)).double()
    assert out.mean((2, 3)).abs().max() < 1e-6
    assert (out.std((2, 3), correction=0) - 1).abs().max() < 1e-5
    image = pixels.double() / 255
    sd, mean = torch.std_mean(image, (2, 3), keepdim=True, correction=0)
    out = view(pixels, normalise=Normalise(floor=0.02))
    torch.testing.assert_close(out.double(), (image - mean) / (sd + 0.02), rtol=0, atol=1e-5)
    out = view(pixels, normalise=Normalise((2.0, 3.0, 4.0), (-0.1, 0.0, 0.1)))
    expected = image * torch.tensor([2.0, 3, 4])[:, None, None] + torch.tensor([-0.1, 0, 0.1])[:, None, None]
    torch.testing.assert_close(out.double(), expected.double(), rtol=0, atol=1e-5)


def test_empty_channel_stays_at_0():
    flat = torch.full((1, 1, 9, 9), 7, dtype=torch.uint8)
    assert view(flat, normalise=Normalise(floor=0.02)).abs().max() < 1e-5


def test_blur_is_gaussian():
    """Nine taps, reflection about the edge pixels: scipy's filter with radius 4 and mode mirror, float64."""
    x = random_pixels(B=2, C=2, H=25, W=18, kind=torch.float32)
    sigma_B = torch.tensor([0.6, 1.9])
    out = blur(x, sigma_B, torch.zeros(2, dtype=torch.int32))
    for i in range(2):
        for c in range(2):
            expected = gaussian_filter(x[i, c].double().numpy(), float(sigma_B[i]), radius=4, mode="mirror")
            np.testing.assert_allclose(out[i, c].numpy(), expected, atol=1e-6)


def test_empty_batch():
    assert view(torch.zeros(0, 5, 8, 8, dtype=torch.uint8)).shape == (0, 5, 8, 8)


def test_input_is_left_alone():
    pixels = random_pixels(kind=torch.float32)
    kept = pixels.clone()
    view(pixels, **parts_of("all, crop", 3, 5, 40, 33))
    assert torch.equal(pixels, kept)


@pytest.mark.parametrize(
    ("pixels", "parts", "named"),
    [
        (torch.zeros(1, 1, 4, 4, dtype=torch.float64), {}, "pixels_BCHW"),
        (torch.zeros(1, 1, 4, 4, dtype=torch.int16), {}, "pixels_BCHW"),
        (torch.zeros(1, 4, 4), {}, "pixels_BCHW"),
        (torch.empty(1, 1, 2**15, 2**15, device="meta"), {}, "pixels_BCHW"),  # 32-bit pixel numbers
        (torch.zeros(1, 1, 4, 8)[..., ::2], {}, "pixels_BCHW"),
        (torch.zeros(1, 2, 4, 4), {"jitter": make_jitter(1, 3)}, "scale_BC"),
        (
            torch.zeros(2, 3, 4, 4),
            {"jitter": Jitter(make_jitter(2, 3).scale_BC.double(), make_jitter(2, 3).shift_BC)},
            "scale_BC",
        ),
        (torch.zeros(2, 3, 40, 33), {"warp": make_warp(3, 40, 33)}, "warp.kind_B"),
        (torch.zeros(2, 3, 4, 4), {"noise": make_noise(2, 2)}, "noise.shot"),
        (torch.zeros(1, 3, 4, 4), {"normalise": Normalise((1.0,), (1.0,))}, "normalise.scale"),
        (torch.zeros(1, 3, 4, 4), {"normalise": Normalise(floor=-1.0)}, "normalise.floor"),
        (torch.zeros(1, 3, 4, 4), {"dtype": torch.float64}, "dtype"),
    ],
)
def test_bad_input_is_named(pixels, parts, named):
    with pytest.raises(ValueError, match=named):
        view(pixels, **parts)


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"x_BCHW": torch.zeros(2, 1, 9, 9, dtype=torch.uint8)}, "x_BCHW"),
        ({"x_BCHW": torch.zeros(2, 1, 9, 4)}, "x_BCHW"),
        ({"x_BCHW": torch.zeros(2, 1, 2**15, 2**15, device="meta")}, "x_BCHW.*2\\*\\*30"),
        ({"sigma_B": torch.ones(3)}, "sigma_B"),
        ({"solarise_B": torch.zeros(2, dtype=torch.bool)}, "solarise_B"),
    ],
)
def test_bad_blur_is_named(change, named):
    good = {"x_BCHW": torch.zeros(2, 1, 9, 9), "sigma_B": torch.ones(2), "solarise_B": torch.zeros(2, dtype=torch.int32)}
    blur(**good)
    with pytest.raises(ValueError, match=named):
        blur(**(good | change))
