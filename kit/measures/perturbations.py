"""Every perturbation of a scored feature set: how often its wells are recognised, its mAP, and the wells nearest to it.

M wells of the score, Q queries.
"""

import numpy as np
import pandas as pd

from kit.challenge.by_label import ByLabel
from kit.challenge.sections import Scored
from kit.challenge.wells import NONE
from kit.measures.activity import activity
from kit.measures.retrieval import Rule, retrieve

COLUMNS = ("label", "wells", "accuracy", "map", "active", "measured")


def by_perturbation(scored: Scored, rule: Rule | None = None) -> pd.DataFrame:
    """Return a row per label, in order of the label.

    wells: how many. accuracy: share of its tested wells that are recognised, mean over directions; NaN where none was tested.
    map: mAP of activity against the controls of the same plate, mean over groups; NaN without controls or replicates. active,
    measured: in how many groups it is retrieved, and in how many it could be measured.
    """
    wells = scored.wells
    found = pd.DataFrame(
        {"label": wells.classes, "wells": np.bincount(wells.label_M[wells.scored_M], minlength=len(wells.classes))}
    )
    found["accuracy"] = found["label"].map(ByLabel().make(scored)["by_label"]).astype("float64")
    groups = [retrieved for group in wells.groups if len(retrieved := _activity(scored, group, rule or Rule()))]
    measured = pd.concat(groups) if groups else pd.DataFrame(columns=["label", "mean_average_precision", "retrieved"])
    by_label = measured.groupby("label")
    found["map"] = found["label"].map(by_label["mean_average_precision"].mean()).astype("float64")
    for name, numbers in (("active", by_label["retrieved"].sum()), ("measured", by_label.size())):
        found[name] = found["label"].map(numbers).fillna(0).astype("int64")
    return found[list(COLUMNS)]


def typical_wells(scored: Scored, labels: list[str]) -> np.ndarray:
    """Return for each label the well that is nearest to its other wells, a number of the M wells; int64."""
    wells, chosen = scored.wells, []
    for label in labels:
        rows = np.flatnonzero(wells.label_M == wells.classes.index(label))
        distance_QQ = scored.gram.distances(rows, rows, scored.rules.metric)
        chosen.append(rows[int(distance_QQ.mean(axis=1).argmin())])
    return np.array(chosen, dtype=np.int64)


def nearest_wells(scored: Scored, query_Q: np.ndarray, k: int) -> np.ndarray:
    """Return the k nearest treated wells on other plates, numbers of the M wells, int64 [Q, k], nearest first.

    Where all wells are on one plate, they are on that one. k is lowered to the number of wells there are.
    """
    wells = scored.wells
    code_M = wells.plate_code_M if len(set(wells.plate_M)) > 1 else np.arange(len(wells))
    train_T = np.flatnonzero(wells.label_M != NONE)
    others_Q = len(train_T) - np.array([(code_M[train_T] == code_M[query]).sum() for query in query_Q], dtype=np.int64)
    k = min(k, int(others_Q.min(initial=len(train_T))))
    if k < 1 or not len(query_Q):
        return np.empty((len(query_Q), 0), dtype=np.int64)
    return scored.gram.nearest(query_Q, train_T, k, scored.rules.metric, apart=[code_M]).rows_Qk


def _activity(scored: Scored, group: str, rule: Rule) -> pd.DataFrame:
    wells = scored.wells
    classes = np.array([*wells.classes, ""])  # NONE is -1
    label_M = np.where(wells.group_M == group, classes[wells.label_M], "")

    def between(rows: np.ndarray, others: np.ndarray) -> np.ndarray:
        return scored.gram.distances(rows, others, scored.rules.metric)

    queries = activity(between, label_M, wells.plate_M, wells.is_control_M)
    return retrieve(queries, rule) if len(queries) else pd.DataFrame()
