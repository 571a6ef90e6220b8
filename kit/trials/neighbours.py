"""The evaluation shared by the trials: post-processing fitted on training rows only, then nearest neighbours.

N rows, F features, Q queries, T training rows.
"""

import numpy as np

from kit.neighbours import distances, gram, nearest
from kit.profiles.whiten import RIDGE, covariance

POST = ("none", "centre", "scale", "sphere")
CHOSEN = "centre"  # what a trained network is shown under; a baseline is shown at its best
_TINY = 1e-9


def post_process(features_NF: np.ndarray, how: str, *, train_N: np.ndarray, control_N: np.ndarray) -> np.ndarray:
    """Return float64 features of all rows after a step that was fitted on the training rows.

    how: `none`; `centre`: minus the mean of the training rows; `scale`: that, divided by their standard deviation; `sphere`:
    centred, then times (covariance + ridge)^-1/2 of the training controls, as `kit profile --whiten`.

    The centre is that of all training rows, not of the controls: the cosine then separates strong from weak along one axis.

    Args:
        train_N, control_N: bool; rows that are both give the covariance.
    """
    features_NF = features_NF.astype(np.float64)
    if how == "none":
        return features_NF
    centred_NF = features_NF - features_NF[train_N].mean(axis=0)
    if how == "centre":
        return centred_NF
    if how == "scale":
        sd_F = features_NF[train_N].std(axis=0)
        return centred_NF / np.where(sd_F > _TINY * sd_F.max(), sd_F, 1.0)
    assert how == "sphere", how
    controls_NF = centred_NF[train_N & control_N]
    found = covariance(controls_NF - controls_NF.mean(axis=0))
    floor = RIDGE * found.variance_R.sum() / features_NF.shape[1]
    return found.apply(lambda variance: (variance + floor) ** -0.5, centred_NF)


def neighbours(features_NF: np.ndarray, query_N: np.ndarray, train_N: np.ndarray, k: int) -> np.ndarray:
    """Return for every query the rows of its k nearest training rows by cosine, nearest first, int64 [Q, k]."""
    assert not (query_N & train_N).any()
    queries, trained = np.flatnonzero(query_N), np.flatnonzero(train_N)
    distance_NN = distances(gram(features_NF), "cosine")
    return trained[nearest(distance_NN[np.ix_(queries, trained)], k)]


def balanced_accuracy(true_Q: np.ndarray, said_Q: np.ndarray) -> float:
    """Return the mean over classes of the share of a class that was named correctly."""
    return float(np.mean([np.mean(said_Q[true_Q == label] == label) for label in np.unique(true_Q)]))
