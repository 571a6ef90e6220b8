"""The fused view: rotation and warp, jitter, noise, normalisation in one pass. B batch, C channels, H W pixels.

    out = ((noise(gather(I) * scale + shift)) - centre) / spread

Each part may be left out: channel_jitter, elastic_warp and microscope_noise are the view with only one part.
uint8 pixels are intensities over 255.
Jitter comes after the gather: the two commute (kit.kernels.channel_jitter). Noise is last: it arises in the camera.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from kit.kernels.channel_jitter import PIXELS, channel_jitter_reference, check_jitter, intensity
from kit.kernels.elastic_warp import Warp, check_warp, elastic_warp_reference
from kit.kernels.launch import choose, require, require_tensor
from kit.kernels.microscope_noise import Noise, add_noise_reference, check_noise

OUTPUTS = (torch.float32, torch.float16, torch.bfloat16)


@dataclass(frozen=True)
class Jitter:
    """The jittered channel is I * scale + shift (kit.kernels.channel_jitter.jitter_terms)."""

    scale_BC: Tensor  # float32
    shift_BC: Tensor  # float32


@dataclass(frozen=True)
class Normalise:
    """The last step: out = v * scale + shift with numbers of the data set, or each plane standardised by itself."""

    scale: tuple[float, ...] = ()  # per channel, 1 / sd
    shift: tuple[float, ...] = ()  # per channel, -mean / sd
    floor: float | None = None  # not None: (v - mean) / (sd + floor), mean and sd (divided by H W) of the view's own channel


def view(
    pixels_BCHW: Tensor,
    *,
    warp: Warp | None = None,
    jitter: Jitter | None = None,
    noise: Noise | None = None,
    normalise: Normalise | None = None,
    dtype: torch.dtype = torch.float32,
) -> Tensor:
    """Return the views [B, C, H, W] in `dtype`: the arithmetic is float32, rounded once at the end.

    Args:
        pixels_BCHW: uint8 grey levels, or float32 intensities.
        warp, jitter, noise, normalise: the parts, in this order; None leaves one out.
        dtype: float32, float16 or bfloat16.

    Raises:
        ValueError: an argument of the wrong dtype, shape, device or range, or not contiguous; it is named.

    Sources: SSLProfiler 1, sections 3.3.2, 6.1 and 6.2.
    """
    _check(pixels_BCHW, warp, jitter, noise, normalise, dtype)
    parts = {"warp": warp, "jitter": jitter, "noise": noise, "normalise": normalise}
    backend = choose("view", pixels_BCHW.device).backend
    if pixels_BCHW.numel() == 0:
        return torch.empty(pixels_BCHW.shape, dtype=dtype, device=pixels_BCHW.device)
    if backend == "torch":
        return view_reference(pixels_BCHW, **parts, dtype=dtype)
    if backend == "triton":
        from kit.kernels.view_triton import launch_view
    else:
        from kit.kernels.view_compiled import launch_view
    with torch.cuda.device_of(pixels_BCHW):  # nothing for a CPU tensor
        return launch_view(pixels_BCHW, **parts, dtype=dtype)


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


def view_reference(pixels_BCHW, *, warp=None, jitter=None, noise=None, normalise=None, dtype=torch.float32) -> Tensor:
    """The same in plain PyTorch: the definition."""
    x = intensity(pixels_BCHW)
    if warp is not None:
        x = elastic_warp_reference(pixels_BCHW, warp)
    if jitter is not None:
        x = channel_jitter_reference(x, jitter.scale_BC, jitter.shift_BC)
    if noise is not None:
        x = add_noise_reference(x, noise)
    return normalise_reference(x, normalise).to(dtype)


def normalise_reference(x_BCHW: Tensor, normalise: Normalise | None) -> Tensor:
    """The last step in plain PyTorch."""
    if normalise is None:
        return x_BCHW
    if normalise.floor is not None:
        sd, mean = torch.std_mean(x_BCHW.double(), dim=(2, 3), keepdim=True, correction=0)
        return (x_BCHW - mean.float()) * (1 / (sd + normalise.floor)).float()
    scale, shift = (torch.tensor(values, device=x_BCHW.device)[:, None, None] for values in (normalise.scale, normalise.shift))
    return x_BCHW * scale + shift


def _check(pixels_BCHW, warp, jitter, noise, normalise, dtype) -> None:
    device = pixels_BCHW.device
    require_tensor("pixels_BCHW", pixels_BCHW, dtypes=PIXELS, shape=(None,) * 4, device=device)
    height, width = pixels_BCHW.shape[2:]
    require(height * width < 2**30, "pixels_BCHW", f"{height} x {width} px", "fewer than 2**30 pixels in a channel")
    require(dtype in OUTPUTS, "dtype", dtype, "float32, float16 or bfloat16")
    if warp is not None:
        check_warp(pixels_BCHW, warp)
    if jitter is not None:
        check_jitter(pixels_BCHW, jitter.scale_BC, jitter.shift_BC)
    if noise is not None:
        check_noise(pixels_BCHW, noise)
    if normalise is not None and normalise.floor is None:
        for name, values in (("scale", normalise.scale), ("shift", normalise.shift)):
            need = f"one value for each of {pixels_BCHW.shape[1]} channels"
            require(len(values) == pixels_BCHW.shape[1], f"normalise.{name}", f"of length {len(values)}", need)
    if normalise is not None and normalise.floor is not None:
        require(normalise.floor >= 0, "normalise.floor", normalise.floor, "0 or more")
