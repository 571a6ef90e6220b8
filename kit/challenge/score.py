"""k-NN accuracy of compounds, or any labels, within and across cell lines, or any groups, on held-out plates.

The challenge states the four directions, five folds by plate and that DMSO is left out. It does not state k, metric or tie
rule: these are options, recorded in score.json.
"""

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl

from kit.challenge.all_rules import score_all_rules
from kit.challenge.columns import LINE, Tables, read_tables, short
from kit.challenge.comparison import compare, tested_wells
from kit.challenge.directions import Neighbourhood, mean_of
from kit.challenge.features import Features, from_frame, from_profiles, read_features
from kit.challenge.folds import LINES
from kit.challenge.ids import read_ids
from kit.challenge.labels import Labelled, Wanted, label_wells
from kit.challenge.rules import Rules
from kit.challenge.score_text import scores_text
from kit.challenge.sections import Scored, Section
from kit.challenge.wells import Wells
from kit.errors import KitError
from kit.files import write_whole
from kit.images.metadata import Metadata
from kit.neighbours import Gram
from kit.profiles.table import PLATE, Profiles
from kit.words import some

__all__ = ["Rules", "score", "scores_text", "write_scores"]

Source = Path | str | pd.DataFrame | Profiles
_TOGETHER = "each file holds one plate, so none has another to train on: add --together to score the files as one set"


def score(
    source: Source | Sequence[Path | str],
    metadata: Path | str | Metadata | pd.DataFrame | None = None,
    *,
    ids: Path | None = None,
    labels: Path | str | None = None,
    perturbation: str | None = None,
    control: str | None = None,
    label: str | None = None,
    group: str | None = None,
    together: bool = False,
    k: int = 5,
    metric: str = "cosine",
    votes: str = "uniform",
    ties: str = "sklearn",
    cross: str = "holdout",
    folds: int = 5,
    seeds: int = 1,
    stratified: bool = False,
    all_rules: bool = False,
    sections: Sequence[Section] = (),
) -> dict[str, Any]:
    """Return what score.json holds: of one feature set, or of several files as {"schema": 1, "files": {path: object}}.

    Args:
        source: a parquet or CSV file, a folder of them, a table with Metadata_Plate and Metadata_Well, profiles, or several
            files; `together` makes these one feature set.
        metadata: folder of the official tables, or the wells of a work folder. labels: a lab's table instead, with plate, well
            (or row and column) and further columns. Without either, labels and groups are the source's own Metadata_ columns.
        ids: metadata_test.csv; only its wells count. Without it, all treated wells of the source.
        label, group, perturbation, control: columns of these, see `Wanted` and `label_wells`.
        k, metric, votes, ties, cross, folds, stratified: see `Rules`. seeds: ways to deal plates into folds, 0 to seeds - 1.
        all_rules: also score under every rule that the challenge leaves open, see `score_all_rules`.
        sections: what else to say of each feature set, see `kit.challenge.sections`.

    Raises:
        KitError: features that cannot be used or joined, see `read_features` and `label_wells`. UsageError: bad options.
    """
    rules = Rules(k=k, metric=metric, votes=votes, ties=ties, cross=cross, folds=folds, seeds=seeds, stratified=stratified)
    wanted = Wanted(label=label, group=group, perturbation=perturbation, control=control)
    tables = read_tables(metadata, labels)
    id_table = read_ids(ids) if ids is not None else None
    asked = _Asked(ids=id_table, tables=tables, wanted=wanted, rules=rules, all_rules=all_rules, sections=sections)
    if isinstance(source, Path | str | pd.DataFrame | Profiles):
        return asked.score(source, _features(source, id_table))[0]
    paths = [Path(path) for path in source]
    if together or len(paths) == 1:
        return asked.score(paths, read_features(paths, id_table))[0]
    scores, tested, lone = {}, {}, True
    for path in paths:
        features = read_features(path, id_table)
        scores[str(path)], found = asked.score(path, features)
        tested[str(path)] = tested_wells(found)
        lone &= features.who[PLATE].nunique() == 1
    return {"schema": 1, "files": scores, "comparison": compare(tested), **({"notes": [_TOGETHER]} if lone else {})}


def write_scores(scores: dict[str, Any], path: Path) -> None:
    """Write score.json."""
    write_whole(path, json.dumps(scores, indent=1) + "\n")


def _features(source: Source, ids: pd.DataFrame | None) -> Features:
    if isinstance(source, Profiles):
        return from_profiles(source, ids)
    if isinstance(source, pd.DataFrame):
        return from_frame(pl.from_pandas(source), "the table", ids)
    return read_features(Path(source), ids)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Asked:
    """What to say of each feature set."""

    ids: pd.DataFrame | None
    tables: Tables
    wanted: Wanted
    rules: Rules
    all_rules: bool
    sections: Sequence[Section]

    def score(self, source: Any, features: Features) -> tuple[dict[str, Any], Neighbourhood]:
        """Return what score.json holds of a feature set, and the neighbours of its wells."""
        labelled = label_wells(features.who, self.tables, self.wanted, features.recorded, features.called)
        if labelled.scored.empty:
            raise KitError(_why_none(labelled))
        wells = Wells.of(labelled, "cell line" if labelled.group == short(LINE) else "group")
        gram = Gram.of(features.features_MF[wells.row_M], exact=self.all_rules)
        found = Neighbourhood.of(wells, gram, self.rules)
        scored_MF = features.features_MF[wells.row_M[wells.scored_M]]
        alike = _alike(scored_MF) + _constant(scored_MF, features.names, self.rules.metric)
        labelled = replace(labelled, notes=(*labelled.notes, *alike))
        result = _summary(found.directions(), len(wells.classes), self.rules, features, labelled)
        if self.all_rules:
            result["all_rules"] = score_all_rules(wells, gram, self.rules)
        scored = Scored(
            source=source, ids=self.ids, features=features, labelled=labelled, tables=self.tables, wanted=self.wanted,
            wells=wells, gram=gram, found=found, rules=self.rules, result=result,
        )  # fmt: skip
        for section in self.sections:
            result = result | section.make(scored)
        return result, found


def _alike(features_MF: np.ndarray) -> list[str]:
    """Return what to say of wells whose features are the same to the bit: they are neighbours by their place in the table."""
    times = Counter(hash(row.tobytes()) for row in features_MF)
    alike = sum(n for n in times.values() if n > 1)
    if not alike:
        return []
    which = f"all {len(features_MF)} wells" if len(times) == 1 else f"{alike} of {len(features_MF)} wells"
    of = "the same features" if len(times) == 1 else "the same features as another well"
    return [f"{which} have {of}: of equal distances the first plate and well counts, so that their score says nothing"]


def _constant(features_MF: np.ndarray, names: Sequence[str], metric: str) -> list[str]:
    """Return what to say of features with one value in all wells, where not all are such."""
    first_F = features_MF[0]
    maybe = np.flatnonzero(first_F == features_MF[-1])
    found = maybe[(features_MF[:, maybe] == first_F[maybe]).all(axis=0)]
    if not 0 < len(found) < len(names):
        return []
    verb, they = ("has", "it tells nothing") if len(found) == 1 else ("have", "they tell nothing")
    moves = f"; {they}, but the cosines depend on it" if metric == "cosine" and first_F[found].any() else ""
    which = some([names[at] for at in found], 3)
    return [f"{len(found):,} of {len(names):,} features {verb} one value in all wells ({which}){moves}"]


def _why_none(labelled: Labelled) -> str:
    said = [note for note in labelled.notes if note.endswith("left out")]
    return f"no compound well among the features: nothing to score{''.join(f'; {note}' for note in said)}"


def _summary(
    directions: dict[str, dict[str, Any]], n_classes: int, rules: Rules, features: Features, labelled: Labelled
) -> dict[str, Any]:
    done = [name for name, result in directions.items() if result["accuracy"] is not None]
    return {
        "schema": 1,
        "chance": 1 / n_classes,
        "k": rules.k,
        "metric": rules.metric,
        "label": labelled.label,
        **({} if labelled.is_challenge else {"group": labelled.group or None, "labels": labelled.source}),
        "ties": rules.ties,
        "cross": rules.cross,
        "votes": rules.votes,
        "stratified": rules.stratified,
        "n_folds": min((directions[name]["n_folds"] for name in done), default=rules.folds),
        "seeds": rules.seeds,
        "n_classes": n_classes,
        "n_features": len(features.names),
        "wells": _count_wells(labelled),
        "uses_well_position": features.uses_well_position,
        "mean": mean_of(directions),
        "mean_of": done,
        **({"notes": list(labelled.notes)} if labelled.notes else {}),
        "directions": directions,
    }


def _count_wells(labelled: Labelled) -> dict[str, int | None]:
    """Return how many wells are scored, and how many are left out, by reason; `controls` is null where they are not known."""
    wells, scored = labelled.wells, len(labelled.scored)
    controls = int(wells["is_control"].sum())
    if labelled.is_challenge:
        others = int((~wells["group"].isin(LINES)).sum())
        counts: dict[str, int | None] = {"scored": scored, "dmso": controls, "of_other_lines": others}
        return counts | ({"unlabelled": len(wells) - scored - controls} if len(wells) > scored + controls else {})
    unlabelled = int((~wells["is_control"] & (wells["label"] == "")).sum())
    return {
        "scored": scored,
        "controls": controls if labelled.controls_known else None,
        "unlabelled": unlabelled,
        "ungrouped": len(wells) - scored - controls - unlabelled,
    }
