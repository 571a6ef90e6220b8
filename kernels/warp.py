"""Where each output pixel of a warp samples its input: the arguments of kit.kernels.elastic_warp. B batch, K lattice."""

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from kit.kernels.launch import require, require_tensor

SIDE_MOST = 4096  # pixels: beyond it the fixed-point coordinates leave 32 bits
AS_IT_IS, AFFINE, ELASTIC = 0, 1, 2  # kind of warp of an image; ELASTIC includes the affine part


@dataclass(frozen=True)
class Warp:
    """Where every output pixel of every image looks."""

    kind_B: Tensor  # int32: AS_IT_IS, AFFINE or ELASTIC
    affine_B6: Tensor  # int32, 18 fractional bits: x' = a0 x + a1 y + a2, y' = a3 x + a4 y + a5
    # Coefficients of the displacement along x and y, float32, pixels; None: no field, ELASTIC is AFFINE.
    lattice_B2KK: Tensor | None = None
    spacing: float = 16.0  # pixels between lattice points; point 0 lies at -spacing


def lattice_size(side: int, spacing: float) -> int:
    """Return how many lattice points the spline needs along a side."""
    return int(np.float32(side - 1) * np.float32(1 / spacing)) + 4


def check_warp(pixels_BCHW: Tensor, warp: Warp) -> None:
    """Raise a ValueError unless the warp fits the pixels."""
    batch, _, height, width = pixels_BCHW.shape
    require(min(height, width) >= 2 and max(height, width) <= SIDE_MOST, "pixels_BCHW", f"{height} x {width} px",
            f"sides of 2 to {SIDE_MOST} px for a warp")  # fmt: skip
    device = pixels_BCHW.device
    require_tensor("warp.kind_B", warp.kind_B, dtypes=(torch.int32,), shape=(batch,), device=device)
    require_tensor("warp.affine_B6", warp.affine_B6, dtypes=(torch.int32,), shape=(batch, 6), device=device)
    if warp.lattice_B2KK is None:
        return
    require(math.isfinite(warp.spacing) and warp.spacing > 0, "warp.spacing", warp.spacing, "more than 0")
    shape = (batch, 2, lattice_size(height, warp.spacing), lattice_size(width, warp.spacing))
    require_tensor("warp.lattice_B2KK", warp.lattice_B2KK, dtypes=(torch.float32,), shape=shape, device=device)
