"""Fewer columns for a submission: a rotation that keeps every distance, or the columns of most variance and what they cost.

The rows of M wells span at most M directions, so M columns hold all there is between them, however many features they had.
M wells, F features, N columns.
"""

from dataclasses import dataclass

import numpy as np

from kit.errors import KitError, UsageError
from kit.neighbours import Gram, gram

SCORED = 13_824  # columns: the widest submission known to have been scored; 27,648 ran out of memory there
_ROWS = 1024  # wells compared at once
_RANK = 1e-13  # of the largest squared length: what is left of a row below it is rounding


@dataclass(frozen=True, slots=True)
class Fewer:
    """columns_MN: float32. how: `rotated`, or `reduced` to fewer columns than hold all distances. of: F.

    lost: the share of the rows' sum of squares that is left out. error: the largest change of a squared distance, as a share of
    the largest squared distance. other_nearest: rows whose nearest row is another one, Euclidean or cosine: the larger number.
    """

    columns_MN: np.ndarray
    how: str
    of: int
    lost: float
    error: float
    other_nearest: int

    def text(self) -> str:
        """Return one line of text."""
        rows, columns = self.columns_MN.shape
        near = "every nearest well is the same"
        if self.other_nearest:
            near = f"the nearest well changes for {self.other_nearest:,} of {rows:,}"
        size = f"{self.how} from {self.of:,} to {columns:,} columns"
        if self.how == "rotated":
            return f"{size}: squared distances change by at most {self.error:.1g} of the largest; {near}"
        lost, error = f"{100 * self.lost:.3g} % of the sum of squares is left out", f"{100 * self.error:.3g} % of the largest"
        return f"{size}: {lost}, squared distances change by up to {error}; {near}"

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the columns."""
        return tuple(f"{self.how}_{column:04d}" for column in range(self.columns_MN.shape[1]))

    def step(self) -> dict:
        """Return the record of the step."""
        cost = {"sum_of_squares_lost": self.lost, "distance_error": self.error, "other_nearest": self.other_nearest}
        step = "rotate" if self.how == "rotated" else "reduce"
        return {"step": step, "from": self.of, "columns": self.columns_MN.shape[1], **cost}


def rotate(features_MF: np.ndarray) -> Fewer:
    """Return the rows in at most M columns, all distances and angles as they were up to float32's rounding.

    The columns are a Cholesky factor of the rows' inner products, pivoted: L L' = X X' makes L = X Q, Q orthonormal.
    """
    from scipy.linalg.lapack import dpstrf

    gram_MM = gram(features_MF)
    factor_MM, pivot_M, rank, _ = dpstrf(gram_MM, lower=1, tol=_RANK * float(gram_MM.diagonal().max()))
    columns_MN = np.empty((len(gram_MM), max(rank, 1)), dtype=np.float32)
    columns_MN[pivot_M - 1] = np.tril(factor_MM)[:, : max(rank, 1)]
    del factor_MM
    return _fewer(columns_MN, "rotated", features_MF.shape[1], gram_MM)


def reduce(features_MF: np.ndarray, columns: int) -> Fewer:
    """Return the rows in the `columns` directions of the largest sums of squares, through the origin, not the mean.

    No other linear map to so few columns leaves more of the sum of squares.

    Raises:
        UsageError: not fewer columns than there are.
    """
    from scipy.linalg import eigh

    M, F = features_MF.shape
    if not 1 <= columns < min(M, F):
        raise UsageError(
            f"--columns {columns}: need 1 to {min(M, F) - 1:,}, for {M:,} rows of {F:,} features"
            + (": --rotate keeps every distance in as many columns as rows" if M < F else "")
        )
    gram_MM = gram(features_MF)
    _, vectors_MN = eigh(gram_MM, subset_by_index=[M - columns, M - 1], driver="evr")
    size_N = np.sqrt(np.maximum(np.einsum("mn,mn->n", vectors_MN, gram_MM @ vectors_MN), 0))
    return _fewer((vectors_MN * size_N)[:, ::-1].astype(np.float32), "reduced", F, gram_MM)


def _fewer(columns_MN: np.ndarray, how: str, features: int, gram_MM: np.ndarray) -> Fewer:
    """Compare the rows in their columns with what they were, block by block."""
    if not np.isfinite(columns_MN).all():
        raise KitError("the columns cannot be rotated: their squares are beyond float64; scale the features down")
    total, kept = float(gram_MM.trace()), float(np.square(columns_MN, dtype=np.float64).sum())
    before, after, all_M = Gram.of_products(gram_MM), Gram.of_products(gram(columns_MN)), np.arange(len(gram_MM))
    largest = error = 0.0
    changed = {"euclidean": 0, "cosine": 0}
    for start in range(0, len(all_M), _ROWS):
        rows_Q = all_M[start : start + _ROWS]
        for metric in changed:
            one_QM, two_QM = (products.distances(rows_Q, all_M, metric) for products in (before, after))
            if metric == "euclidean":
                largest, error = max(largest, float(one_QM.max())), max(error, float(np.abs(one_QM - two_QM).max()))
            changed[metric] += _other_nearest(one_QM, two_QM, rows_Q)
    lost = max(0.0, 1 - kept / total) if total else 0.0
    return Fewer(columns_MN, how, features, lost, error / (largest or 1.0), max(changed.values()))


def _other_nearest(one_QM: np.ndarray, two_QM: np.ndarray, rows_Q: np.ndarray) -> int:
    """Count the rows whose nearest other row is another one now, and not just as near as it was."""
    here = np.arange(len(one_QM))
    for distance_QM in (one_QM, two_QM):
        distance_QM[here, rows_Q] = np.inf
    if one_QM.shape[1] < 2:
        return 0
    near_Q = two_QM.argmin(axis=1)
    closest_Q = one_QM.min(axis=1)
    return int((one_QM[here, near_Q] > closest_Q + 1e-6 * (closest_Q + 1e-12)).sum())
