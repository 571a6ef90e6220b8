"""Mean average precision beside the accuracies of `kit score`: an entry of score.json and lines of the output.

M wells of the Gram: those that are scored, the controls, and whatever else the features have.
"""

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from kit.challenge.sections import Scored
from kit.challenge.wells import NONE, Wells
from kit.companions.board import NO_CONTROLS, Board, lay_out
from kit.measures.activity import activity
from kit.measures.consistency import consensus, consistency, split_targets
from kit.measures.null import NullRule
from kit.measures.retrieval import Rule, retrieve
from kit.measures.targets import Targets, find_targets
from kit.measures.text import lines_of
from kit.neighbours import Gram
from kit.words import count

Entry = dict[str, Any]


@dataclass(frozen=True, kw_only=True, slots=True)
class Measures:
    """Phenotypic activity and consistency of each group, see `kit.challenge.sections`.

    null: see `NullRule.queries`. target: the column of the targets, see `find_targets`. rate: false discovery rate.
    profiles: what a scored challenge CSV was made from, which has the controls, see `board.lay_out`.
    """

    null: str = "shared"
    target: str | None = None
    rate: float = 0.05
    profiles: Path | None = None

    @property
    def keys(self) -> tuple[str, ...]:
        return ("map",)

    def make(self, scored: Scored) -> dict[str, Any]:
        """Return {"map": {"activity": {group: entry}, "consistency": {group: entry}, and how they were measured}}.

        An entry is {"value": mean of mAP, "retrieved": share, ...} or {"value": null, "reason": text}.
        """
        rule = Rule(null=NullRule(queries=self.null), rate=self.rate)
        targets = find_targets(scored, self.target)
        board = lay_out(scored, self.profiles)
        found: dict[str, dict[str, Entry]] = {"activity": {}, "consistency": {}}
        for group in scored.wells.groups:
            means = self._activity(scored, board, group, rule)
            found["activity"][group] = means if isinstance(means, dict) else _entry(means, "compounds")
            found["consistency"][group] = self._consistency(scored, group, targets, means, rule)
        how = {"metric": scored.rules.metric, "null": rule.null.text(), "rate": rule.rate, "target": targets.name or None}
        return {"map": how | found}

    def lines(self, result: dict[str, Any]) -> list[str]:
        """Return a line for each entry, and how they were measured."""
        return lines_of(result["map"], uses_well_position=bool(result["uses_well_position"]))

    def _activity(self, scored: Scored, board: Board, group: str, rule: Rule) -> pd.DataFrame | Entry:
        wells = board.wells
        label_M = _labels(wells, group)
        if reason := _why_not(scored, board, label_M, group):
            return _none(reason)
        between = partial(board.gram.distances, metric=scored.rules.metric)
        queries = activity(between, label_M, wells.plate_M, wells.is_control_M)
        return retrieve(queries, rule) if len(queries) else _none(_why_no_query(wells, label_M))

    def _consistency(self, scored: Scored, group: str, targets: Targets, means: pd.DataFrame | Entry, rule: Rule) -> Entry:
        if isinstance(means, dict):
            return _none("which compounds are active is not known")
        if not targets.name:
            return _none("no column of targets: --target COLUMN names one, such as a target or mechanism")
        active = means["label"][means["retrieved"]].to_numpy(dtype=str)
        if not len(active):
            return _none("no compound is retrieved")
        label_M = np.full(len(scored.features.who), "", dtype=object)
        label_M[scored.wells.row_M] = _labels(scored.wells, group)
        label_M[~np.isin(label_M.astype(str), active)] = ""
        labels, median_LF = consensus(scored.features.features_MF, label_M.astype(str))
        of_label = [frozenset().union(*split_targets(targets.text_M[label_M == label])) for label in labels]
        between = partial(Gram.of(median_LF).distances, metric=scored.rules.metric)
        queries = consistency(between, of_label)
        if queries.empty:
            return _none(f"no two of {count(len(labels), 'retrieved compound')} share a {targets.name} that not all of them have")
        return _entry(retrieve(queries, rule), "targets") | {"compounds": len(labels)}


def _labels(wells: Wells, group: str) -> np.ndarray:
    """Return the label of each scored well of the group, "" elsewhere, text [M]."""
    classes = np.array([*wells.classes, ""])  # NONE is -1
    return np.where((wells.group_M == group) & (wells.label_M != NONE), classes[wells.label_M], "")


def _entry(means: pd.DataFrame, noun: str) -> Entry:
    retrieved = means["retrieved"]
    return {
        "value": float(means["mean_average_precision"].mean()),
        "retrieved": float(retrieved.mean()),
        noun: len(means),
        "queries": int(means["queries"].sum()),
    }


def _none(reason: str) -> Entry:
    return {"value": None, "reason": reason}


def _why_not(scored: Scored, board: Board, label_M: np.ndarray, group: str) -> str:
    """Return why there is no activity, in words; empty where it can be measured."""
    if not (label_M != "").any():
        return f"no {group} compound wells among the features"
    if not board.wells.is_control_M.any():
        unknown = board.no_controls == NO_CONTROLS and not scored.labelled.controls_known
        return board.no_controls + (": --control VALUE names the control" if unknown else "")
    wells, features_MF = scored.wells, scored.features.features_MF
    if all(np.array_equal(features_MF[row], features_MF[wells.row_M[0]]) for row in wells.row_M):
        return "every well has the same features"
    return ""


def _why_no_query(wells: Wells, label_M: np.ndarray) -> str:
    treated = label_M != ""
    if not np.isin(wells.plate_M[treated], wells.plate_M[wells.is_control_M]).any():
        return "no plate with compound wells has a control well"
    return "no compound has two wells"
