"""Gain, then contrast, of each channel, each clipped to [0, 1]. B batch, C channels, H W pixels.

    J = clip(I gain),  out = clip(J g + mean(J) (1 - g))

Both are clipped because images are: without it a view that is standardised by its own mean and SD would undo them to the
last digit. A gain of 0 empties a channel. kit.kernels.clipped_means makes one of factors.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from kit.kernels.launch import require_tensor


@dataclass(frozen=True)
class Exposure:
    """The exposed channel is clip(clip(I * gain) * contrast + shift); made by `kit.kernels.clipped_means.expose`."""

    gain_BC: Tensor  # float32, 0 or more
    contrast_BC: Tensor  # float32, 0 or more
    shift_BC: Tensor  # float32


def exposure_reference(x_BCHW: Tensor, exposure: Exposure) -> Tensor:
    """Return the exposed intensities in plain PyTorch."""
    gain, contrast, shift = (term[..., None, None] for term in (exposure.gain_BC, exposure.contrast_BC, exposure.shift_BC))
    return clipped(clipped(x_BCHW * gain) * contrast + shift)


def check_exposure(pixels_BCHW: Tensor, exposure: Exposure) -> None:
    """Raise a ValueError unless the terms fit the pixels."""
    for name in ("gain_BC", "contrast_BC", "shift_BC"):
        term = getattr(exposure, name)
        shape = tuple(pixels_BCHW.shape[:2])
        require_tensor(f"exposure.{name}", term, dtypes=(torch.float32,), shape=shape, device=pixels_BCHW.device)


def clipped(x: Tensor) -> Tensor:
    """Return x in [0, 1]; NaN stays NaN."""
    return x.clamp(0, 1)
