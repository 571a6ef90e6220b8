"""Several heads as one: their predictions and the thresholds of their own folds, averaged. N images, L classes, K heads."""

import numpy as np


def best_thresholds(said_NL: np.ndarray, probability_NL: np.ndarray) -> np.ndarray:
    """Return for each class the threshold of best F1, float64 [L]: midway between two probabilities; .5 where it never occurs.

    A row is of a class if its probability is at least the threshold. Of equal F1 the highest threshold.
    """
    thresholds_L = np.full(said_NL.shape[1], 0.5)
    for label, (said_N, probability_N) in enumerate(zip(said_NL.T, probability_NL.T, strict=True)):
        if not said_N.any():
            continue
        order = np.argsort(-probability_N, kind="stable")
        sorted_N = probability_N[order].astype(np.float64)
        f1_N = 2 * np.cumsum(said_N[order]) / (np.arange(1, len(order) + 1) + said_N.sum())
        ends_N = np.append(sorted_N[1:] < sorted_N[:-1], True)  # equal probabilities are named together
        best = int(np.where(ends_N, f1_N, -1).argmax())
        below = sorted_N[best + 1] if best + 1 < len(sorted_N) else 0.0
        thresholds_L[label] = (sorted_N[best] + below) / 2
    return thresholds_L


def averaged(probability_KNL: np.ndarray, thresholds_KL: np.ndarray) -> np.ndarray:
    """Return what all heads together name, int64 [N, L]: the mean probability is at least the mean threshold."""
    return (probability_KNL.mean(axis=0) >= thresholds_KL.mean(axis=0)).astype(np.int64)
