"""From what was scored to the wells, their Gram and what the null repeats: the features' own file is asked, or --profiles."""

import gzip
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from kit.challenge.features import Features, feature_files, from_profiles, read_features
from kit.challenge.labels import label_wells
from kit.challenge.sections import Scored
from kit.challenge.wells import NONE, Wells
from kit.companions.recorded import Repeat, read_steps
from kit.errors import KitError, UsageError
from kit.files import existing_file, file_sha256
from kit.neighbours import Gram
from kit.profiles.manifest import is_csv, manifest_path, read_manifest
from kit.profiles.table import PLATE, WELL, Profiles, read_facts

NO_CONTROLS = "no control well among the features"


@dataclass(frozen=True, kw_only=True, slots=True)
class Board:
    """wells: all that there are features of, by plate, then well. gram: a row for each. repeat: see `recorded.Repeat`.

    no_controls: why no well is a control, for where none is.
    """

    wells: Wells
    gram: Gram
    repeat: Repeat
    no_controls: str


def lay_out(scored: Scored, profiles: Path | None = None) -> Board:
    """Return the wells that the companions ask: those of the file that were not scored, such as controls, among them.

    They are read and multiplied once, for all sections. profiles: the file that the manifest of a scored CSV names as its
    source, where that has no control wells.

    Raises:
        UsageError: `profiles` beside something else than CSV files. KitError: it is not the file that the manifest names.
    """
    if (Board, profiles) not in scored.shared:
        scored.shared[Board, profiles] = _lay_out(scored, profiles)
    board: Board = scored.shared[Board, profiles]
    return board


def _lay_out(scored: Scored, profiles: Path | None) -> Board:
    files = _files(scored.source)
    if profiles is not None:
        check_source(files, Path(profiles))
        files = [Path(profiles)]
        features, repeat = read_features(files), read_steps(read_facts(files[0]).get("steps"))
    else:
        features = _uncut(scored, files)
        repeat = _repeat(scored.source, files, len(features.who))
    wells, gram = scored.wells, scored.gram
    if len(features.who) > len(wells):
        wells = _all_wells(scored, features)
        gram = Gram.of(features.features_MF[wells.row_M])
    return Board(wells=wells, gram=gram, repeat=repeat, no_controls=_why_no_controls(files))


def check_source(files: list[Path], profiles: Path) -> None:
    """Check by their checksums that `profiles` is what the one CSV of `files` was made from.

    Raises:
        UsageError: `files` is not one CSV, or there is no such file. KitError: a manifest is missing, or names another file.
    """
    existing_file(profiles)
    if len(files) != 1 or not is_csv(files[0]):
        raise UsageError(f"--profiles {profiles}: goes with a CSV that kit export wrote; a file of profiles has its own controls")
    manifest = read_manifest(files[0])
    if manifest is None:
        raise KitError(f"--profiles {profiles}: {manifest_path(files[0])} is missing, which says what {files[0]} was made from")
    if manifest.get("sha256") != file_sha256(files[0]):
        raise KitError(f"--profiles {profiles}: {files[0]} is not the file that {manifest_path(files[0]).name} describes")
    source = manifest.get("source") or {}
    if not source.get("sha256"):
        raise KitError(f"--profiles {profiles}: {manifest_path(files[0])} has no checksum of what {files[0]} was made from")
    if source["sha256"] != file_sha256(profiles):
        raise KitError(f"--profiles {profiles}: {files[0]} was made from another file, {source.get('file')}: checksums differ")


def _files(source: Any) -> list[Path]:
    """Return the files of what the user gave; none for tables and profiles in memory."""
    if isinstance(source, pd.DataFrame | Profiles):
        return []
    given = [source] if isinstance(source, str | Path) else source
    return [file for one in given for file in feature_files(Path(one))]


def _uncut(scored: Scored, files: list[Path]) -> Features:
    """Return the features of all wells, where --ids picked some of a file (or profiles) that knows plate and well."""
    if scored.ids is None:
        return scored.features
    if isinstance(scored.source, Profiles):
        return from_profiles(scored.source)
    know_wells = [not is_csv(file) or "profiles" in (read_manifest(file) or {}) for file in files]
    return read_features(files) if files and all(know_wells) else scored.features


def _repeat(source: Any, files: list[Path], n_wells: int) -> Repeat:
    """Return what the null repeats, as the file, its manifest or profiles in memory record it."""
    if isinstance(source, Profiles):
        return read_steps(source.steps)
    facts = [read_facts(file) for file in files]
    stale = [file for file, known in zip(files, facts, strict=True) if is_csv(file) and known and not _describes(known, file)]
    if stale:
        return Repeat(why_not=f"{manifest_path(stale[0]).name} describes another {stale[0].name}")
    steps = [known.get("steps") for known in facts]
    if not steps or any(one != steps[0] for one in steps):
        return Repeat(why_not="the files record different steps") if steps else read_steps(None)
    if len(files) > 1 and read_steps(steps[0]).align is not None:
        return Repeat(why_not="the files were aligned one by one")
    return read_steps(steps[0], whole=_is_whole(facts[0], n_wells))


def _describes(manifest: Mapping[str, Any], csv: Path) -> bool:
    """Return whether it is this file's, or that of the CSV packed in it."""
    wanted = manifest.get("sha256")
    if wanted == file_sha256(csv):
        return True
    if csv.suffix.lower() != ".gz":
        return False
    with gzip.open(csv) as unpacked:
        return wanted == hashlib.file_digest(unpacked, "sha256").hexdigest()


def _is_whole(facts: Mapping[str, Any], n_wells: int) -> bool:
    """Return whether the features are of all wells that were aligned, or of all at the positions they have."""
    if "submission" in facts:
        return facts.get("whole_positions") is True
    return facts.get("rows") in ("wells", n_wells)  # of a parquet file all are read


def _all_wells(scored: Scored, features: Features) -> Wells:
    """Return every well of the features; those that were not scored have no label."""
    labelled = label_wells(features.who, scored.tables, scored.wanted, features.recorded, features.called)
    wells = labelled.wells.sort_values([PLATE, WELL])
    known, mine = scored.wells, pd.MultiIndex.from_frame(wells[[PLATE, WELL]])
    row_M = pd.MultiIndex.from_arrays([known.plate_M, known.well_M]).get_indexer(mine)  # -1: not among the scored
    return Wells(
        row_M=wells.index.to_numpy(),
        plate_M=wells[PLATE].to_numpy(dtype=str),
        well_M=wells[WELL].to_numpy(dtype=str),
        label_M=np.where(row_M >= 0, known.label_M[row_M], NONE),
        group_M=np.where(row_M >= 0, known.group_M[row_M], ""),
        is_control_M=wells["is_control"].to_numpy(dtype=bool),
        classes=known.classes,
        groups=known.groups,
        group_noun=known.group_noun,
        is_challenge=known.is_challenge,
    )


def _why_no_controls(files: list[Path]) -> str:
    """Return why there are no control wells, with the way out where a manifest knows it."""
    if len(files) != 1 or not is_csv(files[0]):
        return NO_CONTROLS
    source = (read_manifest(files[0]) or {}).get("source") or {}
    if not source.get("sha256"):
        return NO_CONTROLS
    return f"{files[0].name} has no control wells: add --profiles {source['file']}, which it was made from"
