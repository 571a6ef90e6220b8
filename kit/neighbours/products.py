"""All inner products of M rows, kept once: the distances of any rows are read from them.

Large sets are multiplied in float32, about their mean, and every distance then has a bound of its error. Who needs to know more
asks for exact distances of single pairs, in float64.

M rows, F features, Q queries, T training rows, P pairs.
"""

from typing import Self

import numpy as np

from kit.neighbours.exact import exact_gram

_COLUMNS = 1024  # features multiplied at once, in float64
_SMALL = 2e10  # M x M x F: up to here float64 takes seconds at most
_HELD = 2**31  # bytes of products: up to here they are held in float64 where that is wanted
_ROWS, _RUN = 1024, 256  # rows and features multiplied at once, in float32; the runs' products are added in float64
_UNIT = 2.0**-24  # the largest relative rounding error of float32
_ERROR = (
    _RUN * _UNIT / (1 - _RUN * _UNIT) + 4 * _UNIT
)  # of a product, relative to the rows' lengths, in whatever order it is summed
_TINY = 2.0**-148  # what a product of features may lose below the smallest float32
_LONGEST = 1e18  # a row whose square float32 holds
_AT_ONCE = 1 << 17  # numbers of a block that fits a cache
_PAIR = 100  # what a pair costs, in products of the whole matrix


class Products:
    """The inner products of M rows; `exact` where they are float64.

    Else they are float32 products of the rows less their mean, with what the mean adds kept apart.
    """

    def __init__(self, products_MM: np.ndarray, features_MF: np.ndarray | None = None, mean_F: np.ndarray | None = None) -> None:
        self._products_MM = products_MM
        self._features_MF = features_MF
        self._pairs = 0
        self.exact = mean_F is None
        self._square_M = np.diagonal(products_MM).astype(np.float64)
        if features_MF is not None and mean_F is not None:
            mean_F = mean_F.astype(np.float64)
            self._added_M = _row_dots(features_MF, mean_F) - 0.5 * (mean_F @ mean_F)
            self._square_M = _row_squares(features_MF)
            self._spread_M = _row_squares(features_MF, mean_F)

    @classmethod
    def of(cls, features_MF: np.ndarray, *, small: float = _SMALL, exact: bool = False) -> Self:
        """Return the products of features, float32 or float64.

        small: sets of at most so many products M x M x F are multiplied in float64, as float64 features always are.
        exact: so are larger ones, up to 2 GiB of products: dearer than in float32, but for many questions cheaper in all.
        """
        M, F = features_MF.shape
        if features_MF.dtype == np.float64 or float(M) * M * F <= small:
            return cls(gram(features_MF))
        if exact and M * M * 8 <= _HELD:
            return cls(exact_gram(features_MF))
        mean_F = features_MF.mean(axis=0, dtype=np.float64).astype(np.float32)
        if _row_squares(features_MF, mean_F.astype(np.float64)).max() > _LONGEST**2:
            return cls(gram(features_MF))
        return cls(_centred_products(features_MF, mean_F), features_MF, mean_F)

    @classmethod
    def of_products(cls, products_MM: np.ndarray) -> Self:
        """Return products known already, taken as they are: of features that a matrix alone describes."""
        return cls(np.asarray(products_MM, dtype=np.float64))

    def __len__(self) -> int:
        return len(self._products_MM)

    def products(self, rows_Q: np.ndarray, columns_T: np.ndarray) -> np.ndarray:
        """Return inner products, float64 [Q, T]: within 2e-5 of the lengths of the rows less their mean, unless `exact`."""
        product_QT = self._products_MM[np.ix_(rows_Q, columns_T)]
        if self.exact:
            return product_QT
        return product_QT + self._added_M[rows_Q][:, None] + self._added_M[columns_T][None, :]

    def distances(self, rows_Q: np.ndarray, columns_T: np.ndarray, metric: str) -> np.ndarray:
        """Return the distances of rows to others, float64 [Q, T]: as `distances`, within the bound of `bounds`."""
        if self.exact or metric == "cosine":
            square_Q, square_T = self._square_M[rows_Q], self._square_M[columns_T]
            return _distances(self.products(rows_Q, columns_T), square_Q, square_T, metric)
        spread_Q, spread_T = self._spread_M[rows_Q], self._spread_M[columns_T]
        return _distances(self._products_MM[np.ix_(rows_Q, columns_T)].astype(np.float64), spread_Q, spread_T, metric)

    def bounds(self, rows_Q: np.ndarray, columns_T: np.ndarray, metric: str) -> np.ndarray:
        """Return how far these distances may be from the exact ones, float64 [Q, T] or, where all are exact, [1, 1]."""
        if self.exact:
            return np.zeros((1, 1))
        lost, spread_M = self._lost(), np.sqrt(self._spread_M)
        if metric == "euclidean":
            return 2 * (np.multiply.outer(_ERROR * spread_M[rows_Q], spread_M[columns_T]) + lost)
        length_M = np.sqrt(np.where(self._square_M == 0, 1.0, self._square_M))
        spread_M = spread_M / length_M
        bound_QT = np.multiply.outer(_ERROR * spread_M[rows_Q], spread_M[columns_T])
        return bound_QT + np.multiply.outer(lost / length_M[rows_Q], 1 / length_M[columns_T]) + 1e-12

    def pair_distances(self, rows_P: np.ndarray, columns_P: np.ndarray, metric: str) -> np.ndarray:
        """Return the exact distances of pairs of rows, float64 [P]. After many, the whole matrix becomes `exact`."""
        self._pairs += len(rows_P)
        if not self.exact and self._pairs * _PAIR > len(self) ** 2:
            self._make_exact()
        square_P, other_P = self._square_M[rows_P], self._square_M[columns_P]
        if self.exact:
            product_P = self._products_MM[rows_P, columns_P]
        else:
            assert self._features_MF is not None
            product_P = _pair_dots(self._features_MF, rows_P, columns_P)
        return _distances(product_P[:, None], square_P, other_P[:, None], metric)[:, 0]

    def _lost(self) -> float:
        assert self._features_MF is not None
        return self._features_MF.shape[1] * _TINY

    def _make_exact(self) -> None:
        assert self._features_MF is not None
        self._products_MM = exact_gram(self._features_MF)
        self._square_M, self._features_MF, self.exact = np.diagonal(self._products_MM).copy(), None, True


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
        return np.maximum(square_Q[:, None] + square_T - 2 * product_QT, 0.0)
    assert metric == "cosine", metric
    square_Q, square_T = (np.where(square == 0, 1.0, square) for square in (square_Q, square_T))
    cosine_QT = np.square(product_QT)
    cosine_QT /= square_Q[:, None] * square_T  # one quotient, rounded once: equal fractions stay equal
    np.copysign(np.sqrt(cosine_QT, out=cosine_QT), product_QT, out=cosine_QT)
    return np.subtract(1, cosine_QT, out=cosine_QT)


def _centred_products(features_MF: np.ndarray, mean_F: np.ndarray) -> np.ndarray:
    """Return the products of the rows less `mean_F`, float32 [M, M]; a block's runs of features are added in float64."""
    M, F = features_MF.shape
    out_MM = np.empty((M, M), dtype=np.float32)
    for top in range(0, M, _ROWS):
        rows_RF = features_MF[top : top + _ROWS] - mean_F
        for left in range(top, M, _ROWS):
            others_RF = rows_RF if left == top else features_MF[left : left + _ROWS] - mean_F
            block_RR = np.zeros((len(rows_RF), len(others_RF)))
            for start in range(0, F, _RUN):
                block_RR += rows_RF[:, start : start + _RUN] @ others_RF[:, start : start + _RUN].T
            out_MM[top : top + _ROWS, left : left + _ROWS] = block_RR
            out_MM[left : left + _ROWS, top : top + _ROWS] = block_RR.T
    return out_MM


def _row_dots(features_MF: np.ndarray, vector_F: np.ndarray) -> np.ndarray:
    at_once = max(1, _AT_ONCE // features_MF.shape[1])
    return np.concatenate([rows.astype(np.float64) @ vector_F for rows in _chunks(features_MF, at_once)])


def _row_squares(features_MF: np.ndarray, mean_F: np.ndarray | float = 0.0) -> np.ndarray:
    def squares(rows: np.ndarray) -> np.ndarray:
        wide = rows.astype(np.float64) - mean_F
        return np.einsum("pf,pf->p", wide, wide)

    return np.concatenate([squares(rows) for rows in _chunks(features_MF, max(1, _AT_ONCE // features_MF.shape[1]))])


def _pair_dots(features_MF: np.ndarray, rows_P: np.ndarray, columns_P: np.ndarray) -> np.ndarray:
    """Return the inner products of pairs, float64, each summed in the same order: equal rows have equal products to the bit."""
    out_P, at_once = np.empty(len(rows_P)), max(1, _AT_ONCE // features_MF.shape[1])
    for start in range(0, len(rows_P), at_once):
        part = slice(start, start + at_once)
        one, other = (features_MF[rows[part]].astype(np.float64) for rows in (rows_P, columns_P))
        out_P[part] = np.einsum("pf,pf->p", one, other)
    return out_P


def _chunks(features_MF: np.ndarray, at_once: int) -> list[np.ndarray]:
    return [features_MF[start : start + at_once] for start in range(0, len(features_MF), at_once)]
