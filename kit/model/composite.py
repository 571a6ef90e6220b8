"""The channels of an image as one RGB picture, for networks that take no other. B images, C channels, H W pixels."""

import colorsys

import torch
from torch import Tensor

from kit.model.transfer import upload


def wheel(channels: int) -> list[tuple[float, float, float]]:
    """Return the colour of each channel, RGB from 0 to 1: hues evenly spaced around the wheel, the first red, full and pure."""
    return [colorsys.hsv_to_rgb(channel / channels, 1.0, 1.0) for channel in range(channels)]


def composite(pixels_BCHW: Tensor) -> Tensor:
    """Return RGB pictures, uint8 [B, 3, H, W]: every channel times its colour, added up, what is above 255 clipped.

    Source: CellRep, section 4.2: "CellProfiler's standard compositing process, assigning colors to channels evenly spaced around
    the color wheel"; that weights are 1 is ours.
    """
    colour_C3 = upload(torch.tensor(wheel(pixels_BCHW.shape[1])), pixels_BCHW.device)
    mixed_B3HW = torch.einsum("bchw,cr->brhw", pixels_BCHW.float(), colour_C3)
    return mixed_B3HW.round_().clamp_(max=255).to(torch.uint8).contiguous()
