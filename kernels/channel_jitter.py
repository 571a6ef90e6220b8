"""Brightness, then contrast, of each channel. B batch, C channels, H W pixels."""

from dataclasses import dataclass

import torch
from torch import Tensor

from kit.kernels.launch import require_tensor

PIXELS = (torch.uint8, torch.float32)


@dataclass(frozen=True)
class Jitter:
    """The jittered channel is I * scale + shift (`jitter_terms`)."""

    scale_BC: Tensor  # float32
    shift_BC: Tensor  # float32


def jitter_terms(brightness_BC: Tensor, contrast_BC: Tensor, mean_BC: Tensor) -> tuple[Tensor, Tensor]:
    """Return (scale_BC, shift_BC), float32, such that the jittered channel is I * scale + shift.

    I' = (I b - m) g + m = I (b g) + m (1 - g), with the mean m of the channel before any change: SSLProfiler 1,
    section 3.3.2. It commutes with every resampling whose weights add up to 1, so it is one multiply-add at the end.

    Args:
        brightness_BC, contrast_BC: the factors b and g.
        mean_BC: mean intensity of each channel of the original crop, 0 to 1.
    """
    scale = brightness_BC.double() * contrast_BC.double()
    shift = mean_BC.double() * (1 - contrast_BC.double())
    return scale.float(), shift.float()


def channel_jitter_reference(pixels_BCHW: Tensor, scale_BC: Tensor, shift_BC: Tensor) -> Tensor:
    """The same in plain PyTorch."""
    return intensity(pixels_BCHW) * scale_BC[..., None, None] + shift_BC[..., None, None]


def intensity(pixels: Tensor) -> Tensor:
    """Return float32 intensities: uint8 grey levels over 255, float32 as it is."""
    return pixels.float() * (1 / 255) if pixels.dtype == torch.uint8 else pixels


def check_jitter(pixels_BCHW: Tensor, scale_BC: Tensor, shift_BC: Tensor) -> None:
    """Raise a ValueError unless the terms fit the pixels."""
    shape = tuple(pixels_BCHW.shape[:2])
    for name, term in (("scale_BC", scale_BC), ("shift_BC", shift_BC)):
        require_tensor(name, term, dtypes=(torch.float32,), shape=shape, device=pixels_BCHW.device)
