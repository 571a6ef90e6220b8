"""Counts to 8-bit levels by exact integers, and every statistic of an image in the tables. H W pixels.

Every number is an integer sum over the pixels, so the compiled path and numpy agree to the last bit.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from kit.kernels.extension import cpu_extension

LAG_ROWS = 4  # every fourth row is enough for the autocovariances


@dataclass(frozen=True, slots=True)
class ImageStats:
    """What one image holds. Counts are the camera's, levels the 0 to 255 that are stored."""

    black: int  # the count that became 0
    white: int  # the count that became 255
    least: int  # smallest count
    most: int  # largest count
    sum: int  # of the counts
    sumsq: int
    sum8: int  # of the levels
    sumsq8: int
    low: int  # count at percentile 0.5: hot and dead pixels are outside
    high: int  # count at percentile 99.5
    saturated: int  # pixels at the camera's largest count: that of the file's type, or of the bits that the TIFF says
    hot: int  # pixels replaced before the others were counted, saturated apart: see robust.py; -1: not looked for
    brightest: int  # the largest count before
    focus: float  # share of the structure that is finer than two pixels; see `focus_of`

    def record(self) -> dict[str, int | float]:
        """Return the numbers by name, `levels` among them."""
        return {name: getattr(self, name) for name in (*self.__slots__, "levels")}

    @property
    def levels(self) -> int:
        """Grey levels from percentile 0.5 to percentile 99.5."""
        low, high = (min(max(count, self.black), self.white) - self.black for count in (self.low, self.high))
        span = self.white - self.black
        return high * 255 // span - low * 255 // span if span > 0 else 0


def to_level(count: ArrayLike, black: int, white: int) -> np.ndarray:
    """Return floor((count - black) * 255 / (white - black)) of counts clipped to black..white; 0 where white <= black.

    Integers throughout: in float32, v * (255 / range) maps the largest count to 254 for one range in seven.
    Source: SSLProfiler 1, section 3.2, with black and white the image's own minimum and maximum.
    """
    if white <= black:
        return np.zeros_like(count, dtype=np.uint8)
    clipped = np.clip(np.asarray(count, np.int64), black, white)
    return ((clipped - black) * 255 // (white - black)).astype(np.uint8)


def scale_image(counts_HW: np.ndarray, black: int = -1, white: int = -1) -> tuple[np.ndarray, ImageStats]:
    """Return the levels, uint8 [H, W], and the numbers of an image of uint8 or uint16 counts [H, W]."""
    if (compiled := cpu_extension()) is not None:
        levels, numbers = compiled.image_levels(np.ascontiguousarray(counts_HW), black, white)
        return levels, stats_of(numbers, levels.shape)
    return scale_image_reference(counts_HW, black, white)


def scale_image_reference(counts_HW: np.ndarray, black: int = -1, white: int = -1) -> tuple[np.ndarray, ImageStats]:
    """The same in numpy."""
    histogram = count_values(counts_HW)
    counts = np.flatnonzero(histogram)
    times = histogram[counts]  # below 2**28 pixels of 16 bits every sum fits 64 bits
    least, most = int(counts[0]), int(counts[-1])
    black, white = least if black < 0 else black, most if white < 0 else white
    level_of = to_level(np.arange(len(histogram)), black, white)
    levels = level_of[counts].astype(np.int64)
    sums = [int(times @ values) for values in (counts, counts**2, levels, levels**2)]
    low, high = percentiles(histogram, 5, 995)
    numbers = (black, white, least, most, *sums, low, high, int(histogram[-1]), -1, most, lag_sums(counts_HW))
    return level_of[counts_HW], stats_of(numbers, counts_HW.shape)


def count_values(counts_HW: np.ndarray) -> np.ndarray:
    """Return how often each count occurs, int64 [256 or 65536]."""
    if (compiled := cpu_extension()) is not None:
        return compiled.image_histogram(np.ascontiguousarray(counts_HW)).astype(np.int64)
    return np.bincount(counts_HW.ravel(), minlength=1 << (8 * counts_HW.dtype.itemsize))


def count_saturated(counts_HW: np.ndarray, white: int) -> int:
    """Return how many pixels are at `white`, the camera's largest count, or above."""
    return int((counts_HW >= white).sum())


def percentiles(histogram: np.ndarray, *per_mille: int) -> list[int]:
    """Return the counts at these thousandths: the smallest count that at least that share of the pixels does not exceed."""
    upto = np.cumsum(histogram)
    ranks = [max(-(-int(upto[-1]) * share // 1000), 1) for share in per_mille]  # rounded up
    return [int(np.searchsorted(upto, rank)) for rank in ranks]


def lag_sums(counts_HW: np.ndarray) -> tuple[int, ...]:
    """Return, for pixels 0, 1 and 2 apart along every fourth row: the sum of products, of left and of right factors."""
    rows = counts_HW[::LAG_ROWS].astype(np.uint64)
    width = rows.shape[1]
    pairs = [(rows[:, : max(width - lag, 0)], rows[:, lag:]) for lag in range(3)]
    return tuple(int(values.sum()) for left, right in pairs for values in (left * right, left, right))


def focus_of(lags: tuple[int, ...], height: int, width: int) -> float:
    """Return (c1 - c2) / c1 of the autocovariances 1 and 2 pixels apart: how fast structure falls off; near 0 when blurred.

    Camera noise is independent from pixel to pixel, so it adds to neither. 0 without any structure.
    """
    rows, covariances = -(-height // LAG_ROWS), []
    for lag, (products, left, right) in enumerate(zip(lags[::3], lags[1::3], lags[2::3], strict=True)):
        n = rows * max(width - lag, 0)
        covariances.append((products * n - left * right) / n**2 if n else 0.0)
    _, one, two = covariances
    return (one - two) / one if one > 0 else 0.0


def stats_of(numbers: tuple, shape: tuple[int, int]) -> ImageStats:
    """Return the numbers that the compiled module or the reference counted, in the order of ImageStats, lag sums last."""
    *integers, lags = numbers
    named = dict(zip(ImageStats.__slots__[:-1], integers, strict=True))
    return ImageStats(**named, focus=focus_of(lags, *shape))
