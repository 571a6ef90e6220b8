"""Moments of the frequency bands of images: what is left of texture when intensity is set aside. N images, L levels, H W pixels.

A pyramid: each level is blurred by a 5-tap binomial filter, a band is what the blur removes, and every other pixel of the
blurred image is the next level, so that band l holds structures of about 2^l to 2^(l+1) pixels.

Source: Burt and Adelson, The Laplacian pyramid as a compact image code (1983), without its expansion step.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from kit.kernels.extension import cpu_extension, loaded
from kit.kernels.launch import choose, require, require_tensor

MOMENTS = 4  # sums of the powers 1 to 4 of a band
LEAST_SIDE = 3  # pixels: a 5-tap filter needs two neighbours to mirror


def band_moments(images_NHW: Tensor, levels: int, *, threads: int | None = None) -> Tensor:
    """Return the sums of the powers 1 to 4 of each band over its pixels, float64 [N, L, 4], in units of grey levels.

    Edges are mirrored without repeating the edge pixel. Divide by the pixels of the level, `level_pixels`, for means.

    Args:
        images_NHW: uint8, contiguous, on the CPU.
        levels: bands L; the last must have at least three pixels a side, see `most_levels`.
        threads: CPU threads; default: torch's.

    Raises:
        ValueError: a wrong dtype, device or shape, or more levels than the image has.
    """
    require_tensor("images", images_NHW, dtypes=(torch.uint8,), shape=(None, None, None), device=torch.device("cpu"))
    count, height, width = images_NHW.shape
    most = most_levels(height, width)
    require(1 <= levels <= most, "levels", levels, f"1 to {most} for {height} x {width} pixels")
    if choose("band_moments", images_NHW.device).backend == "torch":
        return band_moments_reference(images_NHW, levels)
    sums_NL4 = torch.zeros(count, levels, MOMENTS, dtype=torch.float64)
    loaded(cpu_extension()).band_moments(
        images_NHW.data_ptr(), count, height, width, levels, sums_NL4.data_ptr(), threads or torch.get_num_threads()
    )
    return sums_NL4


def band_moments_reference(images_NHW: Tensor, levels: int) -> Tensor:
    """The definition of `band_moments`, in plain torch; the C++ adds up in another order."""
    image_NHW, sums = images_NHW.float(), []
    for _ in range(levels):
        blurred_NHW = _blur(image_NHW)
        band_NHW = (image_NHW - blurred_NHW).double()
        sums.append(torch.stack([(band_NHW**power).sum(dim=(1, 2)) for power in range(1, MOMENTS + 1)], dim=1))
        image_NHW = blurred_NHW[:, ::2, ::2]
    return torch.stack(sums, dim=1)


def most_levels(height: int, width: int, least: int = LEAST_SIDE) -> int:
    """Return how many levels have at least `least` pixels on their shorter side."""
    side, levels = min(height, width), 0
    while side >= least:
        side, levels = (side + 1) // 2, levels + 1
    return levels


def level_pixels(height: int, width: int, levels: int) -> list[int]:
    """Return the number of pixels of each level."""
    pixels = []
    for _ in range(levels):
        pixels.append(height * width)
        height, width = (height + 1) // 2, (width + 1) // 2
    return pixels


def _blur(image_NHW: Tensor) -> Tensor:
    """The filter 1 4 6 4 1 / 16 down the columns, then along the rows; the order of additions is that of the C++."""
    for axis in (1, 2):
        pad = (0, 0, 2, 2) if axis == 1 else (2, 2, 0, 0)
        padded, length = F.pad(image_NHW, pad, mode="reflect"), image_NHW.shape[axis]
        a, b, c, d, e = (padded.narrow(axis, start, length) for start in range(5))
        image_NHW = ((a + e) + 4 * (b + d) + 6 * c) * 0.0625
    return image_NHW
