"""Optional steps before counts are scaled: division by the illumination function, and area averaging. H W pixels."""

import functools
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from kit.errors import KitError, UsageError

_MOST = 65535  # counts


def shrunken_shape(height: int, width: int, size: int) -> tuple[int, int]:
    """Return height and width with the longer side at `size` pixels; unchanged for size 0.

    Raises:
        UsageError: the image would grow.
    """
    longer = max(height, width)
    if size == 0:
        return height, width
    if size > longer:
        raise UsageError(f"--size {size}: the images have {height} x {width} pixels, and averaging cannot enlarge them")
    return max(height * size // longer, 1), max(width * size // longer, 1)


def shrunken_pixel(
    pixel_um: tuple[float, float] | None, shape: tuple[int, int], size: tuple[int, int]
) -> tuple[float, float] | None:
    """Return height and width of a stored pixel, from those of an imaged one and the image's shape before and after."""
    return None if pixel_um is None else (pixel_um[0] * shape[0] / size[0], pixel_um[1] * shape[1] / size[1])


def shrink(counts_HW: np.ndarray, height: int, width: int) -> np.ndarray:
    """Return the image averaged over the area of each of height x width pixels, rounded half up, of the same type.

    A source pixel that two target pixels share counts for each with its share, in exact integers.
    """
    if counts_HW.shape == (height, width):
        return counts_HW
    sums = _sum_areas(_sum_areas(counts_HW.astype(np.int64), height).T, width).T  # each is the mean x H x W
    area = counts_HW.shape[0] * counts_HW.shape[1]
    return ((2 * sums + area) // (2 * area)).astype(counts_HW.dtype)


def _sum_areas(values_NK: np.ndarray, parts: int) -> np.ndarray:
    """Return the sums of `parts` equal parts of the first axis, times `parts`; a value on an edge counts for both."""
    length = len(values_NK)
    upto = np.zeros((length + 2, values_NK.shape[1]), np.int64)
    np.cumsum(values_NK, axis=0, out=upto[1:-1])
    upto[-1] = upto[-2]
    whole, rest = np.divmod(np.arange(parts + 1) * length, parts)
    edges = upto[whole] * parts + rest[:, None] * (upto[whole + 1] - upto[whole])
    return np.diff(edges, axis=0)


def correct_illumination(counts_HW: np.ndarray, function_HW: np.ndarray) -> np.ndarray:
    """Return counts / function, rounded half up and clipped to 65535, uint16 [H, W].

    Source: the illumination functions of the Cell Painting Gallery, made by CellProfiler to divide by.
    """
    return np.minimum(np.floor(counts_HW / function_HW + 0.5), _MOST).astype(np.uint16)


def find_illumination(folder: Path, barcode: str, channels: tuple[str, ...]) -> dict[str, Path]:
    """Return channel -> file of the plate's functions: <folder>/<plate>/<plate>_Illum<Channel>.npy, or without <plate>/.

    Raises:
        KitError: no channel has one.
    """
    found = {}
    for channel in channels:
        name = f"{barcode}_Illum{channel}.npy"
        path = next((place / name for place in (folder / barcode, folder) if (place / name).is_file()), None)
        if path is not None:
            found[channel] = path
    if not found:
        raise KitError(f"--illum {folder}: no {barcode}_Illum<Channel>.npy for any of {', '.join(channels)}")
    return found


@functools.lru_cache(maxsize=32)
def read_illumination(path: Path, shape: tuple[int, int]) -> np.ndarray:
    """Return an illumination function, float64 [H, W].

    Raises:
        KitError: not an array of that shape, or not positive and finite everywhere.
    """
    try:
        function = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise KitError(f"{path} is not a numpy array: {error}") from error
    if function.shape != shape:
        raise KitError(f"{path} has shape {function.shape}; the plate's images have {shape}")
    function = function.astype(np.float64)
    if not (np.isfinite(function).all() and (function > 0).all()):
        raise KitError(f"{path}: an illumination function must be positive and finite everywhere")
    return function


def prepare(counts_HW: np.ndarray, shape: tuple[int, int], illumination: Mapping[str, Path], channel: str) -> np.ndarray:
    """Return the counts that are to be scaled: corrected where the channel has a function, averaged down to `shape`."""
    if channel in illumination:
        counts_HW = correct_illumination(counts_HW, read_illumination(illumination[channel], counts_HW.shape))
    return shrink(counts_HW, *shape)
