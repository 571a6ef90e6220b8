"""What would be submitted, and what Kaggle says before anything is."""

import datetime
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from kit.challenge.csv_files import plain_csv
from kit.errors import KitError, UsageError
from kit.kaggle.competition import COMPETITION, identity, list_submissions, submissions_left
from kit.kaggle.contents import Contents, check_contents
from kit.kaggle.local_score import find_score, score_line
from kit.words import count

_MEGABYTE = 1 << 20


@dataclass(frozen=True, kw_only=True, slots=True)
class Plan:
    """What would be uploaded, where to, and what the user should know first."""

    submission: Path
    message: str
    competition: str
    contents: Contents
    score: dict[str, Any] | None
    warnings: list[str] = field(default_factory=list)

    def text(self) -> str:
        """Return what was checked, in two lines."""
        size = self.submission.stat().st_size / _MEGABYTE
        return f"{self.submission} ({size:.1f} MB): {self.contents.said}\n{score_line(self.score)}"


@dataclass(frozen=True, kw_only=True, slots=True)
class Standing:
    """What Kaggle says before an upload: how many it still takes today (None: cannot be asked), and what it has, by identity."""

    left: int | None
    known: frozenset[tuple[str, ...]]

    def question(self, plan: Plan) -> str:
        """Return what to ask before uploading."""
        left = "" if self.left is None else f" (Kaggle takes {count(self.left, 'more submission')} today)"
        return f"Upload {plan.submission} to {plan.competition}{left}?"


def prepare(submission: Path, message: str, *, competition: str | None = None, ids: Path | None = None) -> Plan:
    """Inspect a submission before the upload; nothing is sent.

    Args:
        ids: metadata_test.csv, for a file that kit export did not write.

    Raises:
        UsageError: no such file, or it is gzipped, or no message.
        KitError: it is no submission; the message names the first fault.
    """
    submission = plain_csv(submission)
    if not message.strip():
        raise UsageError("--message is empty: describe the submission (kit submissions shows it)")
    contents = check_contents(submission, ids)
    score, warnings = find_score(submission, contents.columns, contents.manifest)
    return Plan(
        submission=submission,
        message=message,
        competition=competition or COMPETITION,
        contents=contents,
        score=score,
        warnings=[*contents.warnings, *warnings],
    )


def ask_kaggle(competition: str) -> Standing:
    """Ask what Kaggle still takes today and what it has; so a missing right is known before anything is uploaded.

    Raises:
        KitError: no access, or nothing is left of today.
    """
    left = submissions_left(competition)
    known = frozenset(map(identity, list_submissions(competition)))
    if left == 0:
        now = datetime.datetime.now(datetime.UTC)
        midnight = datetime.datetime.combine(now.date() + datetime.timedelta(days=1), datetime.time(), datetime.UTC)
        minutes = int((midnight - now).total_seconds()) // 60
        raise KitError(
            f"{competition} takes no more submission today: Kaggle counts days in UTC, "
            f"and the next one starts in {minutes // 60} h {minutes % 60} min"
        )
    return Standing(left=left, known=known)
