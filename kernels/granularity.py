"""The granular spectrum of images: how much of the light sits in grains of each size. N images, H W pixels.

As CellProfiler's MeasureGranularity defines it with its defaults: every `step`-th pixel of the image; less its background, which
is the opening by a disk of radius 10 of every fourth of these pixels, interpolated; then erosions by a cross, one after the
other, each grown back under the image (reconstruction by dilation), so that a grain goes as a whole when the erosions reach its
middle. One thing differs: the interpolated background is rounded to whole levels, so that every sum is a whole number.

Source: I. Ravkin and V. Temov, Bit representation techniques and image processing (1988); Stirling et al., CellProfiler 4 (2021).
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from kit.kernels.extension import cpu_extension, loaded
from kit.kernels.launch import choose, require, require_tensor

LENGTHS = 16  # erosions, CellProfiler's "range of the granular spectrum"
GROUND_STEP, GROUND_RADIUS = 4, 10  # pixels
LEAST_SIDE = 4  # of the pixels taken


def granularity(images_NHW: Tensor, step: int, *, threads: int | None = None) -> Tensor:
    """Return the light of each image less its background, and what erosions 1 to 16 leave of it: sums of levels, int64 [N, 17].

    The spectrum is what each erosion takes: the differences of neighbouring sums, over the first of them.

    Args:
        images_NHW: uint8, contiguous, on the CPU.
        step: every how many pixels one is taken, at least four a side.
        threads: CPU threads; default: torch's.

    Raises:
        ValueError: a wrong dtype, device or shape, or a step too long for the image.
    """
    require_tensor("images", images_NHW, dtypes=(torch.uint8,), shape=(None, None, None), device=torch.device("cpu"))
    count, height, width = images_NHW.shape
    most = min(height, width) // LEAST_SIDE
    require(1 <= step <= most, "step", step, f"1 to {most} for {height} x {width} pixels")
    if choose("granularity", images_NHW.device).backend == "torch":
        return granularity_reference(images_NHW, step)
    sums_NL = torch.zeros(count, LENGTHS + 1, dtype=torch.int64)
    loaded(cpu_extension()).granularity(
        images_NHW.data_ptr(), count, height, width, step, sums_NL.data_ptr(), threads or torch.get_num_threads()
    )
    return sums_NL


def granularity_reference(images_NHW: Tensor, step: int) -> Tensor:
    """The definition of `granularity`, in plain torch; the C++ gives the same bits."""
    height, width = (length // step for length in images_NHW.shape[1:])
    taken_NHW = images_NHW[:, : height * step : step, : width * step : step]
    left_NHW = (taken_NHW.int() - _ground(taken_NHW)).clamp(min=0).to(torch.uint8)
    eroded_NHW, sums = left_NHW, [left_NHW.sum(dim=(1, 2))]
    for _ in range(LENGTHS):
        eroded_NHW = ~_most_of_cross(~eroded_NHW)  # the least, as ~ turns the order of levels round
        left_NHW = _grown_back(eroded_NHW, left_NHW)  # under what was left before, as it never grows beyond
        sums.append(left_NHW.sum(dim=(1, 2)))
    return torch.stack(sums, dim=1)


def _ground(image_NHW: Tensor) -> Tensor:
    """Return the background in whole levels, int32 [N, H, W]."""
    ground_NHW = image_NHW[:, ::GROUND_STEP, ::GROUND_STEP]
    ground_NHW = _most_of_disk(~_most_of_disk(~ground_NHW)).long()
    whole = 1
    for axis in (1, 2):
        length, steps = image_NHW.shape[axis], ground_NHW.shape[axis]
        parts = GROUND_STEP * (length - 1)
        place_I = torch.arange(length) * (length - GROUND_STEP)  # in parts of a ground pixel: CellProfiler's coordinates
        at_I, part_I = place_I // parts, (place_I % parts).view(-1, *[1] * (2 - axis))
        next_I = (at_I + 1).clamp(max=steps - 1)
        ground_NHW = ground_NHW.index_select(axis, at_I) * (parts - part_I) + ground_NHW.index_select(axis, next_I) * part_I
        whole *= parts
    return ((2 * ground_NHW + whole) // (2 * whole)).int()


def _most_of_disk(image_NHW: Tensor) -> Tensor:
    """Return the most in the disk around each pixel; outside the image lies nothing."""
    height, width = image_NHW.shape[1:]
    padded_NHW, out_NHW = F.pad(image_NHW, [GROUND_RADIUS] * 4), image_NHW.clone()
    for y in range(2 * GROUND_RADIUS + 1):
        for x in range(2 * GROUND_RADIUS + 1):
            if (y - GROUND_RADIUS) ** 2 + (x - GROUND_RADIUS) ** 2 <= GROUND_RADIUS**2:
                out_NHW = torch.maximum(out_NHW, padded_NHW[:, y : y + height, x : x + width])
    return out_NHW


def _most_of_cross(image_NHW: Tensor) -> Tensor:
    out_NHW = image_NHW.clone()
    for axis in (1, 2):
        length = image_NHW.shape[axis]
        for start, other in ((1, 0), (0, 1)):
            part_NHW = out_NHW.narrow(axis, start, length - 1)
            torch.maximum(part_NHW, image_NHW.narrow(axis, other, length - 1), out=part_NHW)
    return out_NHW


def _grown_back(seed_NHW: Tensor, under_NHW: Tensor) -> Tensor:
    """Return the reconstruction by dilation: the seed grown by a cross, never above `under`, until nothing changes."""
    while True:
        grown_NHW = torch.minimum(_most_of_cross(seed_NHW), under_NHW)
        if torch.equal(grown_NHW, seed_NHW):
            return grown_NHW
        seed_NHW = grown_NHW
