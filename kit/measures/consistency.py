"""Phenotypic consistency: do compounds of one target, or one mechanism, find each other before all that share none with them?

M profiles, Q queries.
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from kit.measures.activity import QUERY
from kit.measures.precision import Between, average_precision


def split_targets(text_M: Sequence[str]) -> list[frozenset[str]]:
    """Return each row's targets; | separates several, as in the official target_list."""
    return [frozenset(word.strip() for word in text.split("|") if word.strip()) for text in text_M]


def consistency(between: Between, targets_M: Sequence[frozenset[str]]) -> pd.DataFrame:
    """Return one row for each profile and each of its targets that another profile has too, as `activity` does.

    The label is the target. Positives are the others with this target, negatives those that share no target with the query; a
    profile that shares another target only is neither. Profiles without a target are left out. As copairs with several labels.
    """
    names = sorted(frozenset().union(*targets_M))
    has_MT = np.array([[name in targets for name in names] for targets in targets_M], dtype=bool).reshape(
        len(targets_M), len(names)
    )
    rows = np.flatnonzero(has_MT.any(axis=1))
    shared_MT = has_MT.astype(np.float32)
    found = []
    for query in rows:
        distance_M = np.full(len(targets_M), np.inf)
        distance_M[rows] = between(np.array([query]), rows)[0]
        shares_M = shared_MT @ shared_MT[query] > 0
        negative_N = np.sort(distance_M[rows[~shares_M[rows]]])
        for target in np.flatnonzero(has_MT[query]):
            others = np.flatnonzero(has_MT[:, target])
            positive_P = np.sort(distance_M[others[others != query]])
            if len(positive_P) and len(negative_N):
                ap = average_precision(positive_P, negative_N)
                found.append((query, names[target], ap, len(positive_P), len(positive_P) + len(negative_N)))
    return pd.DataFrame(found, columns=QUERY)


def consensus(features_MF: np.ndarray, label_M: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the labels of M wells, without "", and each one's median profile: text [L], float32 [L, F]."""
    labels = np.unique(label_M[label_M != ""])
    median_LF = np.empty((len(labels), features_MF.shape[1]), dtype=np.float32)
    for label, median_F in zip(labels, median_LF, strict=True):
        median_F[:] = np.median(features_MF[label_M == label], axis=0)
    return labels, median_LF
