"""k-NN compound accuracy within and across cell lines, on held-out plates.

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

from kit.challenge.features import Features, from_frame, from_profiles, read_features
from kit.challenge.folds import DIRECTIONS, LINES, Split, count_folds, make_splits, why_not
from kit.challenge.ids import read_ids
from kit.challenge.labels import label_wells
from kit.challenge.score_text import scores_text
from kit.errors import KitError, UsageError
from kit.files import write_whole
from kit.images.metadata import Metadata, read_metadata
from kit.neighbours import distances, gram, nearest, vote
from kit.profiles.table import PLATE, WELL, Profiles

__all__ = ["Rules", "score", "score_files", "scores_text", "write_scores"]


def score(
    source: Path | str | pd.DataFrame | Profiles,
    metadata: Path | str | Metadata | pd.DataFrame,
    *,
    ids: Path | None = None,
    k: int = 5,
    metric: str = "cosine",
    label: str = "broad_sample",
    ties: str = "sklearn",
    cross: str = "holdout",
    folds: int = 5,
    seeds: int = 1,
) -> dict[str, Any]:
    """Return what score.json holds for one feature set.

    Args:
        source: a parquet or CSV file, a folder of them, a table with Metadata_Plate and Metadata_Well, or profiles.
        metadata: folder of the official tables, or the wells of a work folder; cell line and compound come from there.
        ids: metadata_test.csv; only its wells count. Without it, all compound wells of the source.
        k, metric, label, ties, cross, folds: see `Rules`. seeds: ways to deal plates into folds, 0 to seeds - 1.

    Raises:
        KitError: features that cannot be used or joined, see `read_features` and `label_wells`. UsageError: bad options.
    """
    rules = Rules(k=k, metric=metric, ties=ties, cross=cross, folds=folds, seeds=seeds)
    table = read_ids(ids) if ids is not None else None
    return _score_features(_features(source, table), metadata, label, rules)


def score_files(
    files: Sequence[Path], metadata: Path, *, ids: Path | None = None, label: str = "broad_sample", **rules: Any
) -> dict[str, Any]:
    """Return what score.json holds: one object for one file, else {"schema": 1, "files": {path: object}}."""
    tables = read_metadata(metadata)
    scores = {str(path): score(path, tables, ids=ids, label=label, **rules) for path in files}
    return next(iter(scores.values())) if len(files) == 1 else {"schema": 1, "files": scores}


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


def _features(source: Path | str | pd.DataFrame | Profiles, ids: pd.DataFrame | None) -> Features:
    if isinstance(source, Profiles):
        return from_profiles(source, ids)
    if isinstance(source, pd.DataFrame):
        return from_frame(pl.from_pandas(source), "the table", ids)
    return read_features(Path(source), ids)


def _score_features(
    features: Features, metadata: Path | str | Metadata | pd.DataFrame, label: str, rules: Rules
) -> dict[str, Any]:
    if label not in ("broad_sample", "pert_iname", "inchikey"):
        raise UsageError(f"--label {label}: need broad_sample, pert_iname or inchikey")
    wells = label_wells(features.who, metadata, label)
    scored = wells[~wells["is_control"] & wells["line"].isin(LINES)]
    scored = scored.sort_values([PLATE, WELL])  # of equal distances the first counts: the order of rows must not matter
    if scored.empty:
        raise KitError("no compound well of U2OS or A549 plates among the features: nothing to score")
    classes, label_M = np.unique(scored["label"].to_numpy(dtype=str), return_inverse=True)
    plates, lines = scored[PLATE].to_numpy(dtype=str), scored["line"].to_numpy(dtype=str)
    plates_of_line = {line: len(np.unique(plates[lines == line])) for line in LINES}
    distance_MM = distances(gram(features.features_MF[scored.index]), rules.metric)
    directions = {}
    for direction in DIRECTIONS:
        reason = why_not(plates_of_line, direction, rules.cross)
        n_folds = count_folds(plates_of_line, direction, rules.folds)
        directions["->".join(direction)] = (
            {"accuracy": None, "reason": reason}
            if reason
            else _score_direction(distance_MM, label_M, plates, lines, direction, n_folds, rules)
        )
    return _summary(directions, len(classes), label, rules, features, wells, scored)


def _score_direction(
    distance_MM: np.ndarray,
    label_M: np.ndarray,
    plates: np.ndarray,
    lines: np.ndarray,
    direction: tuple[str, str],
    n_folds: int,
    rules: Rules,
) -> dict[str, Any]:
    per_seed, n_test = [], 0
    for seed in range(rules.seeds):
        splits = make_splits(plates, lines, direction, n_folds, seed, rules.cross)
        fewest = min(len(split.train) for split in splits)
        if rules.k > fewest:
            raise KitError(f"--k {rules.k}: {'->'.join(direction)} has a fold with only {fewest} training wells; use a smaller k")
        per_seed.append([_accuracy(distance_MM, label_M, split, rules) for split in splits])
        n_test = sum(len(split.test) for split in splits)
    of_seed = [float(np.mean(accuracies)) for accuracies in per_seed]
    return {
        "accuracy": float(np.mean(of_seed)),
        "sd": float(np.std(of_seed, ddof=1)) if len(of_seed) > 1 else None,
        "n_test": n_test,
        "n_folds": n_folds,
        "folds": per_seed,
    }


def _accuracy(distance_MM: np.ndarray, label_M: np.ndarray, split: Split, rules: Rules) -> float:
    neighbours_Qk = nearest(distance_MM[np.ix_(split.test, split.train)], rules.k)
    return float((vote(label_M[split.train][neighbours_Qk], rules.ties) == label_M[split.test]).mean())


def _summary(
    directions: dict[str, dict[str, Any]],
    n_classes: int,
    label: str,
    rules: Rules,
    features: Features,
    wells: pd.DataFrame,
    scored: pd.DataFrame,
) -> dict[str, Any]:
    done = [name for name, result in directions.items() if result["accuracy"] is not None]
    return {
        "schema": 1,
        "chance": 1 / n_classes,
        "k": rules.k,
        "metric": rules.metric,
        "label": label,
        "ties": rules.ties,
        "cross": rules.cross,
        "n_folds": min((directions[name]["n_folds"] for name in done), default=rules.folds),
        "seeds": rules.seeds,
        "n_classes": n_classes,
        "n_features": len(features.names),
        "wells": {
            "scored": len(scored),
            "dmso": int(wells["is_control"].sum()),
            "of_other_lines": int((~wells["line"].isin(LINES)).sum()),
        },
        "uses_well_position": features.uses_well_position,
        "mean": float(np.mean([directions[name]["accuracy"] for name in done])) if done else None,
        "mean_of": done,
        "directions": directions,
    }
