"""All inner products of M rows, kept once: distances and nearest rows of any queries are read from them.

M rows, F features, Q queries, T training rows.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

_COLUMNS = 1024  # features multiplied at once, in float64


@dataclass(frozen=True, slots=True)
class Nearest:
    """The nearest training rows of Q queries, nearest first, of equal distances the first row.

    rows_Qk: row numbers of the Gram, int64. distance_Qk: cosine distances, or Euclidean ones squared, float64.
    """

    rows_Qk: np.ndarray
    distance_Qk: np.ndarray


@dataclass(frozen=True, slots=True)
class Gram:
    """The inner products of M rows, float64 [M, M]."""

    products_MM: np.ndarray

    @classmethod
    def of(cls, features_MF: np.ndarray) -> "Gram":
        """Return the products of features, float32 or float64."""
        return cls(gram(features_MF))

    @classmethod
    def of_products(cls, products_MM: np.ndarray) -> "Gram":
        """Return a Gram of products known already, taken as they are: of features that a matrix alone describes."""
        return cls(np.asarray(products_MM, dtype=np.float64))

    def __len__(self) -> int:
        return len(self.products_MM)

    def distances(self, rows_Q: np.ndarray, columns_T: np.ndarray, metric: str) -> np.ndarray:
        """Return the distances of rows to others, float64 [Q, T]: see `distances`."""
        square_M = np.diagonal(self.products_MM)
        return _distances(self.products_MM[np.ix_(rows_Q, columns_T)], square_M[rows_Q], square_M[columns_T], metric)

    def nearest(
        self, query_Q: np.ndarray, train_T: np.ndarray, k: int, metric: str, *, apart: Sequence[np.ndarray] = ()
    ) -> Nearest:
        """Return the k nearest training rows of every query.

        Args:
            query_Q, train_T: row numbers; a query that trains is its own nearest. k: at least 1.
            metric: `cosine` or `euclidean`.
            apart: arrays [M] of codes, such as plate or position: rows that share one with the query do not count for it.

        Raises:
            ValueError: a query has fewer than k rows that count.
        """
        distance_QT = self.distances(query_Q, train_T, metric)
        for code_M in apart:
            distance_QT[code_M[query_Q][:, None] == code_M[train_T][None, :]] = np.inf
        fewest = int(np.isfinite(distance_QT).sum(axis=1).min(initial=len(train_T)))
        if k > fewest:
            raise ValueError(f"a query has only {fewest} rows that count: {k} are wanted")
        column_Qk = nearest(distance_QT, k)
        return Nearest(train_T[column_Qk], np.take_along_axis(distance_QT, column_Qk, axis=1))


def gram(features_MF: np.ndarray) -> np.ndarray:
    """Return the inner products of all rows, float64 [M, M]; narrower features are widened a block of columns at a time."""
    if features_MF.dtype == np.float64:
        return features_MF @ features_MF.T
    out_MM = np.zeros((len(features_MF), len(features_MF)))
    for start in range(0, features_MF.shape[1], _COLUMNS):
        block = features_MF[:, start : start + _COLUMNS].astype(np.float64)
        out_MM += block @ block.T
    return out_MM


def distances(gram_MM: np.ndarray, metric: str) -> np.ndarray:
    """Return cosine distances (1 - cosine; 1 to a row of zeros), or Euclidean ones squared, float64 [M, M].

    Distances that are equal without rounding are equal to the bit where features are whole numbers whose squares sum to
    less than 2**26 a row; elsewhere rounding may order them.
    """
    square_M = np.diagonal(gram_MM)
    return _distances(gram_MM, square_M, square_M, metric)


def _distances(product_QT: np.ndarray, square_Q: np.ndarray, square_T: np.ndarray, metric: str) -> np.ndarray:
    if metric == "euclidean":
        return np.maximum(square_Q[:, None] + square_T[None, :] - 2 * product_QT, 0.0)
    assert metric == "cosine", metric
    square_Q, square_T = (np.where(square == 0, 1.0, square) for square in (square_Q, square_T))
    cosine_QT = np.square(product_QT)
    cosine_QT /= np.multiply.outer(square_Q, square_T)  # one quotient, rounded once: equal fractions stay equal
    np.copysign(np.sqrt(cosine_QT, out=cosine_QT), product_QT, out=cosine_QT)
    return np.subtract(1, cosine_QT, out=cosine_QT)


def nearest(distance_QT: np.ndarray, k: int) -> np.ndarray:
    """Return the k nearest columns of every row, nearest first; of equal distances the first column, int64 [Q, k]."""
    T = distance_QT.shape[1]
    assert 1 <= k <= T
    found_Qk = np.argpartition(distance_QT, k - 1, axis=1)[:, :k] if k < T else np.tile(np.arange(T), (len(distance_QT), 1))
    found_Qk.sort(axis=1)  # by column, so that the stable sort below breaks ties by column
    near_Qk = np.take_along_axis(distance_QT, found_Qk, axis=1)
    found_Qk = np.take_along_axis(found_Qk, np.argsort(near_Qk, axis=1, kind="stable"), axis=1)
    tied_Q = (distance_QT <= near_Qk.max(axis=1, keepdims=True)).sum(axis=1) > k  # the k-th distance has several columns
    if tied_Q.any():
        found_Qk[tied_Q] = np.argsort(distance_QT[tied_Q], axis=1, kind="stable")[:, :k]
    return found_Qk
