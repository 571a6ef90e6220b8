"""High pass of whole images: what is smoother than a square of some side goes, uneven light first of all. N images, H W pixels.

Integers throughout, so that backends and threads give the same bits. It is applied to a site before crops are cut: a crop
sees what the whole site shows in its place, at any magnification.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from kit.kernels.extension import cpu_extension, loaded
from kit.kernels.launch import choose, require, require_tensor

MIDDLE = 128  # the level that a pixel gets which equals its surroundings
MOST_SIDE = 2047  # pixels: the sum of a larger window may pass 31 bits


def high_pass(images_NHW: Tensor, side: int, *, threads: int | None = None) -> Tensor:
    """Return clip(I - mean + 128, 0, 255), uint8 [N, H, W]; mean is that of the window around the pixel, rounded, halves up.

    At the edges the window is the part of the square that lies in the image.

    Args:
        images_NHW: levels, uint8, contiguous, on the CPU.
        side: of the square around a pixel, pixels: odd, 3 to 2047.
        threads: CPU threads; default: torch's.

    Raises:
        ValueError: a wrong dtype, device, shape or side.
    """
    require_tensor("images", images_NHW, dtypes=(torch.uint8,), shape=(None, None, None), device=torch.device("cpu"))
    require(side % 2 == 1 and 3 <= side <= MOST_SIDE, "side", side, f"an odd number of pixels, 3 to {MOST_SIDE}")
    if choose("high_pass", images_NHW.device).backend == "torch" or images_NHW.numel() == 0:
        return high_pass_reference(images_NHW, side)
    out_NHW = torch.empty_like(images_NHW)
    loaded(cpu_extension()).high_pass(
        images_NHW.data_ptr(), *images_NHW.shape, side, out_NHW.data_ptr(), threads or torch.get_num_threads()
    )
    return out_NHW


def high_pass_reference(images_NHW: Tensor, side: int) -> Tensor:
    """The definition of `high_pass`, in plain torch."""
    above_HW = F.pad(images_NHW.long().cumsum(1).cumsum(2), (1, 0, 1, 0))  # sum of all pixels above and left of a corner
    (top_H, below_H), (left_W, right_W) = (_window(length, side) for length in images_NHW.shape[1:])
    rows_NHW = above_HW[:, below_H] - above_HW[:, top_H]
    sum_NHW = rows_NHW[:, :, right_W] - rows_NHW[:, :, left_W]
    pixels_HW = (below_H - top_H)[:, None] * (right_W - left_W)
    mean_NHW = (2 * sum_NHW + pixels_HW) // (2 * pixels_HW)
    return (images_NHW - mean_NHW + MIDDLE).clamp(0, 255).to(torch.uint8)


def _window(length: int, side: int) -> tuple[Tensor, Tensor]:
    """Return where the window of each pixel of an axis starts, and where it has ended."""
    pixel = torch.arange(length)
    return (pixel - side // 2).clamp_min(0), (pixel + side // 2 + 1).clamp_max(length)
