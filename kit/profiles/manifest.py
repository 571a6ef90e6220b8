"""The manifest beside a CSV: what a parquet file keeps in its schema, and the checksum of the file that it describes."""

import datetime
import json
from pathlib import Path
from typing import Any

from kit.errors import KitError
from kit.files import file_sha256, write_whole
from kit.version import __version__


def is_csv(path: Path) -> bool:
    """Whether a file is CSV by its name: .csv or .csv.gz."""
    return path.name.lower().endswith((".csv", ".csv.gz"))


def manifest_path(csv: Path) -> Path:
    """Return the manifest's path: submission.csv has submission.manifest.json, submission.csv.gz too."""
    return csv.with_name(f"{csv.name.removesuffix('.gz').removesuffix('.csv')}.manifest.json")


def write_manifest(csv: Path, kind: str, rows: int, columns: int, facts: dict[str, Any], *, sha256: str | None = None) -> Path:
    """Write the manifest of a CSV and return its path.

    Args:
        kind: `submission` or `profiles`. rows, columns: of the CSV, feature columns only. facts: what else is known of it.
        sha256: of the file, where it is known already.
    """
    manifest = {
        "schema": 1,
        kind: csv.name,
        "sha256": sha256 or file_sha256(csv),
        "rows": rows,
        "columns": columns,
        **facts,
        "kit": __version__,
        "made": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
    }
    path = manifest_path(csv)
    write_whole(path, json.dumps(manifest, indent=1) + "\n")
    return path


def read_manifest(csv: Path) -> dict[str, Any] | None:
    """Return the manifest next to a CSV, or None if there is none. p.csv and p.csv.gz share one: the last written's."""
    path = manifest_path(csv)
    if not path.is_file():
        return None
    try:
        manifest = json.loads(path.read_text())
    except ValueError as error:
        raise KitError(f"{path} is damaged ({error}); delete it, or write {csv.name} again") from error
    written = manifest.get("profiles", csv.name)
    return None if written != csv.name and csv.with_name(written).is_file() else manifest
