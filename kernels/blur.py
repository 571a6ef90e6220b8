"""DINOv2's blur and solarisation for any number of channels. B batch, C channels, H W pixels."""

import torch
from torch import Tensor

from kit.kernels.launch import choose, require, require_tensor

REACH = 4  # taps on each side: DINOv2 blurs with a 9 x 9 kernel whatever its SD
SOLARISE_FROM = 0.5  # intensity; DINOv2's 128 of 255 to within half a grey level


def blur(x_BCHW: Tensor, sigma_B: Tensor, solarise_B: Tensor) -> Tensor:
    """Return the images blurred by a 9 x 9 Gaussian, then solarised, float32 [B, C, H, W].

    Args:
        x_BCHW: intensities, float32. Outside, the image is continued by reflection about its edge pixels.
        sigma_B: SD of the Gaussian, pixels, float32; 0: not blurred.
        solarise_B: int32, 1: intensities of 0.5 and more become 1 - I. Nothing is clamped.

    Raises:
        ValueError: wrong dtype, shapes that do not match, a side below 5 px, 2**30 pixels in a channel, not contiguous.

    Source: DINOv2 (arXiv:2304.07193), its augmentations without hue, saturation and greyscale, which need three colours.
    """
    device = x_BCHW.device
    require_tensor("x_BCHW", x_BCHW, dtypes=(torch.float32,), shape=(None,) * 4, device=device)
    require(min(x_BCHW.shape[2:]) > REACH, "x_BCHW", f"of shape {list(x_BCHW.shape)}", f"sides above {REACH} px")
    height, width = x_BCHW.shape[2:]
    require(height * width < 2**30, "x_BCHW", f"{height} x {width} px", "fewer than 2**30 pixels in a channel")
    require_tensor("sigma_B", sigma_B, dtypes=(torch.float32,), shape=(len(x_BCHW),), device=device)
    require_tensor("solarise_B", solarise_B, dtypes=(torch.int32,), shape=(len(x_BCHW),), device=device)
    backend = choose("blur", device).backend
    if backend == "torch" or x_BCHW.numel() == 0:
        return blur_reference(x_BCHW, sigma_B, solarise_B)
    if backend == "triton":
        from kit.kernels.view_triton import launch_blur
    else:
        from kit.kernels.view_compiled import launch_blur
    with torch.cuda.device_of(x_BCHW):
        return launch_blur(x_BCHW, taps(sigma_B), solarise_B)


def taps(sigma_B: Tensor) -> Tensor:
    """Return the normalised weights of offsets 0 to 4, float32 [B, 5]; sigma 0: the identity."""
    offset = torch.arange(REACH + 1, device=sigma_B.device, dtype=torch.float64)
    weights = torch.exp(-(offset**2) / (2 * sigma_B.double().clamp(min=1e-3) ** 2)[:, None])
    return (weights / (2 * weights.sum(1, keepdim=True) - weights[:, :1])).float()


def blur_reference(x_BCHW: Tensor, sigma_B: Tensor, solarise_B: Tensor) -> Tensor:
    """The same in plain PyTorch."""
    weights_B5 = taps(sigma_B)
    for axis, padding in ((3, (REACH, REACH, 0, 0)), (2, (0, 0, REACH, REACH))):
        wide, side = torch.nn.functional.pad(x_BCHW, padding, mode="reflect"), x_BCHW.shape[axis]
        x_BCHW = weights_B5[:, 0, None, None, None] * wide.narrow(axis, REACH, side)
        for k in range(1, REACH + 1):
            both = wide.narrow(axis, REACH - k, side) + wide.narrow(axis, REACH + k, side)
            x_BCHW = x_BCHW + weights_B5[:, k, None, None, None] * both
    turned = (solarise_B[:, None, None, None] != 0) & (x_BCHW >= SOLARISE_FROM)
    return torch.where(turned, 1 - x_BCHW, x_BCHW)
