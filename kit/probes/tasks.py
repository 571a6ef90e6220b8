"""What the features are asked for: the mechanism of treatments that did not train, the treatment on plates left out.

M rows, L mechanisms, F features. A task scores the same folds with and without sphering, and with shuffled labels.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from kit.measures.consistency import split_targets
from kit.probes.classify import (
    auprc,
    deal_classes,
    deal_groups,
    linear,
    logistic_each,
    macro_f1,
    mlp,
    neighbours,
    prepared,
    summary,
)
from kit.probes.rows import LABEL, MECHANISM
from kit.profiles.table import PLATE, WELL
from kit.progress import progress

LEAST = 2  # treatments of a mechanism
SHUFFLES = 3
MOST_ROWS = 20_000  # of the treatment task
SHUFFLED = "shuffled"

Scores = dict[str, float]
Variants = Mapping[str, np.ndarray]  # "sphered", "plain" -> features [M, F]


def none(reason: str) -> dict[str, Any]:
    """Return the entry of a task that cannot be set."""
    return {"scores": None, "reason": reason}


def mechanism_task(variants: Variants, who: pd.DataFrame, column: str, seeds: Sequence[int]) -> dict[str, Any]:
    """Return the scores of naming mechanisms: yes or no for each, tested on treatments none of whose rows trained.

    who: label (the treatment) and mechanism of each row; a treatment has one text. A mechanism of one treatment is left out.
    """
    if not column:
        return none("no column of mechanisms: --moa COLUMN names one")
    of_treatment = who[who[MECHANISM] != ""].drop_duplicates(LABEL).sort_values(LABEL)
    names, said_TL = indicators(split_targets(of_treatment[MECHANISM].tolist()))
    if len(names) < 2:
        there = f"; {names[0]} alone has them" if len(names) else "; none has them"
        return none(f"need two mechanisms ({column}) of {LEAST} treatments each{there}")
    treatments = of_treatment[LABEL].to_numpy(dtype=str)[said_TL.any(axis=1)]
    said_TL = said_TL[said_TL.any(axis=1)]
    kept_M = who[LABEL].isin(treatments).to_numpy()
    place_M = np.searchsorted(treatments, who[LABEL].to_numpy(dtype=str)[kept_M])
    first_T = said_TL.argmax(axis=1)  # what the folds are stratified by

    def score(features_MF: np.ndarray, seed: int, shuffled: bool) -> Scores:
        rng = np.random.default_rng(seed)
        order_T = rng.permutation(len(treatments)) if shuffled else np.arange(len(treatments))
        fold_T = deal_classes(first_T[order_T], seed)
        return score_mechanisms(features_MF[kept_M], said_TL[order_T][place_M], fold_T[place_M], seed, whole=not shuffled)

    return {
        "column": column,
        "classes": len(names),
        "treatments": len(treatments),
        "rows": int(kept_M.sum()),
        "chance": float(said_TL[place_M].mean()),
        "scores": runs_of(score, variants, seeds, "mechanism"),
    }


def indicators(targets_T: Sequence[frozenset[str]]) -> tuple[list[str], np.ndarray]:
    """Return the mechanisms that at least LEAST treatments have, and which has which, int64 [T, L]."""
    names, numbers = np.unique([name for targets in targets_T for name in targets], return_counts=True)
    kept = [str(name) for name in names[numbers >= LEAST]]
    said_TL = np.array([[name in targets for name in kept] for targets in targets_T], dtype=np.int64)
    return kept, said_TL.reshape(len(targets_T), len(kept))


def score_mechanisms(features_MF: np.ndarray, said_ML: np.ndarray, fold_M: np.ndarray, seed: int, *, whole: bool) -> Scores:
    """Return the scores of all rows, each named by classifiers that its fold did not train; `whole`: by the MLP too."""
    logistic_ML, mlp_ML, near_ML = (np.zeros(said_ML.shape) for _ in range(3))
    for fold in np.unique(fold_M):
        test_M = fold_M == fold
        train_TF, test_QF = prepared(features_MF, ~test_M)
        logistic_ML[test_M] = logistic_each(train_TF, said_ML[~test_M], test_QF)
        near_ML[test_M] = neighbours(train_TF, said_ML[~test_M], test_QF, 1)
        if whole:
            mlp_ML[test_M] = mlp(train_TF, said_ML[~test_M], test_QF, seed)
    scores = dict(zip(("logistic_auprc", "logistic_auprc_of_classes"), auprc(said_ML, logistic_ML), strict=True))
    if whole:
        scores |= dict(zip(("mlp_auprc", "mlp_auprc_of_classes"), auprc(said_ML, mlp_ML), strict=True))
    return scores | {"nearest_f1": macro_f1(said_ML, near_ML)}


def treatment_task(variants: Variants, who: pd.DataFrame, column: str, seeds: Sequence[int], k: int) -> dict[str, Any]:
    """Return the scores of naming the treatment of rows whose plate did not train; their well, if no treatment is on two plates.

    who: plate, well and label of each row, "" for one that is left out. At most MOST_ROWS rows, drawn at random.
    """
    plate_M, well_M = who[PLATE].to_numpy(dtype=str), (who[PLATE] + " " + who[WELL]).to_numpy(dtype=str)
    left_out, group_M, groups = "plates", plate_M, _groups(who, plate_M)
    if not (groups > 1).any():
        left_out, group_M, groups = "wells", well_M, _groups(who, well_M)
    classes = groups.index[(groups > 1).to_numpy()].to_numpy(dtype=str)
    if len(classes) < 2:
        there = f"{classes[0]} alone" if len(classes) else "none"
        return none(f"need two treatments ({column}) in two wells each; {there} is")
    rows = _drawn(np.flatnonzero(who[LABEL].isin(classes)), seeds[0])
    label_M, group_M, well_M = who[LABEL].to_numpy(dtype=str)[rows], group_M[rows], well_M[rows]
    known: dict[tuple[int, int | None, bytes], Scores] = {}

    def score(features_MF: np.ndarray, seed: int, shuffled: bool) -> Scores:
        said_M = shuffle_wells(label_M, plate_M[rows], well_M, seed) if shuffled else label_M
        fold_M = deal_groups(label_M, group_M, seed)
        key = (id(features_MF), seed if shuffled else None, _partition(fold_M))
        if key not in known:  # runs whose folds are the same plates differ in nothing
            whole = not shuffled or seed == seeds[0]  # a layer that learns shuffled labels takes longest of all
            known[key] = score_treatments(features_MF[rows], said_M, fold_M, k, whole=whole)
        return known[key]

    return {
        "column": column,
        "classes": len(classes),
        "rows": len(rows),
        "left_out": left_out,
        "groups": len(np.unique(group_M)),
        "lone": int((groups == 1).sum()),
        "k": k,
        "chance": 1 / len(classes),
        "scores": runs_of(score, variants, seeds, "treatment"),
    }


def _groups(who: pd.DataFrame, group_M: np.ndarray) -> pd.Series:
    """Return by treatment how many groups it is in."""
    return pd.Series(group_M).groupby(who[LABEL].where(who[LABEL] != "").to_numpy()).nunique()


def score_treatments(features_MF: np.ndarray, label_M: np.ndarray, fold_M: np.ndarray, k: int, *, whole: bool) -> Scores:
    """Return the scores of all rows, each named by what its fold did not train; `whole`: by the linear layer too."""
    linear_M, near_M = np.full_like(label_M, ""), np.full_like(label_M, "")
    for fold in np.unique(fold_M):
        test_M = fold_M == fold
        train_TF, test_QF = prepared(features_MF, ~test_M)
        if whole:
            linear_M[test_M] = linear(train_TF, label_M[~test_M], test_QF)
        near_M[test_M] = neighbours(train_TF, label_M[~test_M], test_QF, k)
    of_linear = {"linear_accuracy": float(np.mean(linear_M == label_M)), "linear_f1": macro_f1(label_M, linear_M)}
    return (of_linear if whole else {}) | {"neighbours_f1": macro_f1(label_M, near_M)}


def shuffle_wells(label_M: np.ndarray, plate_M: np.ndarray, well_M: np.ndarray, seed: int) -> np.ndarray:
    """Return the labels with the wells of each plate shuffled: the rows of a well keep one label between them."""
    rng, shuffled_M = np.random.default_rng(seed), label_M.copy()
    for plate in np.unique(plate_M):
        here_M = plate_M == plate
        _, first, place = np.unique(well_M[here_M], return_index=True, return_inverse=True)
        shuffled_M[here_M] = label_M[here_M][first][rng.permutation(len(first))][place]
    return shuffled_M


def runs_of(
    score: Callable[[np.ndarray, int, bool], Scores], variants: Variants, seeds: Sequence[int], label: str
) -> dict[str, dict[str, Any]]:
    """Return mean, SD and every run of each score: {name of the score: {variant: {"mean", "sd", "runs"}}}.

    The variants are those given and "shuffled": the first of them with shuffled labels, for the first seeds.
    """
    first, shuffles = next(iter(variants)), seeds[:SHUFFLES]
    found: dict[str, list[Scores]] = {}
    with progress(total=len(variants) * len(seeds) + len(shuffles), label=label, unit="run") as bar:
        for name, chosen, shuffled in (*((name, seeds, False) for name in variants), (SHUFFLED, shuffles, True)):
            found[name] = []
            for seed in chosen:
                found[name].append(score(variants[first if shuffled else name], seed, shuffled))
                bar.update()
    return {
        key: {name: summary([run[key] for run in runs if key in run]) for name, runs in found.items() if key in runs[0]}
        for key in found[first][0]
    }


def _drawn(rows: np.ndarray, seed: int) -> np.ndarray:
    return rows if len(rows) <= MOST_ROWS else np.sort(np.random.default_rng(seed).choice(rows, MOST_ROWS, replace=False))


def _partition(fold_M: np.ndarray) -> bytes:
    """Return folds under names that depend on which rows are together alone."""
    return np.unique(fold_M, return_index=True)[1][np.unique(fold_M, return_inverse=True)[1]].tobytes()
