"""The view, the blur and the random words as Triton kernels. Imported only if Triton is installed (not on macOS or Windows).

No autotune: launch shapes are a table. kit.kernels.device_triton holds the parts.
B batch, C channels, H W pixels, Ly Lx lattice. Every program makes BLOCK pixels of all channels of one image, so that
coordinates and spline weights are computed once.
"""

import functools
import os

import torch
import triton
import triton.language as tl
from torch import Tensor

from kit.kernels.channel_jitter import Jitter
from kit.kernels.device_triton import add_noise, bilinear, clipped, noise_words, reflect, where_from
from kit.kernels.exposure import Exposure
from kit.kernels.microscope_noise import Noise
from kit.kernels.normalise import Normalise
from kit.kernels.philox import NOISE, NOISE_COARSE, stream_of
from kit.kernels.poisson import coarse_table, fine_table
from kit.kernels.warp import Warp

INTERPRETED = os.environ.get("TRITON_INTERPRET") == "1"
LAUNCH = {"view": (256, 4), "noiseless view": (256, 4), "plane": (512, 4)}  # kernel: (BLOCK, warps)
OPTIONS = {"enable_fp_fusion": True}  # said, because its default differs between versions of Triton
ANY_BLOCK = 16384  # in the interpreter a program costs the same whatever its size


def launch_shape(kernel: str) -> tuple[int, int]:
    """Return (BLOCK, warps) of a kernel."""
    return (ANY_BLOCK, 4) if INTERPRETED else LAUNCH[kernel]


def launch_view(
    pixels_BCHW: Tensor,
    *,
    warp: Warp | None,
    jitter: Jitter | None,
    exposure: Exposure | None,
    noise: Noise | None,
    normalise: Normalise | None,
    dtype: torch.dtype,
) -> Tensor:
    """Return the views; arguments as kit.kernels.view.view."""
    B, C, H, W = pixels_BCHW.shape
    device = pixels_BCHW.device
    floor = normalise.floor if normalise is not None else None
    out = torch.empty_like(pixels_BCHW, dtype=dtype if floor is None else torch.float32)
    lattice = warp.lattice_B2KK if warp is not None else None
    last = (
        _constants((tuple(normalise.scale), tuple(normalise.shift)), device) if normalise is not None and floor is None else None
    )
    strength = (
        _constants((noise.rate_C, tuple(noise.shot), tuple(noise.dark), tuple(noise.read)), device) if noise is not None else None
    )
    block, warps = launch_shape("noiseless view" if noise is None else "view")
    _view[(triton.cdiv(H * W, block) * B,)](
        pixels_BCHW,
        out,
        warp.kind_B if warp is not None else None,
        warp.affine_B6 if warp is not None else None,
        lattice,
        *_factors(jitter, exposure),
        noise.on_B if noise is not None else None,
        noise.sample_B if noise is not None else None,
        strength,
        fine_table(device) if noise is not None else None,
        coarse_table(device) if noise is not None and noise.many_photons else None,
        last,
        _signed(noise.seed) if noise is not None else 0,
        stream_of(NOISE, role=noise.role) if noise is not None else 0,
        stream_of(NOISE_COARSE, role=noise.role) if noise is not None else 0,
        C,
        H,
        W,
        lattice.shape[2] if lattice is not None else 0,
        lattice.shape[3] if lattice is not None else 0,
        1 / warp.spacing if warp is not None else 0.0,
        BYTES=pixels_BCHW.dtype == torch.uint8,
        WARP=warp is not None,
        ELASTIC=lattice is not None,
        JITTER=jitter is not None,
        EXPOSE=exposure is not None,
        NOISE=noise is not None,
        MANY=noise is not None and noise.many_photons,
        NORMALISE=last is not None,
        BLOCK=block,
        num_warps=warps,
        **OPTIONS,
    )
    return out if floor is None else _standardised(out, floor, dtype)


def _factors(jitter: Jitter | None, exposure: Exposure | None) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
    """Return scale, shift and contrast, as the kernel takes them."""
    if exposure is not None:
        return exposure.gain_BC, exposure.shift_BC, exposure.contrast_BC
    return (jitter.scale_BC, jitter.shift_BC, None) if jitter is not None else (None, None, None)


def _standardised(x_BCHW: Tensor, floor: float, dtype: torch.dtype) -> Tensor:
    out = torch.empty_like(x_BCHW, dtype=dtype)
    planes, (block, warps) = x_BCHW.shape[0] * x_BCHW.shape[1], launch_shape("plane")
    _standardise[(planes,)](x_BCHW, out, x_BCHW.shape[2] * x_BCHW.shape[3], floor, BLOCK=block, num_warps=warps, **OPTIONS)
    return out


def launch_clipped_means(pixels_BCHW: Tensor, gain_BC: Tensor) -> Tensor:
    """Return float32 [B, C]; arguments as kit.kernels.clipped_means.clipped_means."""
    out = torch.empty_like(gain_BC)
    size, (block, warps) = pixels_BCHW.shape[2] * pixels_BCHW.shape[3], launch_shape("plane")
    in_bytes = pixels_BCHW.dtype == torch.uint8
    _clipped_means[(out.numel(),)](pixels_BCHW, gain_BC, out, size, BYTES=in_bytes, BLOCK=block, num_warps=warps, **OPTIONS)
    return out


def launch_random_words(sample_B: Tensor, count: int, *, seed: int, stream: int) -> Tensor:
    """Return int64 [B, count, 4]; arguments as kit.kernels.random_words.random_words."""
    out = torch.empty(len(sample_B), count, 4, dtype=torch.int64, device=sample_B.device)
    block, warps = launch_shape("plane")
    grid = (len(sample_B), triton.cdiv(count, block))
    _random_words[grid](sample_B, out, count, _signed(seed), stream, BLOCK=block, num_warps=warps, **OPTIONS)
    return out


def launch_blur(x_BCHW: Tensor, taps_B5: Tensor, solarise_B: Tensor) -> Tensor:
    """Return the blurred and solarised images; across, then down."""
    B, C, H, W = x_BCHW.shape
    between, out = torch.empty_like(x_BCHW), torch.empty_like(x_BCHW)
    block, warps = launch_shape("plane")
    grid = (B * C, triton.cdiv(H * W, block))
    _blur_axis[grid](x_BCHW, between, taps_B5, solarise_B, C, H, W, ACROSS=True, BLOCK=block, num_warps=warps, **OPTIONS)
    _blur_axis[grid](between, out, taps_B5, solarise_B, C, H, W, ACROSS=False, BLOCK=block, num_warps=warps, **OPTIONS)
    return out


def _signed(seed: int) -> int:
    return seed - 2**64 if seed >= 2**63 else seed


@functools.lru_cache(maxsize=256)
def _constants(rows: tuple, device: torch.device) -> Tensor:
    """Return a small table on the device, float32 [C, rows]; kept, so that a step copies nothing to the GPU."""
    return torch.tensor(rows, dtype=torch.float32).T.contiguous().to(device)


@triton.jit(do_not_specialize=["seed", "stream"])
def _random_words(sample, out, count, seed, stream, BLOCK: tl.constexpr):
    image = tl.program_id(0).to(tl.int64)
    index = tl.program_id(1) * BLOCK + tl.arange(0, BLOCK)
    who = tl.load(sample + image)
    low, high = (who & 0xFFFFFFFF).to(tl.uint32), (who >> 32).to(tl.uint32)
    zero = tl.zeros_like(index).to(tl.uint32)
    words = tl.philox(seed, index.to(tl.uint32), zero + low, zero + high, zero + stream.to(tl.uint32))
    place = out + (image * count + index) * 4
    for k in tl.static_range(4):
        tl.store(place + k, words[k].to(tl.int64), mask=index < count)


@triton.jit(do_not_specialize=["seed", "stream", "coarse_stream", "per_spacing"])
def _view(
    pixels, out, kind, affine, lattice, scale, shift, contrast, noisy, sample, strength, fine, coarse, last,
    seed, stream, coarse_stream, C, H, W, Ly, Lx, per_spacing,
    BYTES: tl.constexpr, WARP: tl.constexpr, ELASTIC: tl.constexpr, JITTER: tl.constexpr, EXPOSE: tl.constexpr,
    NOISE: tl.constexpr, MANY: tl.constexpr, NORMALISE: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    tiles = tl.cdiv(H * W, BLOCK)
    image = tl.program_id(0) // tiles
    pixel = (tl.program_id(0) % tiles) * BLOCK + tl.arange(0, BLOCK)
    inside = pixel < H * W
    if WARP:
        corners, right, below = where_from(pixel, kind, affine, lattice, image, H, W, Ly, Lx, per_spacing, ELASTIC, BLOCK)
    if NOISE:
        who = tl.load(sample + image)
        with_noise = tl.load(noisy + image) != 0
    for c in range(C):
        plane = image.to(tl.int64) * C + c  # int64: a batch can pass 2**31 pixels
        base = pixels + plane * H * W
        if WARP:
            v = bilinear(base, corners, right, below, inside)
        else:
            v = tl.load(base + pixel, mask=inside, other=0).to(tl.float32)
        if BYTES:
            v = v * (1 / 255)
        if JITTER:
            v = v * tl.load(scale + plane) + tl.load(shift + plane)
        if EXPOSE:
            v = clipped(clipped(v * tl.load(scale + plane)) * tl.load(contrast + plane) + tl.load(shift + plane))
        if NOISE:
            s = strength + c * 4
            rate = tl.load(s)
            if with_noise & (rate > 0):
                words, coarse_word = noise_words(pixel, who, seed, stream + c, coarse_stream + c, MANY)
                v = add_noise(v, words, coarse_word, fine, coarse, rate, tl.load(s + 1), tl.load(s + 2), tl.load(s + 3), MANY)
        if NORMALISE:
            v = v * tl.load(last + c * 2) + tl.load(last + c * 2 + 1)
        tl.store(out + plane * H * W + pixel, v.to(out.dtype.element_ty), mask=inside)


@triton.jit
def _clipped_means(pixels, gain, out, size, BYTES: tl.constexpr, BLOCK: tl.constexpr):
    """The mean of clip(I * gain), one program a plane."""
    plane = tl.program_id(0)
    base, offset = pixels + plane.to(tl.int64) * size, tl.arange(0, BLOCK)
    factor = tl.load(gain + plane)
    total = tl.zeros((BLOCK,), tl.float32)
    for start in range(0, size, BLOCK):
        v = tl.load(base + start + offset, mask=start + offset < size, other=0).to(tl.float32)
        if BYTES:
            v = v * (1 / 255)
        total += clipped(v * factor)
    tl.store(out + plane, tl.sum(total, 0) / size)


@triton.jit(do_not_specialize=["floor"])
def _standardise(x, out, size, floor, BLOCK: tl.constexpr):
    """(x - mean) / (sd + floor), one program a plane."""
    plane = tl.program_id(0).to(tl.int64) * size
    offset = tl.arange(0, BLOCK)
    total = tl.zeros((BLOCK,), tl.float32)
    for start in range(0, size, BLOCK):
        total += tl.load(x + plane + start + offset, mask=start + offset < size, other=0.0)
    mean = tl.sum(total, 0) / size
    total = tl.zeros((BLOCK,), tl.float32)
    for start in range(0, size, BLOCK):
        away = tl.where(start + offset < size, tl.load(x + plane + start + offset, mask=start + offset < size) - mean, 0.0)
        total += away * away
    spread = tl.sqrt(tl.sum(total, 0) / size) + floor
    per_spread = tl.where(spread > 0, 1.0 / spread, 0.0)
    for start in range(0, size, BLOCK):
        v = (tl.load(x + plane + start + offset, mask=start + offset < size, other=0.0) - mean) * per_spread
        tl.store(out + plane + start + offset, v.to(out.dtype.element_ty), mask=start + offset < size)


@triton.jit
def _blur_axis(x, out, taps, solarise, C, H, W, ACROSS: tl.constexpr, BLOCK: tl.constexpr):
    """9 taps along one axis with reflection; the second axis (not ACROSS) solarises too."""
    image = tl.program_id(0) // C
    plane = tl.program_id(0).to(tl.int64) * H * W
    pixel = tl.program_id(1) * BLOCK + tl.arange(0, BLOCK)
    inside = pixel < H * W
    column, row = pixel % W, pixel // W
    total = tl.load(taps + image * 5) * tl.load(x + plane + pixel, mask=inside, other=0.0)
    for k in tl.static_range(1, 5):
        if ACROSS:
            before, after = row * W + reflect(column - k, W), row * W + reflect(column + k, W)
        else:
            before, after = reflect(row - k, H) * W + column, reflect(row + k, H) * W + column
        both = tl.load(x + plane + before, mask=inside, other=0.0) + tl.load(x + plane + after, mask=inside, other=0.0)
        total += tl.load(taps + image * 5 + k) * both
    if not ACROSS:
        turned = (tl.load(solarise + image) != 0) & (total >= 0.5)
        total = tl.where(turned, 1.0 - total, total)
    tl.store(out + plane + pixel, total, mask=inside)
