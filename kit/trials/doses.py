"""Controls and dose series on one plate, one row of wells held out at a time. M wells, F features.

A table of wells has the columns row (letter), drug, level (0: none ... 10: most) and control (-1 negative, 0 none, 1 positive).
"""

import numpy as np
import pandas as pd

from kit.neighbours import vote
from kit.trials.neighbours import balanced_accuracy, neighbours, post_process

K = 5  # the challenge's own


def measure(features_MF: np.ndarray, how: str, wells: pd.DataFrame) -> dict[str, float]:
    """Return every statistic of the trial: see `controls`, `controls_across_drugs`, `levels`."""
    found = {
        "controls": controls(features_MF, how, wells, wells["row"].to_numpy()),
        "controls, other drug's rows": controls(features_MF, how, wells, wells["drug"].to_numpy()),
    }
    for drug in sorted(set(wells["drug"])):
        found[f"level, {drug}"], found[f"order, {drug}"] = levels(features_MF, how, wells, drug)
    return found


def chance(wells: pd.DataFrame) -> dict[str, float]:
    """Return what guessing gives for each statistic."""
    found = {"controls": 0.5, "controls, other drug's rows": 0.5}
    for drug in sorted(set(wells["drug"])):
        doses = wells[(wells["drug"] == drug) & (wells["control"] == 0)]
        found |= {f"level, {drug}": 1 / doses["level"].nunique(), f"order, {drug}": 0.5}
    return found


def controls(features_MF: np.ndarray, how: str, wells: pd.DataFrame, fold_M: np.ndarray) -> float:
    """Return the balanced accuracy of negative against positive controls, each fold named from all the others (K-NN, cosine)."""
    control_M = wells["control"].to_numpy()
    said_M = name_controls(features_MF, how, wells, fold_M)
    asked_M = control_M != 0
    return balanced_accuracy(control_M[asked_M], said_M[asked_M])


def name_controls(features_MF: np.ndarray, how: str, wells: pd.DataFrame, fold_M: np.ndarray) -> np.ndarray:
    """Return -1 or 1 for every control, named from the other folds, and 0 for every other well."""
    control_M = wells["control"].to_numpy()
    said_M = np.zeros(len(wells), dtype=np.int64)
    for fold in np.unique(fold_M):
        train_M = fold_M != fold
        ready_MF = post_process(features_MF, how, train_N=train_M, control_N=control_M == -1)
        query_M = ~train_M & (control_M != 0)
        said_M[query_M] = vote(control_M[neighbours(ready_MF, query_M, train_M & (control_M != 0), K)], "nearest")
    return said_M


def levels(features_MF: np.ndarray, how: str, wells: pd.DataFrame, drug: str) -> tuple[float, float]:
    """Return how well the doses of a held-out row are named and put in order from the drug's other rows.

    The first number is the balanced accuracy of the level (K-NN vote). The second is the share of all pairs of a row's doses
    whose order is right, a pair's predictions being the mean level of the K nearest wells, equal ones counting one half: every
    pair is asked both ways round, so that it is a balanced accuracy too. Controls take no part but for the post-processing,
    which is fitted on all other rows of the plate.
    """
    level_M, control_M, row_M = (wells[name].to_numpy() for name in ("level", "control", "row"))
    mine_M = (wells["drug"].to_numpy() == drug) & (control_M == 0)
    said_M, ordered = np.full(len(wells), -1), []
    for row in np.unique(row_M[mine_M]):
        train_M = row_M != row
        ready_MF = post_process(features_MF, how, train_N=train_M, control_N=control_M == -1)
        query_M = mine_M & ~train_M
        near_Qk = level_M[neighbours(ready_MF, query_M, mine_M & train_M, K)]
        said_M[query_M] = vote(near_Qk, "nearest")
        ordered.append(concordance(level_M[query_M], near_Qk.mean(axis=1)))
    return balanced_accuracy(level_M[mine_M], said_M[mine_M]), float(np.mean(ordered))


def concordance(true_Q: np.ndarray, said_Q: np.ndarray) -> float:
    """Return the share of pairs with different true values that `said_Q` puts in the same order; equal ones count one half."""
    first, second = np.triu_indices(len(true_Q), k=1)
    truth, said = np.sign(true_Q[first] - true_Q[second]), np.sign(said_Q[first] - said_Q[second])
    asked = truth != 0
    return float(np.mean((1 + truth * said)[asked] / 2))


def shuffled(wells: pd.DataFrame, seed: int) -> pd.DataFrame:
    """Return the wells with the labels of each row's controls permuted among them, and those of its doses too."""
    rng = np.random.default_rng(seed)
    place = np.arange(len(wells))
    for wells_ in wells.groupby([wells["row"], wells["control"] == 0]).indices.values():
        place[wells_] = rng.permutation(wells_)
    labels = wells[["level", "control"]].to_numpy()[place]
    return wells.assign(level=labels[:, 0], control=labels[:, 1])
