"""How alike perturbations are: cosines of their profiles, in an order that puts like beside like. L perturbations, F features."""

import numpy as np

_AT_ONCE = 2048  # rows whose cosines are in memory at once


def similarity(features_LF: np.ndarray) -> np.ndarray:
    """Return the cosines of the rows, float32 [L, L]; a row of zeros is like none, 0."""
    unit_LF = _unit(features_LF)
    return np.clip(unit_LF @ unit_LF.T, -1, 1)


def most_alike(features_LF: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    """Return for each row the k others of the highest cosine, highest first: their rows int64 [L, k], and the cosines [L, k].

    k is lowered to the number of other rows. Memory is that of some rows' cosines, not of all.
    """
    unit_LF, k = _unit(features_LF), max(0, min(k, len(features_LF) - 1))
    rows_Lk, cosine_Lk = np.empty((len(unit_LF), k), dtype=np.int64), np.empty((len(unit_LF), k), dtype=np.float32)
    for start in range(0, len(unit_LF) if k else 0, _AT_ONCE):
        part = slice(start, start + _AT_ONCE)
        cosine_RL = unit_LF[part] @ unit_LF.T
        cosine_RL[np.arange(len(cosine_RL)), np.arange(start, start + len(cosine_RL))] = -np.inf
        found_Rk = np.argpartition(-cosine_RL, k - 1, axis=1)[:, :k]
        order_Rk = np.argsort(-np.take_along_axis(cosine_RL, found_Rk, axis=1), axis=1, kind="stable")
        rows_Lk[part] = np.take_along_axis(found_Rk, order_Rk, axis=1)
        cosine_Lk[part] = np.take_along_axis(cosine_RL, rows_Lk[part], axis=1)
    return rows_Lk, np.clip(cosine_Lk, -1, 1)


def clustered_order(similarity_LL: np.ndarray) -> np.ndarray:
    """Return an order of the rows in which like stands beside like, int64 [L]: average linkage, leaves ordered optimally."""
    from scipy.cluster.hierarchy import leaves_list, linkage, optimal_leaf_ordering
    from scipy.spatial.distance import squareform

    if len(similarity_LL) < 3:
        return np.arange(len(similarity_LL))
    distance_LL = 1 - similarity_LL.astype(np.float64)
    distance_LL = np.maximum((distance_LL + distance_LL.T) / 2, 0)
    np.fill_diagonal(distance_LL, 0)
    condensed = squareform(distance_LL, checks=False)
    return leaves_list(optimal_leaf_ordering(linkage(condensed, "average"), condensed)).astype(np.int64)


def _unit(features_LF: np.ndarray) -> np.ndarray:
    length_L = np.linalg.norm(features_LF.astype(np.float32), axis=1, keepdims=True)
    return features_LF.astype(np.float32) / np.where(length_L > 0, length_L, 1)
