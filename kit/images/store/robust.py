"""--scale image-robust: hot pixels are replaced, then the image's percentiles 0.1 and 99.9 become 0 and 255. H W pixels.

A hot pixel is above percentile 99.5 of the image, above the brightest of its up to eight neighbours by more than percentile 99.5
is above 0.5, and above their median by more than eight times what the brightest of them is. Camera noise alone does not reach
that far, a spot of light wider than 1.2 pixels at half its height lights its neighbours more, and what covers two pixels is
left alone. A hot pixel becomes the median of its neighbours, the lower of the middle two.

An image whose two percentiles are the same count takes its least and most instead. All in exact integers, so the compiled path
and numpy agree to the last bit.
"""

from dataclasses import replace

import numpy as np

from kit.images.store.levels import ImageStats, count_values, percentiles, scale_image_reference, stats_of
from kit.kernels.extension import cpu_extension

PER_MILLE = (1, 999)  # of the image's pixels: fewer than one in a thousand is clipped at either end
SPAN = (5, 995)  # as <Channel>_low and _high in the sites table
SHARP = 8
_AROUND = [(dy, dx) for dy in (-1, 0, 1) for dx in (-1, 0, 1) if dy or dx]


def scale_robust(counts_HW: np.ndarray) -> tuple[np.ndarray, ImageStats, np.ndarray]:
    """Return the levels, uint8 [H, W], the numbers of the image, and its counts with hot pixels replaced.

    counts_HW: uint8 or uint16; returned as it is where no pixel is hot.
    """
    if (compiled := cpu_extension()) is not None:
        levels, numbers, counts_HW = compiled.image_robust(np.ascontiguousarray(counts_HW))
        return levels, stats_of(numbers, levels.shape), counts_HW
    return scale_robust_reference(counts_HW)


def scale_robust_reference(counts_HW: np.ndarray) -> tuple[np.ndarray, ImageStats, np.ndarray]:
    """The same in numpy."""
    brightest, saturated = int(counts_HW.max()), int((counts_HW == np.iinfo(counts_HW.dtype).max).sum())
    hot = find_hot(counts_HW)
    if hot:
        counts_HW = counts_HW.copy()
        for place, median in hot.items():
            counts_HW[place] = median
    black, white = percentiles(count_values(counts_HW), *PER_MILLE)
    levels, stats = scale_image_reference(counts_HW, *((black, white) if black < white else (-1, -1)))
    return levels, replace(stats, hot=len(hot), brightest=brightest, saturated=saturated), counts_HW


def find_hot(counts_HW: np.ndarray) -> dict[tuple[int, int], int]:
    """Return (y, x) of every hot pixel -> the median of its neighbours."""
    low, high = percentiles(count_values(counts_HW), *SPAN)
    height, width = counts_HW.shape
    padded = np.full((height + 2, width + 2), -1, np.int64)
    padded[1:-1, 1:-1] = counts_HW
    y, x = np.nonzero(counts_HW > high)
    around_NK = np.sort(np.stack([padded[y + 1 + dy, x + 1 + dx] for dy, dx in _AROUND], axis=1), axis=1)  # -1: outside, first
    n, here, brightest = (around_NK >= 0).sum(1), padded[y + 1, x + 1], around_NK[:, -1]
    median = around_NK[np.arange(len(n)), 8 - n + (n - 1) // 2]
    hot = (here - brightest > high - low) & (here - median > SHARP * (brightest - median))
    places = zip(y[hot].tolist(), x[hot].tolist(), strict=True)
    return dict(zip(places, median[hot].tolist(), strict=True))
