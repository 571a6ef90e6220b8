"""Profiles -> the challenge's CSV: column ID, then the features, one row for every ID in the given order."""

from pathlib import Path
from typing import Any

import polars as pl

from kit.challenge.check import Checked, check_against
from kit.challenge.features import read_features
from kit.challenge.ids import read_ids
from kit.errors import KitError, UsageError
from kit.files import file_sha256, whole_file
from kit.profiles.manifest import write_manifest
from kit.profiles.table import read_facts


def export(
    profiles: Path,
    ids: Path,
    out: Path,
    *,
    id_column: str | None = None,
    plate_column: str | None = None,
    well_column: str | None = None,
) -> Checked:
    """Write the submission and its manifest; it is read back and checked before it is renamed.

    Args:
        profiles: a file or folder of features with a row per well (any that kit score reads).
        ids: metadata_test.csv. id_column, plate_column, well_column: its columns, if their names are ambiguous.

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
    frame = pl.from_numpy(features.features_MF, schema=list(features.names), orient="row")
    frame.insert_column(0, pl.Series("ID", table["ID"].tolist(), dtype=pl.String))
    with whole_file(out) as part:
        frame.write_csv(part)
        checked = check_against(part, table["ID"].tolist(), called=str(out))
    write_manifest(out, "submission", checked.rows, checked.columns, _facts(profiles, ids))
    return checked


def _facts(profiles: Path, ids: Path) -> dict[str, Any]:
    """Return what a submission was made from, and how."""
    known = read_facts(profiles) if profiles.is_file() else {}
    return {
        "ids": {"file": ids.name, "sha256": file_sha256(ids)},
        "source": {"file": profiles.name, "sha256": file_sha256(profiles) if profiles.is_file() else None},
        "uses_well_position": known.get("uses_well_position"),
        "steps": known.get("steps"),
    }
