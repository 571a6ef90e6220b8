"""Every perturbation of some wells: how often its wells are recognised, its mAP, and the wells nearest to it.

M wells, Q queries.
"""

from functools import partial

import numpy as np
import pandas as pd

from kit.challenge.wells import NONE, Wells
from kit.measures.activity import activity
from kit.measures.retrieval import Rule, retrieve
from kit.neighbours import Gram

COLUMNS = ("label", "wells", "accuracy", "map", "active", "measured")


def by_perturbation(wells: Wells, gram: Gram, metric: str, share_M: np.ndarray, rule: Rule | None = None) -> pd.DataFrame:
    """Return a row per label, in order of the label.

    wells: how many. accuracy: mean over its tested wells of how often each is recognised; NaN where none was tested. map: mAP of
    activity against the controls of the same plate, mean over groups; NaN without controls or replicates. active, measured: in
    how many groups it is retrieved, and in how many it could be measured.

    Args:
        gram: a row for each of the wells. share_M: how often each well is recognised, 0 to 1; NaN for one that is not tested.
        rule: what counts as retrieved; None: as `kit score`.
    """
    scored_M = wells.scored_M
    rows = pd.DataFrame({"label": np.array(wells.classes)[wells.label_M[scored_M]], "share": share_M[scored_M]})
    by_label = rows.groupby("label")["share"]
    found = pd.DataFrame({"wells": by_label.size(), "accuracy": by_label.mean()}).rename_axis("label").reset_index()
    groups = [retrieved for group in wells.groups if len(retrieved := _activity(wells, gram, metric, group, rule or Rule()))]
    measured = pd.concat(groups) if groups else pd.DataFrame(columns=["label", "mean_average_precision", "retrieved"])
    of_label = measured.groupby("label")
    found["map"] = found["label"].map(of_label["mean_average_precision"].mean()).astype("float64")
    for name, numbers in (("active", of_label["retrieved"].sum()), ("measured", of_label.size())):
        found[name] = found["label"].map(numbers).fillna(0).astype("int64")
    return found[list(COLUMNS)]


def typical_wells(wells: Wells, gram: Gram, metric: str, labels: list[str]) -> np.ndarray:
    """Return for each label the well that is nearest to its other wells, a number of the M wells; int64."""
    code_of = {label: code for code, label in enumerate(wells.classes)}
    chosen = []
    for label in labels:
        rows = np.flatnonzero(wells.label_M == code_of[label])
        chosen.append(rows[int(gram.distances(rows, rows, metric).mean(axis=1).argmin())])
    return np.array(chosen, dtype=np.int64)


def nearest_wells(wells: Wells, gram: Gram, metric: str, query_Q: np.ndarray, k: int) -> np.ndarray:
    """Return the k nearest treated wells on other plates, numbers of the M wells, int64 [Q, k], nearest first.

    Where all wells are on one plate, they are on that one. k is lowered to the number of wells there are.
    """
    code_M = wells.plate_code_M if len(set(wells.plate_M)) > 1 else np.arange(len(wells))
    train_T = np.flatnonzero(wells.label_M != NONE)
    others_Q = len(train_T) - np.array([(code_M[train_T] == code_M[query]).sum() for query in query_Q], dtype=np.int64)
    k = min(k, int(others_Q.min(initial=len(train_T))))
    if k < 1 or not len(query_Q):
        return np.empty((len(query_Q), 0), dtype=np.int64)
    return gram.nearest(query_Q, train_T, k, metric, apart=[code_M]).rows_Qk


def _activity(wells: Wells, gram: Gram, metric: str, group: str, rule: Rule) -> pd.DataFrame:
    classes = np.array([*wells.classes, ""])  # NONE is -1
    label_M = np.where(wells.group_M == group, classes[wells.label_M], "")
    queries = activity(partial(gram.distances, metric=metric), label_M, wells.plate_M, wells.is_control_M)
    return retrieve(queries, rule) if len(queries) else pd.DataFrame()
