"""The commands of a competition: submit, list what was submitted, what is left of today, fetch what was submitted."""

import csv
import json
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kit.errors import KitError
from kit.files import file_sha256
from kit.kaggle.answers import accepted, rules_hint, submission_ref
from kit.kaggle.command import QUIET_SECONDS, NoSuchCommand, Upload, run

COMPETITION = "cell-line-transferability-challenge-cvdd"
_ANSWER_SECONDS = 120.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Taken:
    """What Kaggle answered to an upload, and the number it keeps it under; None where the kaggle command does not print it."""

    answer: str
    ref: str | None


def submit_file(submission: Path, message: str, competition: str, *, quiet_seconds: float = QUIET_SECONDS) -> Taken:
    """Upload a file and submit it.

    Args:
        quiet_seconds: see `command.run`.

    Raises:
        KitError: the upload or the submission failed; one line with the reason.
    """
    upload = Upload(label=f"uploading {submission.name}", sizes={submission.name: submission.stat().st_size})
    words = ["competitions", "submit", competition, "-f", str(submission), "-m", message]
    printed = run(words, way_out=rules_hint(competition), upload=upload, quiet_seconds=quiet_seconds)
    if not (answer := accepted(printed)):
        raise KitError("Kaggle did not accept the submission: no answer")
    return Taken(answer=answer, ref=submission_ref(printed))


def list_submissions(competition: str) -> list[dict[str, str]]:
    """Return the newest hundred submissions to a competition: fileName, date, description, status, publicScore, mostly ref.

    Raises:
        KitError: Kaggle did not answer with a list.
    """
    words = ["competitions", "submissions", competition, "-v", "--page-size", "100"]
    lines = run(words, way_out=rules_hint(competition), quiet_seconds=_ANSWER_SECONDS).splitlines()
    heads = [row for row, line in enumerate(lines) if "fileName" in line.split(",")]
    return list(csv.DictReader(lines[heads[0] :])) if heads else []


def identity(row: dict[str, str]) -> tuple[str, ...]:
    """Return what tells a listed submission from all others: the server's number, or, where it is not given, the date too."""
    return (row["ref"],) if row.get("ref") else tuple(row.get(key, "") for key in ("fileName", "description", "date"))


def submissions_left(competition: str) -> int | None:
    """Return how many submissions Kaggle still takes today; None where the installed kaggle cannot ask.

    Raises:
        KitError: Kaggle refuses: no access, rules not accepted, no such competition.
    """
    words = ["competitions", "submission-limits", competition, "--json"]
    try:
        answer = run(words, way_out=rules_hint(competition), quiet_seconds=_ANSWER_SECONDS)
    except NoSuchCommand:
        return None
    return _allowed(answer)


def submitted_sha256(ref: str, beside: Path) -> str:
    """Return the SHA-256 of a submission as Kaggle keeps it: it is fetched into the folder `beside` and deleted again.

    Raises:
        NoSuchCommand: the installed kaggle cannot fetch it.
        KitError: Kaggle refuses.
    """
    with tempfile.TemporaryDirectory(prefix=".kaggle-", dir=beside) as folder:
        run(["competitions", "submission-download", ref, "-p", folder, "-o"])
        files = [path for path in Path(folder).iterdir() if path.is_file()]
        if len(files) != 1:
            raise KitError(f"Kaggle sent {len(files)} files for submission {ref}, not one: its hash is unknown")
        return file_sha256(files[0])


def _allowed(answer: str) -> int | None:
    """Return the count in an answer; a missing one is 0, because the server leaves out zeros."""
    try:
        table: Any = json.loads(answer[answer.index("{") :])
    except ValueError:
        return None
    return int(table.get("numAllowedNow", 0)) if isinstance(table, dict) and table else None
