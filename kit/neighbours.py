"""k nearest neighbours from one Gram matrix: every fold, direction, k and metric is read from it. The only k-NN in kit.

Of equal distances the first training well counts; `kit score` sorts wells by plate, then well. scikit-learn takes any of
them, so predictions equal its KNeighborsClassifier's, on float64, where no two distances of a query are equal.

M wells, F features, Q queries, T training wells.
"""

import numpy as np

_COLUMNS = 1024  # features multiplied at once, in float64


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
    square_M = np.diagonal(gram_MM).copy()
    if metric == "euclidean":
        return np.maximum(square_M[:, None] + square_M[None, :] - 2 * gram_MM, 0.0)
    assert metric == "cosine", metric
    square_M[square_M == 0] = 1.0
    cosine_MM = np.square(gram_MM)
    cosine_MM /= np.multiply.outer(square_M, square_M)  # one quotient, rounded once: equal fractions stay equal
    np.copysign(np.sqrt(cosine_MM, out=cosine_MM), gram_MM, out=cosine_MM)
    return np.subtract(1, cosine_MM, out=cosine_MM)


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


def vote(labels_Qk: np.ndarray, ties: str) -> np.ndarray:
    """Return the label most frequent among each row's neighbours (nearest first), every neighbour counting one.

    Equal counts: `sklearn`: the smallest label, as scikit-learn's KNeighborsClassifier; `nearest`: the label whose
    nearest member comes first.
    """
    count_Qk = (labels_Qk[:, :, None] == labels_Qk[:, None, :]).sum(axis=2)
    if ties == "nearest":
        return np.take_along_axis(labels_Qk, count_Qk.argmax(axis=1)[:, None], axis=1)[:, 0]
    assert ties == "sklearn", ties
    leading_Qk = count_Qk == count_Qk.max(axis=1, keepdims=True)
    return np.where(leading_Qk, labels_Qk, np.iinfo(labels_Qk.dtype).max).min(axis=1)
