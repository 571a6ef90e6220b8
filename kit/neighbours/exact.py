"""The exact products of many rows, added up in place: half the memory and time of `products.gram`.

M rows, F features.
"""

import numpy as np

_COLUMNS = 1024  # features widened at once
_ROWS = 256  # copied to the other triangle at once


def exact_gram(features_MF: np.ndarray) -> np.ndarray:
    """Return the inner products of all rows of float32 features, float64 [M, M]; equal rows have equal ones, to the bit."""
    from scipy.linalg.blas import dsyrk  # slow to import

    M, F = features_MF.shape
    out_MM = np.zeros((M, M))
    for start in range(0, F, _COLUMNS):
        block = features_MF[:, start : start + _COLUMNS].astype(np.float64)
        done = dsyrk(1.0, block.T, beta=1.0, c=out_MM.T, trans=1, overwrite_c=1)  # the lower triangle of out_MM
        assert np.shares_memory(done, out_MM)
    for start in range(0, M, _ROWS):
        rows = slice(start, start + _ROWS)
        square = out_MM[rows, rows]
        square[...] = np.tril(square) + np.tril(square, -1).T
        out_MM[rows, start + _ROWS :] = out_MM[start + _ROWS :, rows].T
    _make_alike(out_MM, features_MF)
    return out_MM


def _make_alike(out_MM: np.ndarray, features_MF: np.ndarray) -> None:
    """Give a row that equals one before it the products of that: what a library sums in which order may depend on the place."""
    seen: dict[int, int] = {}
    first_M = np.array([seen.setdefault(hash(values.tobytes()), row) for row, values in enumerate(features_MF)])
    again = np.flatnonzero(first_M != np.arange(len(first_M)))
    out_MM[again] = out_MM[first_M[again]]
    out_MM[:, again] = out_MM[:, first_M[again]]
