"""Profiles -> the challenge's CSV: column ID, then the features, one row for every ID in the given order."""

import logging
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import polars as pl

from kit.challenge.check import Checked, check_against
from kit.challenge.features import Features, read_features
from kit.challenge.ids import read_ids
from kit.challenge.rotate import SCORED, Fewer, reduce, rotate
from kit.challenge.rows import are_plain, read_back, write_rows
from kit.errors import KitError, UsageError
from kit.files import file_sha256, whole_file
from kit.profiles.anndata_file import is_h5ad, read_h5ad
from kit.profiles.manifest import is_csv, write_manifest
from kit.profiles.normalise import LENGTHS
from kit.profiles.table import WELL, read_facts

log = logging.getLogger(__name__)


def export(
    profiles: Path,
    ids: Path,
    out: Path,
    *,
    id_column: str | None = None,
    plate_column: str | None = None,
    well_column: str | None = None,
    rotated: bool = False,
    columns: int | None = None,
) -> Checked:
    """Write the submission and its manifest; it is read back and checked before it is renamed.

    Args:
        profiles: a file or folder of features with a row per well (any that kit score reads).
        ids: metadata_test.csv. id_column, plate_column, well_column: its columns, if their names are ambiguous.
        rotated: in as few columns as keep every distance, see `rotate.rotate`. columns: in this many, see `rotate.reduce`.

    Raises:
        KitError: an ID without a profile, an ID twice, a value that is not finite.
    """
    profiles, ids, out = Path(profiles), Path(ids), Path(out)
    if out.suffix != ".csv":
        raise UsageError(f"--out {out}: the challenge takes a plain CSV; use a name ending in .csv")
    table = read_ids(ids, id_column=id_column, plate_column=plate_column, well_column=well_column)
    features = read_features(profiles, table)
    if "ID" in features.names:
        raise KitError(f"{profiles} has a feature column named ID: rename it")
    fewer = _fewer(features, rotated, columns)
    values_MF, names = (fewer.columns_MN, fewer.names) if fewer else (features.features_MF, features.names)
    if len(names) > SCORED:
        log.warning("%s: %s", out, _too_wide(len(names), len(table)))
    ids_M = table["ID"].tolist()
    with whole_file(out) as part:
        write_rows(part, ids_M, names, values_MF)
        if are_plain(ids_M, names):
            checked, sha256 = Checked(out, *values_MF.shape), read_back(part, ids_M, values_MF, str(out))
        else:
            checked, sha256 = check_against(part, ids_M, called=str(out)), file_sha256(part)
    write_manifest(out, "submission", checked.rows, checked.columns, _facts(profiles, ids, table, fewer), sha256=sha256)
    return replace(checked, note=fewer.text()) if fewer else checked


def _too_wide(columns: int, rows: int) -> str:
    known = f"the challenge's scorer is known to take {SCORED:,} and ran out of memory at twice as many"
    return f"{columns:,} feature columns; {known}: --rotate keeps every distance in at most {rows:,}"


def _fewer(features: Features, rotated: bool, columns: int | None) -> Fewer | None:
    """Return the features in fewer columns if that was asked for.

    Raises:
        UsageError: both ways were asked for.
    """
    if rotated and columns is not None:
        raise UsageError(f"--rotate keeps every distance and --columns {columns} does not: give one of them")
    if columns is not None:
        return reduce(features.features_MF, columns)
    return rotate(features.features_MF) if rotated else None


def _facts(profiles: Path, ids: Path, table: pd.DataFrame, fewer: Fewer | None) -> dict[str, Any]:
    """Return what a submission was made from, and how."""
    known = read_facts(profiles) if profiles.is_file() else {}
    last = [fewer.step()] if fewer else []
    aligned = any(step.get("step") == "align" for step in known.get("steps") or ())
    return {
        "ids": {"file": ids.name, "sha256": file_sha256(ids)},
        "source": {"file": profiles.name, "sha256": file_sha256(profiles) if profiles.is_file() else None},
        "uses_well_position": known.get("uses_well_position"),
        "steps": [*map(_short, known["steps"]), *last] if known.get("steps") is not None else None,
        **({"columns_made_by": last[0]} if last else {}),
        **({"whole_positions": _has_whole_positions(profiles, known, table)} if aligned else {}),
    }


def _short(step: dict[str, Any]) -> dict[str, Any]:
    """Return a step without what is kept of each row: the rows of a submission are others."""
    return {key: value for key, value in step.items() if key != LENGTHS}


def _has_whole_positions(profiles: Path, known: dict[str, Any], table: pd.DataFrame) -> bool:
    """Return whether every well at a position that has an ID has one itself: then the submission alone undoes alignment."""
    if "submission" in known:  # it has lost the wells without an ID
        return known.get("whole_positions") is True and known["rows"] == len(table)
    if is_h5ad(profiles):
        wells = read_h5ad(profiles)[0]
    else:
        read = pl.read_csv if is_csv(profiles) else pl.read_parquet
        wells = read(profiles, columns=[WELL]).to_pandas()
    return int(wells[WELL].isin(table[WELL]).sum()) == len(table)
