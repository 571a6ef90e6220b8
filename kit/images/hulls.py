"""Count the pixels of the convex hull of every labelled region at once. H W pixels, R runs of pixels, P points, N regions."""

import numpy as np


def hull_areas(label_HW: np.ndarray, numbers_N: np.ndarray) -> np.ndarray:
    """Return the pixels in the convex hull of each region, int64 [N]: scikit-image's `area_convex`, in exact whole numbers.

    A pixel has four corners, the middles of its edges, and lies in a hull where its centre does, borders included.

    Args:
        label_HW: a number per region, else 0; a region may have several parts.
        numbers_N: the regions wanted, each in label_HW.
    """
    side = len(label_HW) + 1
    wanted_L = np.zeros(label_HW.max(initial=0) + 1, dtype=np.int64)
    wanted_L[numbers_N] = np.arange(1, len(numbers_N) + 1)
    regions_HW = np.pad(wanted_L[label_HW], ((0, 0), (1, 1)))
    y_R, x_R = np.nonzero(regions_HW[:, 1:] != regions_HW[:, :-1])  # where a run begins, ends, or both
    begun_R, ended_R = regions_HW[y_R, x_R + 1], regions_HW[y_R, x_R]
    begins, ends = begun_R > 0, ended_R > 0
    left = _borders(begun_R[begins] - 1, y_R[begins], x_R[begins], side)
    right = _borders(ended_R[ends] - 1, y_R[ends], 1 - x_R[ends], side)  # mirrored
    return np.bincount(left[0] // side, 1 - left[1] - right[1], len(numbers_N)).astype(np.int64)


def _borders(region_R: np.ndarray, y_R: np.ndarray, x_R: np.ndarray, side: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the rows of all regions, as region * side + y, and the first pixel of the hull in each."""
    middle_R = 2 * side * region_R + 2 * y_R + 1  # half pixels, 1: none is negative
    place_P = np.concatenate([middle_R - 1, middle_R, middle_R + 1])
    x_P = np.concatenate([2 * x_R, 2 * x_R - 1, 2 * x_R])
    order = np.lexsort((x_P, place_P))
    first = np.diff(place_P[order], prepend=-1) > 0  # of the points of one height only the outermost
    place_P, x_P = _convex(place_P[order][first], x_P[order][first], 2 * side)

    region_N = place_P // (2 * side)
    ends = np.diff(region_N, append=-1) != 0
    top_N = place_P[np.roll(ends, 1)] // 2
    rows_N = place_P[ends] // 2 - top_N
    row = np.arange(rows_N.sum()) + np.repeat(top_N - np.cumsum(rows_N) + rows_N, rows_N)
    below = np.searchsorted(place_P, 2 * row + 1, side="right")
    above = below - 1
    height = place_P[below] - place_P[above]
    twice = x_P[above] * height + (x_P[below] - x_P[above]) * (2 * row + 1 - place_P[above])
    return row, -(-twice // (2 * height))


def _convex(place_P: np.ndarray, x_P: np.ndarray, stride: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the corners of the hulls: points that no two neighbours of the same region shut in, again until none is."""
    while True:
        region_P = place_P // stride
        down, out = np.diff(place_P), np.diff(x_P)
        shut_in = (region_P[2:] == region_P[:-2]) & (out[:-1] * down[1:] >= out[1:] * down[:-1])
        if not shut_in.any():
            return place_P, x_P
        kept = np.concatenate([[True], ~shut_in, [True]])
        place_P, x_P = place_P[kept], x_P[kept]
