"""One image: counts to 8 bit by exact integers, and everything a table says of it. C channels, H W pixels."""

from dataclasses import dataclass

import numpy as np

from kit.images.tiff import read_tiff

PERCENTILES = (0.5, 99.5)  # between these the grey levels in use are counted: hot pixels lie outside


@dataclass(frozen=True, slots=True)
class ImageStats:
    """Exact integers of one image. Counts are the camera's, levels the 0 to 255 that are stored."""

    black: int  # the count that became 0
    white: int  # the count that became 255
    least: int  # smallest count
    most: int  # largest count
    sum: int  # of the counts
    sumsq: int
    sum8: int  # of the levels
    sumsq8: int
    low: int  # count at percentile 0.5
    high: int  # count at percentile 99.5
    saturated: int  # pixels at the largest value of the file's type

    @property
    def levels(self) -> int:
        """Grey levels from percentile 0.5 to percentile 99.5."""
        return int(to_level(self.high, self.black, self.white)) - int(to_level(self.low, self.black, self.white))


def to_level(count, black: int, white: int):
    """Return floor((count - black) * 255 / (white - black)) of counts clipped to black..white; 0 where black = white.

    Integers throughout: in float32, v * (255 / range) maps the largest count to 254 for one range in seven.
    Source: SSLProfiler 1, section 3.2, with black and white the image's own minimum and maximum.
    """
    if white <= black:
        return np.zeros_like(count, dtype=np.uint8)
    clipped = np.clip(np.asarray(count, np.int64), black, white)
    return ((clipped - black) * 255 // (white - black)).astype(np.uint8)


def scale_image(counts_HW: np.ndarray, black: int | None = None, white: int | None = None) -> tuple[np.ndarray, ImageStats]:
    """Return the image's levels, uint8 [H, W], and its numbers. Without black and white: its own minimum and maximum."""
    bins = 1 << (8 * counts_HW.dtype.itemsize)
    histogram = np.bincount(counts_HW.ravel(), minlength=bins)
    stats, level_of = describe(histogram, black, white)
    return level_of[counts_HW], stats


def describe(histogram: np.ndarray, black: int | None = None, white: int | None = None) -> tuple[ImageStats, np.ndarray]:
    """Return an image's numbers and the level of every count, uint8 [bins], from its histogram of counts."""
    counts = np.flatnonzero(histogram)
    times = histogram[counts].astype(object)  # Python integers: a sum of squares of many images outgrows 64 bits
    least, most = int(counts[0]), int(counts[-1])
    black = least if black is None else black
    white = most if white is None else white
    level_of = to_level(np.arange(len(histogram)), black, white)
    levels = level_of[counts].astype(object)
    low, high = percentiles(histogram)
    stats = ImageStats(
        black=black,
        white=white,
        least=least,
        most=most,
        sum=int(np.dot(times, counts.astype(object))),
        sumsq=int(np.dot(times, counts.astype(object) ** 2)),
        sum8=int(np.dot(times, levels)),
        sumsq8=int(np.dot(times, levels**2)),
        low=low,
        high=high,
        saturated=int(histogram[-1]),
    )
    return stats, level_of


def percentiles(histogram: np.ndarray, shares: tuple[float, float] = PERCENTILES) -> tuple[int, int]:
    """Return the counts at the two percentiles: the smallest count that at least that share of the pixels does not exceed."""
    upto = np.cumsum(histogram)
    ranks = [-(-int(upto[-1]) * round(share * 10) // 1000) for share in shares]  # ceil, in integers
    return tuple(int(np.searchsorted(upto, max(rank, 1))) for rank in ranks)


def read_site(data_C: list[bytes]) -> tuple[np.ndarray, np.ndarray]:
    """Return one site's images from their files' bytes: levels uint8 [C, H, W], and the counts that became 0 and 255, [C, 2]."""
    scaled = [scale_image(read_tiff(data).counts_HW) for data in data_C]
    return np.stack([pixels for pixels, _ in scaled]), np.array([(stats.black, stats.white) for _, stats in scaled])
