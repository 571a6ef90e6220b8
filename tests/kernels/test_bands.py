"""Moments of frequency bands: the C++ against the reference, the reference against scipy, and what a band is."""

import numpy as np
import pytest
import torch
from scipy.ndimage import convolve1d

from kit.kernels.bands import band_moments, band_moments_reference, level_pixels, most_levels
from kit.kernels.extension import cpu_extension

needs_cpp = pytest.mark.skipif(cpu_extension() is None, reason="kit.kernels._cpu is not built or blocked")
SIZES = [(3, 3), (4, 5), (17, 33), (64, 64), (101, 90)]


def noise(N, H, W, seed=0):
    return torch.randint(0, 256, (N, H, W), dtype=torch.uint8, generator=torch.Generator().manual_seed(seed))


@needs_cpp
@pytest.mark.parametrize(("H", "W"), SIZES)
def test_cpp_equals_the_reference(H, W):
    images = noise(3, H, W)
    levels = most_levels(H, W)
    torch.testing.assert_close(
        band_moments(images, levels, threads=2), band_moments_reference(images, levels), rtol=1e-12, atol=1e-9
    )


@needs_cpp
def test_threads_change_no_bit():
    images = noise(5, 40, 50)
    assert torch.equal(band_moments(images, 4, threads=1), band_moments(images, 4, threads=3))


@pytest.mark.parametrize(("H", "W"), SIZES)
def test_reference_equals_scipy(H, W):
    images, levels = noise(1, H, W, seed=1), most_levels(H, W)
    image_HW, expected = images[0].double().numpy(), []
    for _ in range(levels):
        blurred_HW = image_HW
        for axis in (0, 1):
            blurred_HW = convolve1d(blurred_HW, np.array([1, 4, 6, 4, 1]) / 16, axis=axis, mode="mirror")
        expected.append([((image_HW - blurred_HW) ** power).sum() for power in (1, 2, 3, 4)])
        image_HW = blurred_HW[::2, ::2]
    found = band_moments_reference(images, levels)[0].numpy()
    np.testing.assert_allclose(found[:, 1::2], np.array(expected)[:, 1::2], rtol=1e-5)
    np.testing.assert_allclose(found[:, ::2], np.array(expected)[:, ::2], atol=1e-4 * np.abs(expected).max())  # sums that cancel


@pytest.mark.parametrize(("period", "band"), [(3, 0), (6, 1), (12, 2), (24, 3)])
def test_a_wave_lies_in_the_band_of_its_length(period, band):
    wave = 127 + 100 * torch.sin(2 * torch.pi * torch.arange(96) / period)
    sums = band_moments(wave.round().to(torch.uint8).expand(1, 96, 96).contiguous(), 5)
    energy = sums[0, :, 1] / torch.tensor(level_pixels(96, 96, 5))
    assert energy.argmax() == band


def test_a_constant_image_has_no_band():
    assert not band_moments(torch.full((1, 20, 31), 77, dtype=torch.uint8), 3).any()


def test_levels_and_their_pixels():
    assert [most_levels(1080, 1080, 10), most_levels(256, 256, 10), most_levels(2, 9)] == [7, 5, 0]
    assert level_pixels(17, 33, 3) == [17 * 33, 9 * 17, 5 * 9]
    with pytest.raises(ValueError, match="levels is 4: need 1 to 3 for 9 x 30 pixels"):
        band_moments(noise(1, 9, 30), 4)
