"""The mean of each channel, multiplied and clipped to [0, 1], and the exposure about it. B batch, C channels, H W pixels."""

import torch
from torch import Tensor

from kit.kernels.channel_jitter import PIXELS, intensity
from kit.kernels.exposure import Exposure, clipped
from kit.kernels.extension import cpu_extension, cuda_extension, loaded
from kit.kernels.launch import choose, require_tensor


def expose(pixels_BCHW: Tensor, gain_BC: Tensor, contrast_BC: Tensor) -> Exposure:
    """Return the part of a view that multiplies each channel by its gain and changes its contrast about the mean that follows.

    Args:
        pixels_BCHW: of the crops, uint8 grey levels or float32 intensities: their means are taken here.
        gain_BC, contrast_BC: factors of at least 0; 1 and 1 change nothing that lies in [0, 1].

    Source: Cell-DINO's brightness and contrast, whose published code takes torchvision's.
    """
    contrast_BC = contrast_BC.double()
    shift_BC = (1 - contrast_BC) * clipped_means(pixels_BCHW, gain_BC.float().contiguous()).double()
    return Exposure(gain_BC.float().contiguous(), contrast_BC.float().contiguous(), shift_BC.float().contiguous())


def clipped_means(pixels_BCHW: Tensor, gain_BC: Tensor) -> Tensor:
    """Return the mean of clip(I * gain) of each channel, float32 [B, C]; I is pixels / 255 for uint8, float32 pixels as they are.

    Raises:
        ValueError: wrong dtype, shapes that do not match, different devices, not contiguous.
    """
    device = pixels_BCHW.device
    require_tensor("pixels_BCHW", pixels_BCHW, dtypes=PIXELS, shape=(None,) * 4, device=device)
    require_tensor("gain_BC", gain_BC, dtypes=(torch.float32,), shape=tuple(pixels_BCHW.shape[:2]), device=device)
    backend = choose("clipped_means", device).backend
    if backend == "torch" or pixels_BCHW.numel() == 0:
        return clipped_means_reference(pixels_BCHW, gain_BC)
    if backend == "triton":
        from kit.kernels.view_triton import launch_clipped_means

        with torch.cuda.device_of(pixels_BCHW):  # nothing for a CPU tensor
            return launch_clipped_means(pixels_BCHW, gain_BC)
    out_BC = torch.empty_like(gain_BC)
    (B, C, H, W), size = pixels_BCHW.shape, pixels_BCHW.element_size()
    where = pixels_BCHW.data_ptr(), size, B * C, H * W, gain_BC.data_ptr(), out_BC.data_ptr()
    if backend == "cpp":
        loaded(cpu_extension()).clipped_means(*where, torch.get_num_threads())
        return out_BC
    with torch.cuda.device_of(pixels_BCHW):
        loaded(cuda_extension()).clipped_means(*where, torch.cuda.current_stream().cuda_stream)
    return out_BC


def clipped_means_reference(pixels_BCHW: Tensor, gain_BC: Tensor) -> Tensor:
    """The same in plain PyTorch."""
    return clipped(intensity(pixels_BCHW) * gain_BC[..., None, None]).double().mean((2, 3)).float()
