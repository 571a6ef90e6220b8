"""Rotation and elastic displacement in one bilinear gather for all channels. B batch, C channels, H W pixels, K lattice.

Output pixel (y, x) samples the input at A (x, y, 1) + d(y, x). A is a 2 x 3 matrix in fixed point with 18 fractional bits, so
that the affine part is exact on every device; d is a smooth random field. Outside, the image is continued by reflection
about its edge pixels.

The field is the Gaussian process alpha * (G_sigma * white noise): SD alpha / (2 sigma sqrt(pi)), correlation
exp(-r^2 / (4 sigma^2)).
It is drawn as cubic B-spline coefficients on a lattice of spacing sigma / 2.5: white noise on the lattice, blurred so that
blur and spline together have the variance of G_sigma. The correlation differs from the formula by less than 1e-4.
"""

import functools
import math
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor

from kit.kernels.channel_jitter import intensity
from kit.kernels.extension import cpu_extension, loaded
from kit.kernels.launch import choose, require, require_tensor
from kit.kernels.philox import normal_pair, require_seed
from kit.kernels.random_words import random_words
from kit.kernels.warp import AS_IT_IS, ELASTIC, Warp, lattice_size

FRACTION_BITS = 18
SIGMA_LEAST = 2.0  # pixels: below it the lattice would be finer than the pixels
_BLUR_REACH = 4.5  # SDs at which the lattice's blur is cut off
Places = TypeVar("Places", np.ndarray, Tensor)


def rotation(angle_B: Tensor, height: int, width: int) -> Tensor:
    """Return affine_B6 of a rotation about the centre of the image. Angles in radians, float64."""
    one = 1 << FRACTION_BITS
    cos = (torch.cos(angle_B.double()) * one).round().long()
    sin = (torch.sin(angle_B.double()) * one).round().long()
    last_x, last_y = width - 1, height - 1  # twice the centre, whole
    shift_x = (one * last_x - cos * last_x + sin * last_y) >> 1
    shift_y = (one * last_y - sin * last_x - cos * last_y) >> 1
    return torch.stack([cos, -sin, shift_x, sin, cos, shift_y], 1).int()


def field_sd(alpha: float, sigma: float) -> float:
    """Return the SD of the displacement, pixels: alpha / (2 sigma sqrt(pi)), 8.46 px at the paper's 1200 and 40."""
    return alpha / (2 * sigma * math.sqrt(math.pi))


def elastic_lattice(sample_B: Tensor, height: int, width: int, *, alpha: float, sigma: float, seed: int, stream: int) -> Tensor:
    """Return the spline coefficients of a random field for each sample, float32 [B, 2, Ky, Kx], pixels.

    Args:
        sample_B: 64-bit ids, int64: a sample's field depends on its id, not on its place in the batch.
        alpha, sigma: SSLProfiler 1, section 6.2; pixels. The spacing is sigma / 2.5.
        seed, stream: key and fourth counter word of the random words (kit.kernels.philox).

    Raises:
        ValueError: sigma below 2 px or alpha below 0, or not finite.
    """
    require(math.isfinite(sigma) and sigma >= SIGMA_LEAST, "sigma", sigma, f"at least {SIGMA_LEAST} px")
    require(math.isfinite(alpha) and alpha >= 0, "alpha", alpha, "0 or more")
    height, width = (lattice_size(side, sigma / 2.5) for side in (height, width))
    if choose("elastic_lattice", sample_B.device).backend == "torch":
        return _lattice_reference(sample_B, height, width, alpha=alpha, sigma=sigma, seed=seed, stream=stream)
    require_tensor("sample_B", sample_B, dtypes=(torch.int64,), shape=(None,), device=sample_B.device)
    require_seed(seed)
    out, taps = torch.empty(len(sample_B), 2, height, width), _taps(sigma)
    strength = len(taps), height, width, alpha, seed, stream
    loaded(cpu_extension()).elastic_lattice(
        sample_B.data_ptr(), len(sample_B), taps.ctypes.data, *strength, out.data_ptr(), torch.get_num_threads()
    )
    return out


def _lattice_reference(
    sample_B: Tensor, height: int, width: int, *, alpha: float, sigma: float, seed: int, stream: int
) -> Tensor:
    blur_y, blur_x = (_blur(points, sigma, sample_B.device) for points in (height, width))
    rows, columns = blur_y.shape[1], blur_x.shape[1]
    words = random_words(sample_B, -(-2 * rows * columns // 4), seed=seed, stream=stream)
    white = torch.stack([*normal_pair(words[..., 0], words[..., 1]), *normal_pair(words[..., 2], words[..., 3])], -1)
    white = white.flatten(1)[:, : 2 * rows * columns].view(-1, 2, rows, columns)
    return (blur_y @ white @ blur_x.T * alpha).float()


@functools.lru_cache(maxsize=64)
def _taps(sigma: float) -> np.ndarray:
    """Return the taps of the lattice's blur along one axis, float64.

    The variance of the spline's values along the axis, averaged over a lattice cell, is 1 / (2 sigma sqrt(pi)).
    """
    spacing = sigma / 2.5
    width = math.sqrt((sigma / spacing) ** 2 - 1 / 3)  # 1/3: variance of the cubic B-spline, in lattice units
    reach = math.ceil(_BLUR_REACH * width)
    taps = np.exp(-(np.arange(-reach, reach + 1) ** 2) / (2 * width**2))
    phase = (np.arange(64) + 0.5) / 64
    response = np.sum([np.outer(w, np.pad(taps, (k, 3 - k))) for k, w in enumerate(spline_weights(phase))], axis=0)
    return taps * math.sqrt(1 / (2 * sigma * math.sqrt(math.pi)) / (response**2).sum(1).mean())


@functools.lru_cache(maxsize=64)
def _blur(points: int, sigma: float, device: torch.device) -> Tensor:
    """Return the matrix that blurs white lattice noise along one axis, float64 [points, points + taps - 1]."""
    taps = _taps(sigma)
    matrix = np.zeros((points, points + len(taps) - 1))
    for point in range(points):
        matrix[point, point : point + len(taps)] = taps
    return torch.from_numpy(matrix).to(device)


def spline_weights(u: Places) -> tuple[Places, Places, Places, Places]:
    """Return the four cubic B-spline weights at the fraction u of a lattice cell, 0 <= u < 1 (array or tensor)."""
    v = 1 - u
    return v * v * v * (1 / 6), u * u * (0.5 * u - 1) + 2 / 3, v * v * (0.5 * v - 1) + 2 / 3, u * u * u * (1 / 6)


def displacement(lattice_2KK: Tensor, height: int, width: int, spacing: float) -> Tensor:
    """Return the field of one image, float32 [2, H, W]: displacement along x, then y, pixels."""
    (rows_y, weights_y), (rows_x, weights_x) = (_spline_rows(n, spacing, lattice_2KK.device) for n in (height, width))
    along_y = torch.zeros(2, height, lattice_2KK.shape[2], device=lattice_2KK.device)
    for tap in range(4):
        along_y += weights_y[tap][:, None] * lattice_2KK[:, rows_y + tap]
    field = torch.zeros(2, height, width, device=lattice_2KK.device)
    for tap in range(4):
        field += weights_x[tap] * along_y[:, :, rows_x + tap]
    return field


def _spline_rows(side: int, spacing: float, device: torch.device) -> tuple[Tensor, tuple[Tensor, ...]]:
    place = torch.arange(side, dtype=torch.float32, device=device) * float(np.float32(1 / spacing))
    cell = place.floor()
    return cell.long(), spline_weights(place - cell)


def elastic_warp_reference(pixels_BCHW: Tensor, warp: Warp) -> Tensor:
    """The same in plain PyTorch."""
    out = torch.empty(pixels_BCHW.shape, dtype=torch.float32, device=pixels_BCHW.device)
    for i, kind in enumerate(warp.kind_B.tolist()):
        lattice = warp.lattice_B2KK[i] if kind == ELASTIC and warp.lattice_B2KK is not None else None
        image = intensity(pixels_BCHW[i])
        out[i] = image if kind == AS_IT_IS else _gather(image, warp.affine_B6[i], lattice, warp.spacing)
    return out


def _gather(image_CHW: Tensor, affine_6: Tensor, lattice_2KK: Tensor | None, spacing: float) -> Tensor:
    channels, height, width = image_CHW.shape
    x = torch.arange(width, dtype=torch.int32, device=image_CHW.device)
    y = torch.arange(height, dtype=torch.int32, device=image_CHW.device)[:, None]
    a = affine_6
    shift = displacement(lattice_2KK, height, width, spacing) if lattice_2KK is not None else (None, None)
    left, right_share = _tap(a[0] * x + a[1] * y + a[2], shift[0])
    top, bottom_share = _tap(a[3] * x + a[4] * y + a[5], shift[1])
    columns = reflect(left, width).long(), reflect(left + 1, width).long()
    rows = reflect(top, height).long() * width, reflect(top + 1, height).long() * width
    flat = image_CHW.reshape(channels, -1)
    corner = [[flat[:, (row + column).flatten()].view(image_CHW.shape) for column in columns] for row in rows]
    upper, lower = (pair[0] + (pair[1] - pair[0]) * right_share for pair in corner)
    return upper + (lower - upper) * bottom_share


def _tap(place: Tensor, shift: Tensor | None) -> tuple[Tensor, Tensor]:
    """Split fixed-point coordinates plus a displacement into the whole pixel before them and the fraction after it."""
    whole = place >> FRACTION_BITS
    fraction = (place & (1 << FRACTION_BITS) - 1).float() * 2.0**-FRACTION_BITS
    if shift is None:
        return whole, fraction
    fraction = fraction + shift
    steps = fraction.floor()
    return whole + steps.int(), fraction - steps


def reflect(index: Tensor, side: int) -> Tensor:
    """Return indices reflected about the edge pixels (-1 -> 1, side -> side - 2), right up to 4 sides outside, clamped beyond."""
    last = side - 1
    for _ in range(2):
        index = last - (last - index.abs()).abs()
    return index.clamp(0, last)
