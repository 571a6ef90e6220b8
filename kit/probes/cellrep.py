"""CellRep's evaluation: mechanisms named by logistic regression on frozen features, the 40 most frequent of them.

As the paper has it: one class a row, top-1 and the precision weighted by class. It does not say how rows are split, nor what the
features of a row are: here whole treatments (or plates, or wells) are left out in turn, five folds, and a row is a well.
Source: CellRep, section 4.3 and table 1.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from kit.errors import KitError, UsageError
from kit.probes.classify import deal_groups, linear, prepared
from kit.probes.rows import LABEL, MECHANISM, Asked, Rows, read_rows
from kit.probes.tasks import Scores, runs_of
from kit.probes.text import spread
from kit.profiles.table import PLATE, WELL
from kit.words import count

MOST = 40  # mechanisms
RUNS = 5
HOLD_OUT = ("treatments", "plates", "wells")
UNITS = ("wells", "rows")
_NAMES = {"top1": "top-1", "precision": "precision, weighted by class"}
_row = "{:<32} {:>15} {:>8} {:>15}".format


def cellrep(
    files: Sequence[Path],
    metadata: Path | None = None,
    *,
    asked: Asked,
    unit: str = "wells",
    hold_out: str = "treatments",
    most: int = MOST,
    runs: int = RUNS,
    seed: int = 0,
) -> dict[str, Any]:
    """Return the scores of a feature set.

    Keys: column, classes, groups (that are left out in turn), rows, unit, hold_out, treatments, features, dropped, seeds, chance
    (of each score, naming the largest class alone) and scores, see `tasks.runs_of`; "shuffled" are scores with the mechanisms
    shuffled between treatments.

    Args:
        files, metadata, asked: as `cell_dino`; every dose counts.
        unit: the means of wells, or the rows as they are given. hold_out: what is on one side of a split as a whole.
        most: the most frequent mechanisms, by rows. runs: seeds of the folds, from `seed` on.

    Raises:
        UsageError: no such file or column. KitError: features that cannot be used, too few mechanisms.
    """
    for option, value, of in (("--unit", unit, UNITS), ("--hold-out", hold_out, HOLD_OUT)):
        if value not in of:
            raise UsageError(f"{option} {value}: need {' or '.join(of)}")
    given = read_rows(files, metadata, asked, doses=False)
    if not given.columns[MECHANISM]:
        raise UsageError(f"{given.called} has no column of mechanisms: --moa COLUMN names one")
    rows = given.wells() if unit == "wells" else given
    group_R = _groups(rows.who, hold_out)
    kept_R = _most_frequent(rows, group_R, most, hold_out)
    who, features_MF, group_M = rows.who[kept_R], rows.features_RF[kept_R], group_R[kept_R]
    class_M, treatment_M = who[MECHANISM].to_numpy(dtype=str), who[LABEL].to_numpy(dtype=str)

    def score(features_MF: np.ndarray, seed: int, shuffled: bool) -> Scores:
        return score_classes(features_MF, _shuffled(class_M, treatment_M, seed) if shuffled else class_M, group_M, seed)

    seeds = list(range(seed, seed + runs))
    shares = np.unique(class_M, return_counts=True)[1] / len(class_M)
    return {
        "benchmark": "cellrep",
        "column": rows.columns[MECHANISM],
        "classes": len(shares),
        "groups": len(np.unique(group_M)),
        "rows": len(class_M),
        "unit": unit,
        "hold_out": hold_out,
        "treatments": len(np.unique(treatment_M)),
        "features": features_MF.shape[1],
        "dropped": rows.dropped,
        "seeds": seeds,
        "chance": {"top1": float(shares.max()), "precision": float(shares.max() ** 2)},
        "scores": runs_of(score, {"plain": features_MF}, seeds, "mechanism"),
    }


def score_classes(features_MF: np.ndarray, class_M: np.ndarray, group_M: np.ndarray, seed: int) -> Scores:
    """Return top-1 and weighted precision of all rows, each named by a classifier that none of its group trained."""
    from sklearn.metrics import precision_score  # slow to import

    said_M = np.full_like(class_M, "")
    fold_M = deal_groups(class_M, group_M, seed)
    for fold in np.unique(fold_M):
        test_M = fold_M == fold
        train_TF, test_QF = prepared(features_MF, ~test_M)
        said_M[test_M] = linear(train_TF, class_M[~test_M], test_QF)
    labels = np.unique(class_M)
    precision = precision_score(class_M, said_M, labels=labels, average="weighted", zero_division=0)
    return {"top1": float(np.mean(said_M == class_M)), "precision": float(precision)}


def _groups(who: pd.DataFrame, hold_out: str) -> np.ndarray:
    if hold_out == "treatments":
        return who[LABEL].to_numpy(dtype=str)
    return (who[PLATE] if hold_out == "plates" else who[PLATE] + " " + who[WELL]).to_numpy(dtype=str)


def _most_frequent(rows: Rows, group_R: np.ndarray, most: int, hold_out: str) -> np.ndarray:
    """Return which rows have one of the most frequent mechanisms that are in two groups or more, bool [R]."""
    treated = (rows.who[LABEL] != "") & (rows.who[MECHANISM] != "")
    of_class = pd.DataFrame({"class": rows.who[MECHANISM], "group": group_R})[treated].groupby("class")["group"]
    size = of_class.size()[of_class.nunique() > 1]
    if len(size) < 2:
        there = f"; {size.index[0]} alone is" if len(size) else "; none is"
        raise KitError(
            f"{rows.called}: need two mechanisms ({rows.columns[MECHANISM]}) in two {hold_out} each{there}: "
            f"--hold-out takes {', '.join(other for other in HOLD_OUT if other != hold_out)} as well"
        )
    chosen = sorted(size.index, key=lambda name: (-size[name], name))[:most]
    return (treated & rows.who[MECHANISM].isin(chosen)).to_numpy()


def _shuffled(class_M: np.ndarray, treatment_M: np.ndarray, seed: int) -> np.ndarray:
    """Return the classes shuffled between treatments: what is left is a memory for treatments, and no mechanism."""
    _, first_T, place_M = np.unique(treatment_M, return_index=True, return_inverse=True)
    return class_M[first_T][np.random.default_rng(seed).permutation(len(first_T))][place_M]


def cellrep_text(result: dict[str, Any]) -> str:
    """Return a row for each score, then what was read and how it was scored."""
    lines = [_row("CellRep's evaluation", "logistic", "chance", "shuffled")]
    for key, name in _NAMES.items():
        of = {which: spread(summary) for which, summary in result["scores"][key].items()}
        lines.append(_row(name, of["plain"], f"{result['chance'][key]:.3f}", of["shuffled"]))
    gaps = f" ({result['dropped']} with a gap left out)" if result["dropped"] else ""
    return "\n".join([
        *lines,
        f"{result['column']}: the {result['classes']} most frequent, {count(result['treatments'], 'treatment')}, "
        f"{result['rows']:,} {result['unit']}, {count(result['features'], 'feature')}{gaps}",
        f"{result['groups']} {result['hold_out']} left out in turn, five folds; mean ± SD of "
        f"{count(len(result['seeds']), 'run')}, seeds from {result['seeds'][0]} on",
        "chance: the largest class alone is named; shuffled: mechanisms change places between treatments",
    ])  # fmt: skip
