"""Upload a submission and keep a record of it: submissions/<name>/ with run.toml, score.json, notes.md and the manifest."""

import csv
import datetime
import json
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import tenacity
import tomli_w

from kit.challenge.csv_files import plain_csv
from kit.challenge.kaggle_cli import COMPETITION, list_submissions, submit_file
from kit.errors import KitError, UsageError
from kit.files import file_sha256, write_whole
from kit.profiles.manifest import manifest_path, read_manifest
from kit.progress import progress

RECORDS = Path("submissions")
_POLL_SECONDS = 10.0
_MOST_SECONDS = 3600.0
_MEGABYTE = 1 << 20


@dataclass(frozen=True, kw_only=True, slots=True)
class Plan:
    """What would be uploaded, where to, and what the user should know first."""

    submission: Path
    message: str
    competition: str
    sha256: str
    manifest: dict[str, Any] | None
    warnings: list[str] = field(default_factory=list)

    def question(self) -> str:
        """Return what to ask before uploading."""
        size = self.submission.stat().st_size / _MEGABYTE
        return f"Upload {self.submission} ({size:.1f} MB) to {self.competition}?"


@dataclass(frozen=True, kw_only=True, slots=True)
class Uploaded:
    """What Kaggle answered, the path of the record, and the public score if it was waited for."""

    answer: str
    record: Path
    status: str | None = None
    public_score: str | None = None

    def text(self) -> str:
        """Return a few lines of text."""
        lines = [f"Kaggle: {self.answer}", f"record: {self.record}"]
        if self.status:
            lines.append(f"status: {self.status}, public score: {self.public_score or 'none'}")
        return "\n".join(lines)


def prepare(submission: Path, message: str, *, competition: str | None = None) -> Plan:
    """Inspect a submission before the upload; nothing is sent.

    Raises:
        UsageError: no such file, or it is gzipped, or no message.
        KitError: it has no column ID.
    """
    submission = plain_csv(submission)
    if not message.strip():
        raise UsageError("--message is empty: describe the submission (kit submissions shows it)")
    with submission.open(newline="", errors="replace") as file:
        names = next(csv.reader(file), [])
    if "ID" not in names:
        raise KitError(f"{submission} has no column ID: not a submission")
    digest, manifest, warnings = file_sha256(submission), read_manifest(submission), []
    if manifest is None:
        warnings.append(
            f"no manifest next to {submission.name}: the record will not show how it was made (kit export writes one)"
        )
    elif manifest.get("sha256") != digest:
        warnings.append(f"{submission.name} was changed after its manifest was written")
    elif manifest.get("uses_well_position"):
        warnings.append(
            "these features use the well position (--align): their local score says little about the compounds' effects"
        )
    return Plan(
        submission=submission,
        message=message,
        competition=competition or COMPETITION,
        sha256=digest,
        manifest=manifest,
        warnings=warnings,
    )


def upload(plan: Plan, *, wait: bool = False, records: Path = RECORDS, poll_seconds: float = _POLL_SECONDS) -> Uploaded:
    """Upload, record, and with `wait` poll until Kaggle has scored it (an hour at most).

    Raises:
        KitError: Kaggle did not accept it; then no record is written.
    """
    answer = submit_file(plan.submission, plan.message, plan.competition)
    record = _write_record(plan, answer, records)
    if not wait:
        return Uploaded(answer=answer, record=record)
    found = _wait_for_score(plan, poll_seconds)
    status, score = found.get("status", "").rpartition(".")[2].lower(), found.get("publicScore") or None
    _write_run_toml(record, plan, answer, {"status": status, "ref": found.get("ref"), "public_score": score})
    if "error" in status:
        raise KitError(
            f"Kaggle could not score the submission ({status}); see https://www.kaggle.com/competitions/{plan.competition}/submissions"
        )
    return Uploaded(answer=answer, record=record, status=status, public_score=score)


def _write_record(plan: Plan, answer: str, records: Path) -> Path:
    now = datetime.datetime.now(datetime.UTC)
    stem = re.sub(r"[^A-Za-z0-9._-]+", "-", plan.submission.stem)
    record = records / f"{now:%Y-%m-%dT%H-%M-%S}_{stem}"
    _write_run_toml(record, plan, answer, {})
    score = plan.submission.with_name("score.json")
    write_whole(record / "score.json", score.read_bytes() if score.is_file() else "null\n")
    if plan.manifest is not None:
        write_whole(record / "manifest.json", manifest_path(plan.submission).read_bytes())
    write_whole(record / "notes.md", f"# {plan.message}\n\nUploaded {now:%Y-%m-%d %H:%M} UTC to {plan.competition}.\n")
    return record


def _write_run_toml(record: Path, plan: Plan, answer: str, found: dict[str, str | None]) -> None:
    """Write what was uploaded and every step that made it."""
    table = {
        "submission": {
            "file": plan.submission.name,
            "sha256": plan.sha256,
            "message": plan.message,
            "competition": plan.competition,
            "answer": answer,
            **found,
        },
        "steps": (plan.manifest or {}).get("steps") or [],
    }
    write_whole(record / "run.toml", tomli_w.dumps(_without_null(table)))


def _without_null(value: Any) -> Any:
    """Drop what TOML cannot express."""
    if isinstance(value, dict):
        return {key: _without_null(item) for key, item in value.items() if item is not None}
    return [_without_null(item) for item in value if item is not None] if isinstance(value, list) else value


def _wait_for_score(plan: Plan, poll_seconds: float) -> dict[str, str]:
    """Return Kaggle's row of this upload once its status is final."""

    def look() -> dict[str, str]:
        rows = list_submissions(plan.competition)
        own = [row for row in rows if row.get("fileName") == plan.submission.name and row.get("description") == plan.message]
        final = own and any(word in own[0].get("status", "").lower() for word in ("complete", "error"))
        return own[0] if final else {}  # the newest comes first

    with progress(label="waiting for the score", unit="look") as bar:
        looks = tenacity.Retrying(
            retry=tenacity.retry_if_result(lambda row: not row),
            stop=tenacity.stop_after_delay(_MOST_SECONDS - poll_seconds),
            wait=tenacity.wait_fixed(poll_seconds),
            before_sleep=lambda _: bar.update(),
        )
        try:
            return looks(look)
        except tenacity.RetryError:
            raise KitError(f"no score after {_MOST_SECONDS / 60:.0f} minutes; kit submissions will show it later") from None


def read_score(record: Path) -> dict[str, Any]:
    """Return a record's local score as score.json holds it; empty where it has none."""
    path = record / "score.json"
    return (json.loads(path.read_text()) if path.is_file() else None) or {}
