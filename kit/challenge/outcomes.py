"""What the votes said of the wells tested in one direction -> its numbers in score.json.

P plates tested, L labels, Q wells of a fold.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from kit.neighbours import Votes
from kit.streams import Stream, generator

TOP = 5  # the labels with most votes that `top5` looks among
DRAWS = 2000  # of plates or compounds, for an interval
FEWEST_UNITS = 3  # that have an interval: plates, or compounds
SHARES = -1  # the stream of draws for shares of hits


@dataclass(frozen=True, slots=True)
class Fold:
    """The wells that a fold tested, as row numbers, and what was said of them."""

    test_Q: np.ndarray
    votes: Votes


def summarise(folds_of: Sequence[Sequence[Fold]], label_M: np.ndarray, plate_M: np.ndarray) -> dict[str, Any]:
    """Return what score.json holds of a direction; `folds_of` holds the folds of each seed, `plate_M` int64 codes.

    accuracy: the mean over folds, then over seeds. sd: over seeds. folds: of each seed its folds' accuracies. interval: 95 %
    of the accuracy over draws of the plates tested. balanced_accuracy, macro_f1, top5: over all wells a seed tests, mean over
    seeds; top5 is the share of wells whose label is among the five with most votes.
    """
    per_seed = [[float((fold.votes.place_Q == 0).mean()) for fold in folds] for folds in folds_of]
    of_seed = [float(np.mean(accuracies)) for accuracies in per_seed]
    over = [over_classes(*_pooled(folds, label_M)) for folds in folds_of]
    top = [float(np.mean(np.concatenate([fold.votes.place_Q for fold in folds]) < TOP)) for folds in folds_of]
    return {
        "accuracy": float(np.mean(of_seed)),
        "sd": float(np.std(of_seed, ddof=1)) if len(of_seed) > 1 else None,
        "n_test": sum(len(fold.test_Q) for fold in folds_of[-1]),
        "n_folds": len(folds_of[-1]),
        "folds": per_seed,
        "interval": interval(drawn_accuracies(folds_of, plate_M)),
        "balanced_accuracy": float(np.mean([balanced for balanced, _ in over])),
        "macro_f1": float(np.mean([f1 for _, f1 in over])),
        "top5": float(np.mean(top)),
    }


def over_classes(true_Q: np.ndarray, said_Q: np.ndarray) -> tuple[float, float]:
    """Return the mean recall over the labels tested, and the mean F1 over the labels that were tested or said."""
    size = int(max(true_Q.max(), said_Q.max())) + 1
    hit_L, true_L, said_L = (np.bincount(rows, minlength=size) for rows in (true_Q[true_Q == said_Q], true_Q, said_Q))
    tested_L, any_L = true_L > 0, (true_L + said_L) > 0
    return float((hit_L[tested_L] / true_L[tested_L]).mean()), float((2 * hit_L[any_L] / (true_L + said_L)[any_L]).mean())


def plate_shares(folds_of: Sequence[Sequence[Fold]], plate_M: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the plates tested, what each adds to the accuracy and what it would add were all its wells right: [P] each.

    The sum of the former over that of the latter is the accuracy: wells count the same in a fold, folds in a seed, seeds.
    """
    plates = np.unique(np.concatenate([plate_M[fold.test_Q] for folds in folds_of for fold in folds]))
    right_P, all_P = np.zeros(len(plates)), np.zeros(len(plates))
    for folds in folds_of:
        for fold in folds:
            at_Q = np.searchsorted(plates, plate_M[fold.test_Q])
            weight = 1 / (len(folds_of) * len(folds) * len(fold.test_Q))
            all_P += weight * np.bincount(at_Q, minlength=len(plates))
            right_P += weight * np.bincount(at_Q, weights=fold.votes.place_Q == 0, minlength=len(plates))
    return plates, right_P, all_P


def drawn_accuracies(folds_of: Sequence[Sequence[Fold]], plate_M: np.ndarray) -> np.ndarray | None:
    """Return the accuracy of DRAWS draws of the plates tested, with replacement; None of fewer than three plates."""
    plates, right_P, all_P = plate_shares(folds_of, plate_M)
    return drawn_ratios(right_P, all_P) if len(plates) >= FEWEST_UNITS else None


def drawn_ratios(upper_P: np.ndarray, lower_P: np.ndarray, stream: int = 0) -> np.ndarray:
    """Return the ratio of two sums over units, such as plates, in DRAWS draws of them, with replacement.

    The draws of a stream are the same for the same number of units.
    """
    count_DP = _draws(len(upper_P), stream)
    return (count_DP @ upper_P) / (count_DP @ lower_P)


def share_interval(hit_Q: np.ndarray, unit_Q: np.ndarray) -> list[float] | None:
    """Return the 2.5th and 97.5th percentile of the share of hits over resampled units; None for fewer than three units."""
    units, code_Q = np.unique(unit_Q, return_inverse=True)
    if len(units) < FEWEST_UNITS:
        return None
    return interval(drawn_ratios(np.bincount(code_Q, weights=hit_Q), np.bincount(code_Q), SHARES))


@lru_cache(maxsize=16)
def _draws(units: int, stream: int) -> np.ndarray:
    """Return how often each unit is drawn, float64 [DRAWS, units]."""
    if stream != SHARES:
        count_DP = generator(0, Stream.INTERVALS, units, stream).multinomial(units, np.full(units, 1 / units), size=DRAWS)
        return count_DP.astype(np.float64)
    drawn_DP = generator(0, Stream.INTERVALS).integers(units, size=(DRAWS, units))  # one by one, as for every score so far
    place_DP = drawn_DP + units * np.arange(DRAWS)[:, None]
    return np.bincount(place_DP.ravel(), minlength=DRAWS * units).reshape(DRAWS, units).astype(np.float64)


def interval(drawn_D: np.ndarray | None) -> list[float] | None:
    """Return the 2.5 and 97.5 percentiles; None of None."""
    return None if drawn_D is None else [float(bound) for bound in np.percentile(drawn_D, [2.5, 97.5])]


def _pooled(folds: Sequence[Fold], label_M: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    true_Q = np.concatenate([label_M[fold.test_Q] for fold in folds])
    return true_Q, np.concatenate([fold.votes.said_Q for fold in folds])
