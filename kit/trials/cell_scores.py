"""Scores of single cells: each is named by its nearest neighbours among the cells of other groups.

N cells, F features, Q queries, T training cells. A group is what is alike for other reasons: a plate, a movie, or one cell alone.
"""

from collections.abc import Sequence

import numpy as np

from kit.neighbours import nearest, vote
from kit.trials.weeks import standardised

FOLDS = 5
NEIGHBOURS = 5
_QUERIES = 1024  # whose distances are held at once


def deal_folds(group_N: np.ndarray, *, seed: int = 0) -> np.ndarray:
    """Return the fold of each cell, int64 [N]: whole groups in random order, each to the fold that has the fewest cells.

    Raises:
        ValueError: fewer than two groups.
    """
    names, index_N, cells_G = np.unique(group_N, return_inverse=True, return_counts=True)
    if len(names) < 2:
        raise ValueError("one group alone cannot be left out")
    fold_G, cells_in = np.zeros(len(names), dtype=np.int64), np.zeros(min(FOLDS, len(names)), dtype=np.int64)
    for group in np.random.default_rng(seed).permutation(len(names)):
        fold_G[group] = cells_in.argmin()
        cells_in[fold_G[group]] += cells_G[group]
    return fold_G[index_N]


def said(blocks: Sequence[np.ndarray], label_N: np.ndarray, fold_N: np.ndarray) -> np.ndarray:
    """Return the label that the five nearest cells of other folds give each cell (cosine; each counts one), int64 [N].

    blocks: features [N, F], each standardised by the training folds and counting the same; label_N: int64.
    """
    said_N = np.empty_like(label_N)
    for fold in np.unique(fold_N):
        query_N = fold_N == fold
        x_NF = np.hstack([standardised(block_NF, ~query_N) for block_NF in blocks])
        length_N1 = np.linalg.norm(x_NF, axis=1, keepdims=True)
        x_NF = np.divide(x_NF, length_N1, out=np.zeros_like(x_NF), where=length_N1 > 0)
        train_TF, label_T = x_NF[~query_N], label_N[~query_N]
        for rows in np.array_split(np.flatnonzero(query_N), -(-query_N.sum() // _QUERIES)):
            near_Qk = nearest(1 - x_NF[rows] @ train_TF.T, min(NEIGHBOURS, len(train_TF)))
            said_N[rows] = vote(label_T[near_Qk], "sklearn")
    return said_N


def class_weights(label_N: np.ndarray) -> np.ndarray:
    """Return what each cell weighs in the mean recall, float64 [N]: classes count the same, and all weights have mean 1."""
    cells_L = np.bincount(label_N)
    return len(label_N) / (np.count_nonzero(cells_L) * cells_L[label_N])
