"""Anybody's profiles -> the same steps: CellProfiler's, those of another network, or kit's own of another day. M wells."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from kit.challenge.columns import CONTROL, SAMPLE, Tables, columns_of, read_tables
from kit.challenge.features import from_frame, read_frame
from kit.challenge.ids import placed
from kit.errors import UsageError
from kit.files import file_sha256
from kit.images.labels import OFFICIAL
from kit.profiles.table import PLATE, SITE, WELL, Profiles
from kit.words import count, nearest, some

_NEGATIVE = ("Metadata_control_type", "negcon")  # how the JUMP consortium's tables mark DMSO
log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True, slots=True)
class Source:
    """Files of profiles, a row a well, that are one feature set, and what is known of their wells.

    metadata, labels: tables of the wells, see `columns.read_tables`. perturbation: the column with the classes, control: the
    value of it that is the control; empty: as the files or tables say. plates: only these; all without. drop_missing: leave out
    features with a value that is missing or infinite, which is an error otherwise. shared: leave out those that some files
    lack, likewise. unaligned: the user says that no step before read the well position.
    """

    files: tuple[Path, ...]
    metadata: Path | None = None
    labels: Path | None = None
    perturbation: str | None = None
    control: str | None = None
    plates: Sequence[str] = ()
    drop_missing: bool = False
    shared: bool = False
    unaligned: bool = False


def profiles_from(source: Source) -> Profiles:
    """Return the profiles of files: parquet, CSV, .csv.gz, .h5ad or folders of them; features are named as they are there.

    Controls are the wells with `control`; else those of the tables; else those of Metadata_is_control; else negcon of
    Metadata_control_type; else an empty Metadata_broad_sample.

    Raises:
        UsageError: no such file, column, plate or control. KitError: a well twice, a value that is missing, files that differ.
    """
    tables = read_tables(source.metadata, source.labels)
    paths, frame, facts = read_frame(source.files, shared=source.shared)
    called = some([str(path) for path in source.files])
    frame = placed(frame, called)
    features = from_frame(frame, called, drop=_not_finite if source.drop_missing else None)
    here_M = _of_plates(features.who, source.plates, called)
    who, labels = _labelled(features.who[here_M].reset_index(drop=True), tables, source, facts.get("labels", {}), called)
    read: dict[str, Any] = {"step": "from", "files": [{"file": path.name, "sha256": file_sha256(path)} for path in paths]}
    if source.unaligned:
        read["unaligned"] = True
    if dropped := list(features.dropped):
        log.warning("%s: %s with missing or infinite values left out: %s", called, count(len(dropped), "feature"), some(dropped))
        read["missing_dropped"] = dropped
    steps = (*facts.get("steps", ()), read)
    return Profiles(features_MF=features.features_MF[here_M], who=who, names=features.names, steps=steps, labels=labels)


def _not_finite(value_M: np.ndarray) -> np.ndarray:
    return ~np.isfinite(value_M)


def _of_plates(who: pd.DataFrame, plates: Sequence[str], called: str) -> np.ndarray:
    there = sorted(set(who[PLATE]))
    for plate in plates:
        if plate not in there:
            raise UsageError(f"--plates {plate}: {called} has no such plate{nearest(plate, there)}; it has {some(there)}")
    return (who[PLATE].isin(list(plates)) if plates else pd.Series(True, index=who.index)).to_numpy()


def _labelled(
    who: pd.DataFrame, tables: Tables, source: Source, recorded: dict[str, str], called: str
) -> tuple[pd.DataFrame, dict[str, str]]:
    """Return the wells with the columns of the tables and Metadata_is_control, and the perturbation and control of the labels."""
    if tables is None and not (source.perturbation or source.control) and not set(who) - {PLATE, WELL, SITE}:
        return who, {}  # nothing is known of the wells, and nothing was asked
    columns = columns_of(who, tables, called)
    columns.check((), np.zeros(len(who), dtype=bool))
    who = who.copy()
    for name in columns.first if columns.table is not None else ():
        who[name] = columns.text(name).to_numpy()
    perturbation = (
        columns.find("--perturbation", source.perturbation) if source.perturbation else recorded.get("perturbation", "")
    )
    if source.control:
        if not perturbation:
            raise UsageError(f"--control {source.control}: name its column with --perturbation")
        is_control_M = (columns.text(perturbation) == source.control).to_numpy()
        if not is_control_M.any():
            short, values = perturbation.removeprefix("Metadata_"), sorted(set(columns.text(perturbation)))
            raise UsageError(f"--control {source.control}: no well has this {short}{nearest(source.control, values)}")
        return who.assign(**{CONTROL: is_control_M}), {"perturbation": perturbation, "control": source.control}
    column, negative = _NEGATIVE
    if columns.has(CONTROL):
        who[CONTROL] = columns.flags(CONTROL)
    elif columns.has(column):
        who[CONTROL] = (columns.text(column) == negative).to_numpy()
    elif columns.has(SAMPLE):
        who[CONTROL] = (columns.text(SAMPLE) == "").to_numpy()
    if not perturbation and columns.has(SAMPLE):
        return who, {name: OFFICIAL[name] for name in ("perturbation", "control")}
    return who, recorded or ({"perturbation": perturbation, "control": ""} if perturbation else {})
