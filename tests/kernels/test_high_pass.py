"""The high pass: its definition against a window taken by hand, the C++ against the reference, and what it takes away."""

import numpy as np
import pytest
import torch

from kit.kernels.extension import cpu_extension
from kit.kernels.high_pass import high_pass, high_pass_reference
from kit.kernels.view import view, view_reference

from .test_view_backends import backend  # noqa: F401 a fixture
from .view_cases import assert_same_view, flips_allowed, parts_of

SIZES = [(1, 1, 3), (5, 4, 3), (17, 33, 5), (33, 17, 31), (40, 90, 91), (24, 24, 2047), (3, 200, 7)]


def noise(H, W, N=2):
    return torch.randint(0, 256, (N, H, W), dtype=torch.uint8, generator=torch.Generator().manual_seed(H * W))


@pytest.mark.parametrize(("H", "W", "side"), [(5, 4, 3), (9, 13, 5), (6, 11, 31)])
def test_reference_is_the_window_by_hand(H, W, side):
    images, reach = noise(H, W), side // 2
    for image, found in zip(images.numpy().astype(int), high_pass_reference(images, side).numpy(), strict=True):
        for y, x in np.ndindex(H, W):
            window = image[max(y - reach, 0) : y + reach + 1, max(x - reach, 0) : x + reach + 1]
            mean = int(np.floor(window.mean() + 0.5))
            assert found[y, x] == min(max(image[y, x] - mean + 128, 0), 255)


@pytest.mark.skipif(cpu_extension() is None, reason="kit.kernels._cpu is not built or blocked")
@pytest.mark.parametrize(("H", "W", "side"), SIZES)
def test_cpp_equals_the_reference(H, W, side):
    images = noise(H, W)
    assert torch.equal(high_pass(images, side, threads=2), high_pass_reference(images, side))
    white = torch.full_like(images, 255)  # the largest sums
    assert high_pass(white, side, threads=1).eq(128).all()


def test_uneven_light_goes_and_cells_stay():
    """A ramp across the image, and a bright disc: the ramp alone gives the middle level, the disc is as bright as it was."""
    y, x = torch.meshgrid(torch.arange(81), torch.arange(101), indexing="ij")
    ramp, disc = 40 + x, 60 * ((y - 40) ** 2 + (x - 50) ** 2 <= 9)
    lit, plain = (high_pass(image.to(torch.uint8)[None], 21)[0].int() for image in (ramp + disc, disc + 40))
    inside = (slice(None), slice(10, 91))  # the window is whole along x
    assert (lit[inside] - plain[inside]).abs().max() <= 1
    assert lit[40, 50] - lit[40, 60] > 50
    assert (high_pass(ramp.to(torch.uint8)[None], 21)[0].int() - 128).abs().max() <= 5  # at the edge: slope x side / 4


def test_an_offset_changes_nothing():
    images = noise(20, 31) // 2
    assert torch.equal(high_pass(images, 9), high_pass(images + 100, 9))


@pytest.mark.parametrize("case", ["as it is", "all, crop"])
def test_every_backend_of_the_view_takes_its_pixels(backend, case):  # noqa: F811
    pixels = high_pass(noise(13, 19, N=6), 9).view(2, 3, 13, 19)
    parts = parts_of(case, 2, 3, 13, 19)
    assert_same_view(view(pixels, **parts), view_reference(pixels, **parts), flips=flips_allowed(case))


@pytest.mark.parametrize(
    ("images", "side", "message"),
    [
        (noise(9, 9), 4, "side is 4: need an odd number of pixels, 3 to 2047"),
        (noise(9, 9), 2049, "side is 2049"),
        (noise(9, 9).float(), 3, "images is torch.float32: need uint8"),
        (noise(9, 9)[0], 3, r"images is of shape \[9, 9\]"),
        (noise(9, 9)[:, :, ::2], 3, "images is not contiguous"),
    ],
)
def test_what_cannot_be_filtered_is_named(images, side, message):
    with pytest.raises(ValueError, match=message):
        high_pass(images, side)
