"""Whether a file is fit to be submitted: columns, IDs and values, and whether its manifest is of this very file."""

import csv
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from kit.challenge.check import check, check_against
from kit.errors import KitError
from kit.files import existing_file, file_sha256
from kit.profiles.manifest import read_manifest
from kit.words import count


@dataclass(frozen=True, kw_only=True, slots=True)
class Contents:
    """A checked file. manifest: of this very file, or None; columns: of features; said: what was checked; warnings: see there."""

    sha256: str
    manifest: dict[str, Any] | None
    columns: int
    said: str
    warnings: list[str]


def check_contents(submission: Path, ids: Path | None) -> Contents:
    """Check a submission against the ID table; kit export has done that for a file whose manifest fits it.

    Args:
        ids: metadata_test.csv. Without it and without such a manifest the IDs can only be checked to be there once each.

    Raises:
        KitError: naming the first column, ID or value that is wrong.
    """
    names, sha256 = _header(submission), file_sha256(submission)
    manifest, warnings = _own_manifest(submission, sha256)
    columns = len(names) - 1
    exported = ((manifest or {}).get("ids") or {}).get("sha256")
    if exported and (ids is None or file_sha256(existing_file(ids)) == exported):
        said = (
            f"{manifest['rows']} rows x {count(columns, 'feature')}, IDs and values as kit export checked them"
            if manifest
            else ""
        )
    elif ids is not None:
        checked = check(submission, ids)
        said = f"{count(checked.rows, 'row')} x {count(columns, 'feature')}, every ID of {ids} once, in order, every value finite"
    else:
        rows = _check_alone(submission)
        said = f"{count(rows, 'row')} x {count(columns, 'feature')}, every value finite"
        warnings.append(f"the IDs of {submission.name} were not compared with the challenge's: give --ids metadata_test.csv")
    return Contents(sha256=sha256, manifest=manifest, columns=columns, said=said, warnings=warnings)


def _header(submission: Path) -> list[str]:
    with submission.open(newline="", errors="replace") as file:
        names = next(csv.reader(file), [])
    if "ID" not in names:
        raise KitError(f"{submission} has no column ID: not a submission")
    return names


def _own_manifest(submission: Path, sha256: str) -> tuple[dict[str, Any] | None, list[str]]:
    """Return the manifest if it is of this file, and what to warn of."""
    manifest, name = read_manifest(submission), submission.name
    if manifest is None:
        return None, [f"no manifest next to {name}: the record will not show how it was made (kit export writes one)"]
    if manifest.get("sha256") != sha256:
        return None, [f"{name} was changed after its manifest was written: the record will not show how it was made"]
    if manifest.get("uses_well_position"):
        said = "these features use the well position (--align): their local score says little about the compounds' effects"
        return manifest, [said]
    return manifest, []


def _check_alone(submission: Path) -> int:
    """Check what can be checked without the ID table and return the number of rows."""
    try:
        ids = pl.read_csv(submission, columns=["ID"], schema_overrides={"ID": pl.String})["ID"].fill_null("").to_list()
    except pl.exceptions.PolarsError as error:
        raise KitError(f"{submission} cannot be read as CSV: {str(error).splitlines()[0]}") from error
    if not ids:
        raise KitError(f"{submission} has no row below its header")
    twice, times = Counter(ids).most_common(1)[0]
    if times > 1:
        raise KitError(f"{submission}: ID {twice!r} appears in {times} rows; every ID must appear once")
    return check_against(submission, ids, called=str(submission)).rows
