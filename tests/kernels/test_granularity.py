"""The granular spectrum: the C++ against the reference, the reference against CellProfiler's steps, and what a grain is."""

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter, map_coordinates
from skimage.morphology import dilation, disk, erosion, reconstruction

from kit.kernels.extension import cpu_extension
from kit.kernels.granularity import granularity, granularity_reference

needs_cpp = pytest.mark.skipif(cpu_extension() is None, reason="kit.kernels._cpu is not built or blocked")
SIZES = [(4, 4, 1), (9, 30, 2), (67, 50, 1), (129, 90, 3)]  # height, width, step


def cells(N, H, W, seed=0):
    """Blobs of several sizes on a slope, and noise: flat places, ties and slopes."""
    rng = np.random.default_rng(seed)
    light = sum(gaussian_filter(rng.normal(size=(N, H, W)), (0, sd, sd)) * sd for sd in (1, 3, 8))
    light += np.linspace(0, 2, W) + 0.2 * rng.normal(size=light.shape)
    return torch.from_numpy(np.clip(40 * light, 0, 255).astype(np.uint8))


def cellprofiler(image_HW, step, round_ground):
    """The spectrum in the words of CellProfiler's module, with its default settings but for the step."""
    new = np.array(image_HW.shape) // step
    pixels = map_coordinates(image_HW.astype(float), np.mgrid[0 : new[0], 0 : new[1]] * float(step), order=1)
    back = new * 0.25
    ground = map_coordinates(pixels, np.mgrid[0 : back[0], 0 : back[1]] / 0.25, order=1)
    ground = dilation(erosion(ground, disk(10)), disk(10))
    i, j = np.mgrid[0 : new[0], 0 : new[1]].astype(float)
    ground = map_coordinates(ground, (i * (back[0] - 1) / (new[0] - 1), j * (back[1] - 1) / (new[1] - 1)), order=1)
    pixels = np.maximum(pixels - (np.floor(ground + 0.5 + 1e-9) if round_ground else ground), 0)
    eroded, means = pixels, [pixels.mean()]
    for _ in range(16):
        eroded = erosion(eroded, disk(1))
        means.append(reconstruction(eroded, pixels, footprint=disk(1)).mean())
    return np.array(means) * new.prod()


@needs_cpp
@pytest.mark.parametrize(("H", "W", "step"), SIZES)
def test_cpp_equals_the_reference_to_the_bit(H, W, step):
    noise = torch.randint(0, 256, (1, H, W), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    images = torch.cat([cells(2, H, W), noise, torch.full((1, H, W), 255, dtype=torch.uint8), noise // 128 * 255])
    assert torch.equal(granularity(images, step, threads=2), granularity_reference(images, step))


@pytest.mark.parametrize(("H", "W", "step"), SIZES)
def test_reference_equals_cellprofilers_steps(H, W, step):
    image = cells(1, H, W, seed=1)
    found = granularity_reference(image, step)[0].numpy()
    np.testing.assert_array_equal(found, cellprofiler(image[0].numpy(), step, round_ground=True).round())
    exact = cellprofiler(image[0].numpy(), step, round_ground=False)
    np.testing.assert_allclose(np.diff(found) / found[0], np.diff(exact) / exact[0], atol=0.02)


@pytest.mark.parametrize("radius", [2, 5, 9])
def test_a_grain_goes_with_the_erosion_of_its_radius(radius):
    image = torch.zeros(1, 80, 80, dtype=torch.uint8)
    image[0, 40 - radius : 41 + radius, 20 - radius : 21 + radius] = 100  # a square of 2 r + 1 pixels stands r erosions
    image[0, 5, 70] = 200  # and one pixel none
    whole = 100 * (2 * radius + 1) ** 2
    assert granularity(image, 1)[0].tolist() == [whole + 200, *[whole] * radius, *[0] * (16 - radius)]


def test_flat_images_have_no_grain():
    images = torch.stack([torch.full((40, 50), level, dtype=torch.uint8) for level in (0, 7, 255)])
    assert not granularity(images, 2).any()


def test_an_offset_changes_nothing_and_a_gain_nothing_of_the_spectrum():
    image = cells(1, 60, 60) // 4
    sums = granularity(image, 1)
    assert torch.equal(granularity(image + 100, 1), sums)
    torch.testing.assert_close((granularity(image * 4, 1) / sums)[0, :8], torch.full((8,), 4.0), rtol=0.03, atol=0)


def test_a_step_too_long_is_refused():
    with pytest.raises(ValueError, match="step is 8: need 1 to 7 for 30 x 50 pixels"):
        granularity(cells(1, 30, 50), 8)
