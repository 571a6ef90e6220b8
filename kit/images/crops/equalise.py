"""Intensities of a whole image made alike: clipping at percentiles, and contrast-limited adaptive equalisation (CLAHE).

H W pixels, T U tiles down and across, L bins, N pixels of a tile. Both are functions of the 256 levels of uint8 images, so that
tables take the place of arithmetic per pixel.
"""

import numpy as np

GREYS = 2**14  # that scikit-image's CLAHE computes in
BIN = 1 + GREYS // 256  # of them in one bin of its histograms
BINS = 256  # of which the last three stay empty


def clip_levels(image_HW: np.ndarray, low: float, high: float) -> np.ndarray:
    """Return the image, uint8, with its percentiles `low` and `high` at 0 and 255 and what is beyond clipped.

    The percentiles are numpy's. An image in which they are equal becomes 0.
    Source: CellRep, section 3.1, names the step; that the rest is stretched to the full range is ours.
    """
    ends = _percentiles(np.bincount(image_HW.reshape(-1), minlength=256), (low, high))
    span = ends[1] - ends[0]
    scaled = (np.arange(256) - ends[0]) / span if span > 0 else np.zeros(256)
    return np.rint(scaled.clip(0, 1) * 255).astype(np.uint8)[image_HW]


def _percentiles(count_256: np.ndarray, percents: tuple[float, float]) -> list[float]:
    """Return percentiles of levels that occur so many times, linear between neighbours as numpy's."""
    below_256, last = np.cumsum(count_256), int(count_256.sum()) - 1
    found = []
    for percent in percents:
        place = last * percent / 100
        levels = [int(np.searchsorted(below_256, int(rank), side="right")) for rank in (np.floor(place), np.ceil(place))]
        found.append(levels[0] + (levels[1] - levels[0]) * (place - np.floor(place)))
    return found


def clahe(image_HW: np.ndarray, *, limit: float = 0.01, tiles: int = 8) -> np.ndarray:
    """Return the image, uint8, equalised place by place and stretched to 0 to 255; an image of one level becomes 0.

    As scikit-image's `equalize_adapthist` to the rounding, in a third of its time: a pixel's bin comes from a table, and the
    neighbouring tiles' tables are read in place.

    Args:
        limit: most of a tile's pixels in one bin of its histogram, as a fraction.
        tiles: along a side; a tile is the side over this, rounded down. What it leaves at the end is tiles of mirrored pixels.

    Source: Zuiderveld, Graphics Gems IV (1994); scikit-image 0.26.
    """
    least, most = int(image_HW.min()), int(image_HW.max())
    if least == most:
        return np.zeros_like(image_HW)
    bin_256 = (np.rint((np.arange(256) - least).clip(0) * (GREYS - 1) / (most - least)) // BIN).astype(np.uint8)
    sides = [max(side // tiles, 1) for side in image_HW.shape]
    ends = [(tile - side % tile) % tile for tile, side in zip(sides, image_HW.shape, strict=True)]
    binned_HW = bin_256[image_HW]
    tiled_HW = np.pad(binned_HW, [(0, end) for end in ends], mode="reflect") if any(ends) else binned_HW
    table_TUL = np.pad(_tables(tiled_HW, sides, limit), [(1, 1), (1, 1), (0, 0)], mode="edge")
    found_HW = _interpolate(binned_HW, table_TUL, sides)
    low, high = found_HW.min(), found_HW.max()
    return np.rint((found_HW - low) * (255 / (high - low))).astype(np.uint8) if high > low else np.zeros_like(image_HW)


def _tables(tiled_HW: np.ndarray, sides: list[int], limit: float) -> np.ndarray:
    """Return what each bin becomes in every tile, whole greys, float32 [T, U, L]."""
    (height, width), (tall, wide) = tiled_HW.shape, sides
    T, U, pixels = height // tall, width // wide, tall * wide
    tile_HW = (np.arange(height) // tall * U)[:, None] + np.arange(width) // wide
    count_NL = np.bincount((tile_HW * BINS + tiled_HW).reshape(-1), minlength=T * U * BINS).reshape(-1, BINS)
    shared_NL = _share_excess(count_NL, max(int(limit * pixels), 1))
    table_NL = np.minimum(np.floor(np.cumsum(shared_NL, axis=1) * ((GREYS - 1) / pixels)), GREYS - 1)
    return table_NL.astype(np.float32).reshape(T, U, BINS)


def _share_excess(count_NL: np.ndarray, most: int) -> np.ndarray:
    """Return histograms with at most `most` in a bin: the excess in equal parts to all bins, what is left one by one."""
    level_NL = np.minimum(count_NL, most)
    excess_N = (count_NL - level_NL).sum(axis=1)
    part_N1 = (excess_N // BINS)[:, None]
    level_NL += np.where(level_NL < most - part_N1, part_N1, 0)
    level_NL[(level_NL >= most - part_N1) & (level_NL < most)] = most
    excess_N = count_NL.sum(axis=1) - level_NL.sum(axis=1)
    for tile in np.flatnonzero(excess_N > 0):
        _hand_out(level_NL[tile], int(excess_N[tile]), most)
    return level_NL


def _hand_out(level_L: np.ndarray, excess: int, most: int) -> None:
    """Add one to bins below `most`, evenly spaced, from the first bin on, then from the second, until nothing is left."""
    while excess > 0 and (level_L < most).any():
        for first in range(BINS):
            below_L = level_L < most
            chosen = slice(first, None, max(1, int(below_L.sum()) // excess))
            level_L[chosen] += below_L[chosen]
            excess -= int(below_L[chosen].sum())
            if excess <= 0:
                break


def _interpolate(binned_HW: np.ndarray, table_TUL: np.ndarray, sides: list[int]) -> np.ndarray:
    """Return every pixel by the tables of the four tiles around it, linear between their middles, float32 [H, W]."""
    places = []
    for length, side in zip(binned_HW.shape, sides, strict=True):
        from_first = np.arange(length) + side // 2  # pixels from half a tile before the image
        places.append((from_first // side, (from_first % side / side).astype(np.float32)))
    (row_H, down_H), (column_W, across_W) = places
    flat, width = table_TUL.reshape(-1), table_TUL.shape[1]
    index_HW = (row_H[:, None] * width + column_W) * BINS + binned_HW
    found_HW = np.zeros(binned_HW.shape, np.float32)
    for below, weight_H in ((0, 1 - down_H), (1, down_H)):
        for right, weight_W in ((0, 1 - across_W), (1, across_W)):
            part_HW = flat.take(index_HW + (below * width + right) * BINS)
            part_HW *= weight_H[:, None]
            part_HW *= weight_W
            found_HW += part_HW
    return found_HW
