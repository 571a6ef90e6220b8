"""The manifest of a submission: the profiles and steps it was made from, and the checksum of the CSV."""

import datetime
import json
from pathlib import Path
from typing import Any

from kit.errors import KitError
from kit.files import file_sha256, write_whole
from kit.version import __version__


def manifest_path(submission: Path) -> Path:
    """Return the manifest's path: submission.csv has submission.manifest.json, submission.csv.gz too."""
    return submission.with_name(f"{submission.name.removesuffix('.gz').removesuffix('.csv')}.manifest.json")


def write_manifest(submission: Path, source: Path, source_facts: dict, ids: Path, rows: int, columns: int) -> Path:
    """Write the manifest of a submission made from `source` for the IDs of `ids`; return its path."""
    manifest = {
        "schema": 1,
        "submission": submission.name,
        "sha256": file_sha256(submission),
        "rows": rows,
        "columns": columns,
        "ids": {"file": ids.name, "sha256": file_sha256(ids)},
        "source": {"file": source.name, "sha256": file_sha256(source) if source.is_file() else None},
        "uses_well_position": source_facts.get("uses_well_position"),
        "steps": source_facts.get("steps"),
        "kit": __version__,
        "made": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
    }
    path = manifest_path(submission)
    write_whole(path, json.dumps(manifest, indent=1) + "\n")
    return path


def read_manifest(submission: Path) -> dict[str, Any] | None:
    """Return the manifest next to a submission, or None if there is none."""
    path = manifest_path(submission)
    if not path.is_file():
        return None
    try:
        return json.loads(path.read_text())
    except ValueError as error:
        raise KitError(f"{path} is damaged ({error}); delete it, or export {submission.name} again") from error
