"""The fused view: rotation and warp, jitter or exposure, noise, normalisation in one pass. B batch, C channels, H W pixels.

    out = ((noise(gather(I) * scale + shift)) - centre) / spread

Each part is optional: channel_jitter, elastic_warp and microscope_noise are the view with a single part.
uint8 pixels are intensities times 255.
Jitter comes after the gather: the two commute (kit.kernels.channel_jitter). Noise is last: it arises in the camera.
An exposure (kit.kernels.exposure) stands in the jitter's place: gain and contrast, each clipped to [0, 1].
"""

import torch
from torch import Tensor

from kit.kernels.channel_jitter import PIXELS, Jitter, channel_jitter_reference, check_jitter, intensity
from kit.kernels.elastic_warp import elastic_warp_reference
from kit.kernels.exposure import Exposure, check_exposure, exposure_reference
from kit.kernels.launch import choose, require, require_tensor
from kit.kernels.microscope_noise import Noise, add_noise_reference, check_noise
from kit.kernels.normalise import Normalise, check_normalise, normalise_reference
from kit.kernels.warp import Warp, check_warp

OUTPUTS = (torch.float32, torch.float16, torch.bfloat16)


def view(
    pixels_BCHW: Tensor,
    *,
    warp: Warp | None = None,
    jitter: Jitter | None = None,
    exposure: Exposure | None = None,
    noise: Noise | None = None,
    normalise: Normalise | None = None,
    dtype: torch.dtype = torch.float32,
) -> Tensor:
    """Return the views [B, C, H, W] in `dtype`: the arithmetic is float32, rounded once at the end.

    Args:
        pixels_BCHW: uint8 grey levels, or float32 intensities.
        warp, jitter or exposure, noise, normalise: the parts, in this order; None leaves one out.
        dtype: float32, float16 or bfloat16.

    Raises:
        ValueError: an argument of the wrong dtype, shape, device or range, or not contiguous; it is named.

    Sources: SSLProfiler 1, sections 3.3.2, 6.1 and 6.2; Cell-DINO for the exposure.
    """
    _check(pixels_BCHW, warp, jitter, exposure, noise, normalise, dtype)
    backend = choose("view", pixels_BCHW.device).backend
    if pixels_BCHW.numel() == 0:
        return torch.empty(pixels_BCHW.shape, dtype=dtype, device=pixels_BCHW.device)
    if backend == "torch":
        return view_reference(
            pixels_BCHW, warp=warp, jitter=jitter, exposure=exposure, noise=noise, normalise=normalise, dtype=dtype
        )
    if backend == "triton":
        from kit.kernels.view_triton import launch_view
    else:
        from kit.kernels.view_compiled import launch_view
    with torch.cuda.device_of(pixels_BCHW):  # nothing for a CPU tensor
        return launch_view(
            pixels_BCHW, warp=warp, jitter=jitter, exposure=exposure, noise=noise, normalise=normalise, dtype=dtype
        )


def channel_jitter(pixels_BCHW: Tensor, scale_BC: Tensor, shift_BC: Tensor) -> Tensor:
    """Return I * scale + shift, float32 [B, C, H, W], not clamped. I is pixels / 255 for uint8, float32 pixels as they are.

    Raises:
        ValueError: wrong dtype, shapes that do not match, different devices, not contiguous.

    Source: SSLProfiler 1, section 3.3.2.
    """
    return view(pixels_BCHW, jitter=Jitter(scale_BC, shift_BC))


def elastic_warp(pixels_BCHW: Tensor, warp: Warp) -> Tensor:
    """Return the warped images, float32 [B, C, H, W]; uint8 pixels become intensities in [0, 1].

    Raises:
        ValueError: wrong dtype, shapes that do not match, a side below 2 or above 4096 px, a lattice of the wrong size.

    Source: SSLProfiler 1, section 6.2.
    """
    return view(pixels_BCHW, warp=warp)


def microscope_noise(pixels_BCHW: Tensor, noise: Noise) -> Tensor:
    """Return clip(Poisson(I / shot) * shot + dark + N(0, read^2), 0, 1), float32 [B, C, H, W]; images that are off, as they are.

    I is clamped to [0, 1] before the count is drawn; NaN counts as 0. Counter: (y W + x, sample low word, sample high word,
    role | channel); words 0 and 1 make the count, 2 and 3 the read noise.

    Raises:
        ValueError: wrong dtype or device, shapes that do not match, a shot scale below 1/320, negative strengths.

    Source: SSLProfiler 1, section 6.1.
    """
    return view(pixels_BCHW, noise=noise)


def view_reference(
    pixels_BCHW: Tensor,
    *,
    warp: Warp | None = None,
    jitter: Jitter | None = None,
    exposure: Exposure | None = None,
    noise: Noise | None = None,
    normalise: Normalise | None = None,
    dtype: torch.dtype = torch.float32,
) -> Tensor:
    """The same in plain PyTorch: the definition."""
    x = intensity(pixels_BCHW)
    if warp is not None:
        x = elastic_warp_reference(pixels_BCHW, warp)
    if jitter is not None:
        x = channel_jitter_reference(x, jitter.scale_BC, jitter.shift_BC)
    if exposure is not None:
        x = exposure_reference(x, exposure)
    if noise is not None:
        x = add_noise_reference(x, noise)
    return normalise_reference(x, normalise).to(dtype)


def _check(
    pixels_BCHW: Tensor,
    warp: Warp | None,
    jitter: Jitter | None,
    exposure: Exposure | None,
    noise: Noise | None,
    normalise: Normalise | None,
    dtype: torch.dtype,
) -> None:
    device = pixels_BCHW.device
    require_tensor("pixels_BCHW", pixels_BCHW, dtypes=PIXELS, shape=(None,) * 4, device=device)
    height, width = pixels_BCHW.shape[2:]
    require(height * width < 2**30, "pixels_BCHW", f"{height} x {width} px", "fewer than 2**30 pixels in a channel")
    require(dtype in OUTPUTS, "dtype", dtype, "float32, float16 or bfloat16")
    if warp is not None:
        check_warp(pixels_BCHW, warp)
    if jitter is not None:
        check_jitter(pixels_BCHW, jitter.scale_BC, jitter.shift_BC)
    if exposure is not None:
        require(jitter is None, "exposure", "given beside jitter", "one of the two: they stand in the same place")
        check_exposure(pixels_BCHW, exposure)
    if noise is not None:
        check_noise(pixels_BCHW, noise)
    if normalise is not None:
        check_normalise(pixels_BCHW, normalise)
