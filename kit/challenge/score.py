"""k-NN accuracy of compounds, or any labels, within and across cell lines, or any groups, on held-out plates.

The challenge states the four directions, five folds by plate and that DMSO is left out. It does not state k, metric or tie
rule: these are options, recorded in score.json.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl

from kit.challenge.columns import LINE, Tables, read_tables, short
from kit.challenge.features import Features, from_frame, from_profiles, read_features
from kit.challenge.folds import LINES, Split, all_directions, count_folds, make_splits, why_not
from kit.challenge.ids import read_ids
from kit.challenge.labels import Labelled, Wanted, label_wells
from kit.challenge.score_text import scores_text
from kit.errors import KitError, UsageError
from kit.files import write_whole
from kit.images.metadata import Metadata
from kit.neighbours import distances, gram, nearest, vote
from kit.profiles.table import PLATE, WELL, Profiles

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
    ties: str = "sklearn",
    cross: str = "holdout",
    folds: int = 5,
    seeds: int = 1,
) -> dict[str, Any]:
    """Return what score.json holds: of one feature set, or of several files as {"schema": 1, "files": {path: object}}.

    Args:
        source: a parquet or CSV file, a folder of them, a table with Metadata_Plate and Metadata_Well, profiles, or several
            files; `together` makes these one feature set.
        metadata: folder of the official tables, or the wells of a work folder. labels: a lab's table instead, with plate, well
            (or row and column) and further columns. Without either, labels and groups are the source's own Metadata_ columns.
        ids: metadata_test.csv; only its wells count. Without it, all treated wells of the source.
        label, group, perturbation, control: columns of these, see `Wanted` and `label_wells`.
        k, metric, ties, cross, folds: see `Rules`. seeds: ways to deal plates into folds, 0 to seeds - 1.

    Raises:
        KitError: features that cannot be used or joined, see `read_features` and `label_wells`. UsageError: bad options.
    """
    rules = Rules(k=k, metric=metric, ties=ties, cross=cross, folds=folds, seeds=seeds)
    wanted = Wanted(label=label, group=group, perturbation=perturbation, control=control)
    tables = read_tables(metadata, labels)
    id_table = read_ids(ids) if ids is not None else None
    if isinstance(source, Path | str | pd.DataFrame | Profiles):
        return _score_features(_features(source, id_table), tables, wanted, rules)
    paths = [Path(path) for path in source]
    if together or len(paths) == 1:
        return _score_features(read_features(paths, id_table), tables, wanted, rules)
    scores, lone = {}, True
    for path in paths:
        features = read_features(path, id_table)
        scores[str(path)] = _score_features(features, tables, wanted, rules)
        lone &= features.who[PLATE].nunique() == 1
    return {"schema": 1, "files": scores, **({"notes": [_TOGETHER]} if lone else {})}


def write_scores(scores: dict[str, Any], path: Path) -> None:
    """Write score.json."""
    write_whole(path, json.dumps(scores, indent=1) + "\n")


@dataclass(frozen=True, kw_only=True, slots=True)
class Rules:
    """How neighbours vote and plates are dealt; see `neighbours.vote` (ties) and `folds.make_splits` (cross)."""

    k: int = 5
    metric: str = "cosine"
    ties: str = "sklearn"
    cross: str = "holdout"
    folds: int = 5
    seeds: int = 1

    def __post_init__(self) -> None:
        for name, least in (("k", 1), ("folds", 2), ("seeds", 1)):
            if getattr(self, name) < least:
                raise UsageError(f"--{name} {getattr(self, name)}: need at least {least}")
        allowed = {"metric": ("cosine", "euclidean"), "ties": ("sklearn", "nearest"), "cross": ("holdout", "all")}
        for name, values in allowed.items():
            if getattr(self, name) not in values:
                raise UsageError(f"--{name} {getattr(self, name)}: need {' or '.join(values)}")


def _features(source: Source, ids: pd.DataFrame | None) -> Features:
    if isinstance(source, Profiles):
        return from_profiles(source, ids)
    if isinstance(source, pd.DataFrame):
        return from_frame(pl.from_pandas(source), "the table", ids)
    return read_features(Path(source), ids)


def _score_features(features: Features, tables: Tables, wanted: Wanted, rules: Rules) -> dict[str, Any]:
    labelled = label_wells(features.who, tables, wanted, features.recorded, features.called)
    scored = labelled.scored.sort_values([PLATE, WELL])  # of equal distances the first counts: the order of rows must not matter
    if scored.empty:
        raise KitError(_why_none(labelled))
    classes, label_M = np.unique(scored["label"].to_numpy(dtype=str), return_inverse=True)
    plates, groups = scored[PLATE].to_numpy(dtype=str), scored["group"].to_numpy(dtype=str)
    plates_of = {group: set(plates[groups == group]) for group in labelled.groups}
    distance_MM = distances(gram(features.features_MF[scored.index]), rules.metric)
    noun = "cell line" if labelled.group == short(LINE) else "group"
    directions = {}
    for direction in all_directions(labelled.groups):
        reason = why_not(plates_of, direction, rules.cross, noun)
        n_folds = count_folds(plates_of, direction, rules.folds)
        splits = (
            [] if reason else [make_splits(plates, groups, direction, n_folds, seed, rules.cross) for seed in range(rules.seeds)]
        )
        if not labelled.is_challenge:  # of whose directions none may go missing for a small fold
            reason = reason or _why_small(splits, label_M, rules.k)
        directions["->".join(direction)] = (
            {"accuracy": None, "reason": reason} if reason else _score_direction(distance_MM, label_M, direction, splits, rules)
        )
    return _summary(directions, len(classes), rules, features, labelled)


def _why_none(labelled: Labelled) -> str:
    said = [note for note in labelled.notes if note.endswith("left out")]
    return f"no compound well among the features: nothing to score{''.join(f'; {note}' for note in said)}"


def _why_small(splits: list[list[Split]], label_M: np.ndarray, k: int) -> str:
    """Return why a direction with splits says nothing: one label trains, or none that is tested, or fewer wells than k."""
    folds = [split for of_seed in splits for split in of_seed]
    if not any(np.isin(label_M[split.test], label_M[split.train]).any() for split in folds):
        return "no label of a tested well is on another plate that trains: none can be recognised"
    if folds and all(len(np.unique(label_M[split.train])) == 1 for split in folds):
        return "all wells that train have one label: nothing to tell apart"
    fewest = min(len(split.train) for split in folds)
    return f"a fold has only {fewest} training wells: use a smaller --k than {k}" if fewest < k else ""


def _score_direction(
    distance_MM: np.ndarray, label_M: np.ndarray, direction: tuple[str, str], splits: list[list[Split]], rules: Rules
) -> dict[str, Any]:
    """Return what score.json holds of a direction; `splits` are those of each seed.

    Raises:
        KitError: a fold trains on fewer wells than k.
    """
    fewest = min(len(split.train) for folds in splits for split in folds)
    if rules.k > fewest:
        raise KitError(f"--k {rules.k}: {'->'.join(direction)} has a fold with only {fewest} training wells; use a smaller k")
    per_seed = [[_accuracy(distance_MM, label_M, split, rules) for split in folds] for folds in splits]
    of_seed = [float(np.mean(accuracies)) for accuracies in per_seed]
    return {
        "accuracy": float(np.mean(of_seed)),
        "sd": float(np.std(of_seed, ddof=1)) if len(of_seed) > 1 else None,
        "n_test": sum(len(split.test) for split in splits[-1]),
        "n_folds": len(splits[-1]),
        "folds": per_seed,
    }


def _accuracy(distance_MM: np.ndarray, label_M: np.ndarray, split: Split, rules: Rules) -> float:
    neighbours_Qk = nearest(distance_MM[np.ix_(split.test, split.train)], rules.k)
    return float((vote(label_M[split.train][neighbours_Qk], rules.ties) == label_M[split.test]).mean())


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
        "n_folds": min((directions[name]["n_folds"] for name in done), default=rules.folds),
        "seeds": rules.seeds,
        "n_classes": n_classes,
        "n_features": len(features.names),
        "wells": _count_wells(labelled),
        "uses_well_position": features.uses_well_position,
        "mean": float(np.mean([directions[name]["accuracy"] for name in done])) if done else None,
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
