"""Classifiers on frozen features, as scikit-learn has them, and their scores.

T rows that train, Q rows that are tested, M rows in all, F features, L classes.
"""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from kit.neighbours import nearest, vote
from kit.probes.logistic import fit_each

FOLDS = 5
HIDDEN, EPOCHS = 128, 100  # of the MLP
_AT_ONCE = 1024  # rows whose distances are held at once
_VARIES = 1e-9  # of the greatest standard deviation: a column below it is constant


def prepared(features_MF: np.ndarray, train_M: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the rows that train and the others, float64 [T, F'] and [Q, F'], every column standardised by those that train.

    Where there are more columns than rows that train, both are turned into the space that these span: a linear classifier
    under an L2 penalty and a nearest neighbour say the same there.
    """
    train_TF, test_QF = (features_MF[rows].astype(np.float64) for rows in (train_M, ~train_M))
    mean_F, sd_F = train_TF.mean(axis=0), train_TF.std(axis=0)
    varies_F = sd_F > _VARIES * max(sd_F.max(initial=0.0), 1e-300)
    train_TF, test_QF = ((rows[:, varies_F] - mean_F[varies_F]) / sd_F[varies_F] for rows in (train_TF, test_QF))
    if train_TF.shape[1] > len(train_TF):
        turn_TF = np.linalg.svd(train_TF, full_matrices=False)[2]
        return train_TF @ turn_TF.T, test_QF @ turn_TF.T
    return train_TF, test_QF


def logistic_each(train_TF: np.ndarray, said_TL: np.ndarray, test_QF: np.ndarray) -> np.ndarray:
    """Return the probability of each class by a logistic regression of its own (one against the rest, L2, C = 1), [Q, L].

    A class that all training rows have, or none, has the probability 1 or 0.
    """
    varies_L = said_TL.min(axis=0) != said_TL.max(axis=0)
    p_QL = np.tile(said_TL[:1].astype(np.float64), (len(test_QF), 1))
    weight_FL, bias_L = fit_each(train_TF, said_TL[:, varies_L])
    p_QL[:, varies_L] = 1 / (1 + np.exp(-(test_QF @ weight_FL + bias_L)))
    return p_QL


def mlp(train_TF: np.ndarray, said_TL: np.ndarray, test_QF: np.ndarray, seed: int) -> np.ndarray:
    """Return the probability of each class by one network of one hidden layer, [Q, L].

    Ours, as the paper does not describe its own: 128 ReLUs, a sigmoid per class, Adam at a rate of 0.001, 100 epochs, L2 0.0001.
    """
    from sklearn.neural_network import MLPClassifier  # slow to import

    batch = min(200, len(train_TF))  # scikit-learn's own; where that is all rows, shuffling takes half the time for nothing
    network = MLPClassifier(
        (HIDDEN,), batch_size=batch, shuffle=batch < len(train_TF), max_iter=EPOCHS, n_iter_no_change=EPOCHS, random_state=seed
    )
    with _quiet("Stochastic Optimizer"):  # it stops at EPOCHS by design
        return network.fit(train_TF, said_TL).predict_proba(test_QF)


def linear(train_TF: np.ndarray, label_T: np.ndarray, test_QF: np.ndarray) -> np.ndarray:
    """Return the label of each row by one linear layer and softmax (L2, C = 1), [Q]."""
    from sklearn.linear_model import LogisticRegression  # slow to import

    return LogisticRegression(max_iter=1000, tol=1e-3).fit(train_TF, label_T).predict(test_QF)


def neighbours(train_TF: np.ndarray, label_T: np.ndarray, test_QF: np.ndarray, k: int) -> np.ndarray:
    """Return the label of each row by a vote of its k nearest by cosine, [Q]; with labels [T, L], whether it has each of them."""
    train_TF, test_QF = _unit(train_TF), _unit(test_QF)
    k = min(k, len(train_TF))
    found_Qk = np.concatenate([nearest(1 - test_QF[part] @ train_TF.T, k) for part in _parts(len(test_QF))])
    if label_T.ndim == 2:
        return np.stack([vote(said_T[found_Qk], "sklearn") for said_T in label_T.T], axis=1)
    names, code_T = np.unique(label_T, return_inverse=True)
    return names[vote(code_T[found_Qk], "sklearn")]


def _unit(rows_MF: np.ndarray) -> np.ndarray:
    length_M1 = np.linalg.norm(rows_MF, axis=1, keepdims=True)
    return rows_MF / np.where(length_M1 > 0, length_M1, 1.0)


def _parts(rows: int) -> list[slice]:
    return [slice(start, start + _AT_ONCE) for start in range(0, rows, _AT_ONCE)]


def auprc(said_ML: np.ndarray, probability_ML: np.ndarray) -> tuple[float, float]:
    """Return the area under the precision-recall curve: of all pairs of row and class together, and the mean over classes.

    The area is the average precision (steps, no interpolation).
    """
    from sklearn.metrics import average_precision_score  # slow to import

    together, mean = (average_precision_score(said_ML, probability_ML, average=how) for how in ("micro", "macro"))
    return float(together), float(mean)


def macro_f1(true_M: np.ndarray, said_M: np.ndarray) -> float:
    """Return the mean F1 over the classes that occur, of labels [M] or of yes and no [M, L]; a class never named has 0."""
    from sklearn.metrics import f1_score  # slow to import

    labels = np.unique(true_M) if true_M.ndim == 1 else np.flatnonzero(true_M.any(axis=0))
    return float(f1_score(true_M, said_M, labels=labels, average="macro", zero_division=0))


def summary(values: list[float]) -> dict[str, Any]:
    """Return the mean of runs, their SD (ddof 1; None of one run) and each of them."""
    return {"mean": float(np.mean(values)), "sd": float(np.std(values, ddof=1)) if len(values) > 1 else None, "runs": values}


def deal_classes(label_M: np.ndarray, seed: int) -> np.ndarray:
    """Return the fold of each row, int [M]: every class is spread over as many of 5 folds as it has rows."""
    from sklearn.model_selection import StratifiedKFold  # slow to import

    n_folds = min(FOLDS, int(np.unique(label_M, return_counts=True)[1].max()))
    return _folds(StratifiedKFold(n_folds, shuffle=True, random_state=seed).split(label_M, label_M), len(label_M))


def deal_groups(label_M: np.ndarray, group_M: np.ndarray, seed: int) -> np.ndarray:
    """Return the fold of each row, int [M]: whole groups in at most 5 folds, whose classes are as alike as can be.

    Where no class has a row for every fold, the groups are dealt at random.
    """
    from sklearn.model_selection import StratifiedGroupKFold  # slow to import

    names, group_M = np.unique(group_M, return_inverse=True)
    n_folds = min(FOLDS, len(names))
    if n_folds == len(names):
        return group_M
    if np.unique(label_M, return_counts=True)[1].max() < n_folds:
        return np.random.default_rng(seed).permutation(len(names))[group_M] % n_folds
    dealer = StratifiedGroupKFold(n_folds, shuffle=True, random_state=seed)
    return _folds(dealer.split(label_M, label_M, group_M), len(label_M))


def _folds(splits: Iterator[tuple[np.ndarray, np.ndarray]], rows: int) -> np.ndarray:
    fold_M = np.empty(rows, dtype=np.int64)
    with _quiet("The least populated class"):
        for fold, (_, test) in enumerate(splits):
            fold_M[test] = fold
    return fold_M


@contextmanager
def _quiet(message: str) -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=message)
        yield
