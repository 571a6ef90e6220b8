"""False discovery rate over many tests: Benjamini-Hochberg, and in two stages where tests belong to parents."""

import numpy as np


def benjamini_hochberg(p_T: np.ndarray) -> np.ndarray:
    """Return the adjusted p of T tests, 0 to 1: those at or below a rate make a list with that false discovery rate at most.

    Source: Benjamini and Hochberg, J. R. Stat. Soc. B 57 (1995) 289.
    """
    T = len(p_T)
    order = np.argsort(p_T)[::-1]
    adjusted_T = np.empty(T)
    adjusted_T[order] = np.minimum.accumulate(np.asarray(p_T, dtype=float)[order] * T / np.arange(T, 0, -1))
    return np.minimum(adjusted_T, 1.0)


def hierarchical(p_T: np.ndarray, parent_T: np.ndarray, rate: float) -> np.ndarray:
    """Return the adjusted p of T tests that belong to parents, such as doses of one compound, as copairs does it.

    A parent is represented by its least p; parents whose adjusted p is above `rate` give all their tests 1, and within each of
    the others the tests are adjusted among themselves. The least of many p is small by chance too, so a parent with many tests
    passes more easily than one with few.
    """
    parents, place_T = np.unique(parent_T, return_inverse=True)
    least = np.full(len(parents), np.inf)
    np.minimum.at(least, place_T, p_T)
    adjusted_T = np.ones(len(p_T))
    for parent in np.flatnonzero(benjamini_hochberg(least) <= rate):
        of = np.flatnonzero(place_T == parent)
        adjusted_T[of] = benjamini_hochberg(p_T[of])
    return adjusted_T
