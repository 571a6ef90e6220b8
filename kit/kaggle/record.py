"""What is kept of an upload: submissions/<name>/ with run.toml, score.json, notes.md and the submission's manifest."""

import datetime
import json
import re
import tempfile
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tomli_w

from kit.errors import KitError
from kit.files import write_whole

RECORDS = Path("submissions")


@dataclass(frozen=True, kw_only=True, slots=True)
class Record:
    """A past upload. submission: the table of run.toml; steps: what made it; score: what score.json holds, maybe nothing."""

    path: Path
    submission: dict[str, Any]
    steps: list[dict[str, Any]]
    score: dict[str, Any]

    def is_row(self, row: dict[str, str]) -> bool:
        """Return whether a row that Kaggle lists is this upload.

        The server's number decides; where the kaggle command did not give it, the server's date with file name and message; in
        records of earlier versions of kit these two alone.
        """
        own = self.submission
        if own.get("ref") and row.get("ref"):
            return own["ref"] == row["ref"]
        named = (own["file"], own["message"]) == (row.get("fileName"), row.get("description"))
        return named and own.get("date") in (None, row.get("date"))


def check_records(records: Path) -> None:
    """Check that a record can be written; afterwards it would be too late: a submission that is not recorded counts all the same.

    Raises:
        KitError: it cannot.
    """
    new = not records.exists()
    try:
        records.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=records).close()
        if new:
            records.rmdir()
    except OSError as error:
        raise KitError(
            f"{records} cannot take the record of the upload ({error.strerror}): run kit submit in a folder of your own"
        ) from error


def new_record(
    stem: str, submission: dict[str, Any], steps: list[dict], score: dict | None, manifest: bytes | None, records: Path
) -> Path:
    """Write the record of an upload made now and return its folder."""
    now = datetime.datetime.now(datetime.UTC)
    name = f"{now:%Y-%m-%dT%H-%M-%S}_{re.sub(r'[^A-Za-z0-9._-]+', '-', stem)}"
    taken = sum(1 for _ in records.glob(f"{name}*"))
    folder = records / (f"{name}-{taken + 1}" if taken else name)
    write_run_toml(folder, submission, steps)
    write_whole(folder / "score.json", json.dumps(score, indent=1) + "\n")
    if manifest is not None:
        write_whole(folder / "manifest.json", manifest)
    said = f"# {submission['message']}\n\nUploaded {now:%Y-%m-%d %H:%M} UTC to {submission['competition']}.\n"
    write_whole(folder / "notes.md", said)
    return folder


def write_run_toml(folder: Path, submission: dict[str, Any], steps: list[dict]) -> None:
    """Write what was uploaded and every step that made it."""
    write_whole(folder / "run.toml", tomli_w.dumps(_without_null({"submission": submission, "steps": steps})))


def read_record(folder: Path) -> Record:
    """Read a record.

    Raises:
        KitError: it is damaged.
    """
    try:
        table = tomllib.loads((folder / "run.toml").read_text())
        submission = table["submission"]
        submission["file"], submission["message"]
        path = folder / "score.json"
        score = (json.loads(path.read_text()) if path.is_file() else None) or {}
        return Record(path=folder, submission=submission, steps=table.get("steps") or [], score=score)
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, KeyError, TypeError, ValueError) as error:
        raise KitError(f"{folder} is not a readable record: {error}") from error


def is_record(folder: Path) -> bool:
    """Return whether the run.toml of a folder is that of an upload, not of a trained run."""
    try:
        return "submission" in tomllib.loads((folder / "run.toml").read_text())
    except (tomllib.TOMLDecodeError, UnicodeDecodeError):
        return False


def _without_null(value: Any) -> Any:
    """Drop what TOML cannot express."""
    if isinstance(value, dict):
        return {key: _without_null(item) for key, item in value.items() if item is not None}
    return [_without_null(item) for item in value if item is not None] if isinstance(value, list) else value
