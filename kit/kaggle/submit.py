"""Upload a submission and keep a record of it: sent once, whatever Kaggle and the line between do."""

import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tenacity

from kit.errors import KitError
from kit.kaggle.answers import CREDENTIALS
from kit.kaggle.command import QUIET_SECONDS, NoSuchCommand, Refused
from kit.kaggle.competition import Taken, identity, list_submissions, submit_file, submitted_sha256
from kit.kaggle.plan import Plan, Standing
from kit.kaggle.record import RECORDS, check_records, new_record, write_run_toml
from kit.profiles.manifest import manifest_path
from kit.progress import progress

log = logging.getLogger(__name__)
PAUSES = (5.0, 20.0, 60.0)  # s before each new try of an upload that certainly submitted nothing
_LOOKS = (0.0, 5.0, 15.0)  # s before each look for an upload that Kaggle did not confirm
_POLL_SECONDS = 10.0
_MOST_SECONDS = 3600.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Uploaded:
    """What Kaggle answered, the path of the record, and what was asked for beyond: the public score, the comparison of hashes."""

    answer: str
    record: Path
    ref: str | None = None
    verified: str | None = None
    status: str | None = None
    public_score: str | None = None

    def text(self) -> str:
        """Return a few lines of text."""
        lines = [f"Kaggle: {self.answer}" + (f" (submission {self.ref})" if self.ref else ""), f"record: {self.record}"]
        if self.verified:
            lines.append(f"what Kaggle keeps: {self.verified}")
        if self.status:
            lines.append(f"status: {self.status}, public score: {self.public_score or 'none'}")
        return "\n".join(lines)


def upload(
    plan: Plan,
    standing: Standing,
    *,
    wait: bool = False,
    verify: bool = False,
    records: Path = RECORDS,
    poll_seconds: float = _POLL_SECONDS,
    pauses: Sequence[float] = PAUSES,
    quiet_seconds: float = QUIET_SECONDS,
) -> Uploaded:
    """Upload, record, and on request compare what Kaggle keeps with the file, and poll until it is scored (an hour at most).

    Args:
        pauses: seconds before each new try; only what certainly submitted nothing is tried again.
        quiet_seconds: see `command.run`.

    Raises:
        KitError: no record could be written, or Kaggle did not accept it; then none is. Or, after the record: it keeps another
            file, or could not score it.
    """
    check_records(records)
    taken, row = _send(plan, standing, pauses, quiet_seconds)
    table: dict[str, Any] = {
        "file": plan.submission.name,
        "sha256": plan.contents.sha256,
        "bytes": plan.submission.stat().st_size,
        "message": plan.message,
        "competition": plan.competition,
        "answer": taken.answer,
        "ref": taken.ref,
        "date": row.get("date"),
    }
    steps = (plan.contents.manifest or {}).get("steps") or []
    manifest = manifest_path(plan.submission).read_bytes() if plan.contents.manifest is not None else None
    record = new_record(plan.submission.stem, table, steps, plan.score, manifest, records)
    verified = status = score = None
    if verify:
        table["verified"], verified = _compare(plan, taken.ref, record)
        write_run_toml(record, table, steps)
        if table["verified"] is False:
            raise KitError(f"{verified}: submit {plan.submission.name} again; the record is {record}")
    if wait:
        found = _wait_for_score(plan, taken, row, standing, poll_seconds)
        status, score = status_of(found), found.get("publicScore") or None
        table |= {"status": status, "ref": taken.ref or found.get("ref"), "public_score": score}
        write_run_toml(record, table, steps)
        if "error" in status:
            raise KitError(f"Kaggle could not score the submission ({status}); see {_page(plan)}")
    return Uploaded(answer=taken.answer, record=record, ref=taken.ref, verified=verified, status=status, public_score=score)


def status_of(row: dict[str, str]) -> str:
    """Return a listed submission's status: pending, complete, error."""
    return row.get("status", "").rpartition(".")[2].lower()


def is_final(row: dict[str, str]) -> bool:
    """Return whether Kaggle has scored a listed submission, or given up on it."""
    return any(word in status_of(row) for word in ("complete", "error"))


def _send(plan: Plan, standing: Standing, pauses: Sequence[float], quiet_seconds: float) -> tuple[Taken, dict[str, str]]:
    """Upload and return Kaggle's answer and, where that has no number, the new row of its list; empty if it shows none yet."""
    for pause in (*pauses, None):
        try:
            taken = submit_file(plan.submission, plan.message, plan.competition, quiet_seconds=quiet_seconds)
            return taken, {} if taken.ref else _find_new(plan, standing, _LOOKS[:1])
        except Refused as refused:
            if refused.failure.is_unsure:
                return _confirm(plan, standing, refused)
            if pause is None or not refused.failure.may_pass:
                raise
            log.warning("%s; nothing was submitted, next try in %.0f s", refused, pause)
            time.sleep(pause)
    raise AssertionError("the last try returns or raises")


def _confirm(plan: Plan, standing: Standing, refused: Refused) -> tuple[Taken, dict[str, str]]:
    """Look for an upload whose end is unknown; it is never sent again."""
    row = _find_new(plan, standing, _LOOKS)
    if not row:
        raise KitError(
            f"{refused}. It is not known whether Kaggle took the submission: look at {_page(plan)} before you submit it again"
        ) from refused
    return Taken(answer=f"the submission is listed, although the upload ended with: {refused}", ref=row.get("ref")), row


def _find_new(plan: Plan, standing: Standing, pauses: Sequence[float]) -> dict[str, str]:
    """Return the row of this upload that was not listed before it; empty if there is none."""
    for pause in pauses:
        time.sleep(pause)
        try:
            rows = list_submissions(plan.competition)
        except KitError as error:
            log.warning("Kaggle did not list the submissions: %s", error)
            continue
        own = [row for row in rows if _is_named(row, plan) and identity(row) not in standing.known]
        if own:
            return own[0]  # the newest comes first
    return {}


def _is_named(row: dict[str, str], plan: Plan) -> bool:
    return (row.get("fileName"), row.get("description")) == (plan.submission.name, plan.message)


def _compare(plan: Plan, ref: str | None, record: Path) -> tuple[bool | None, str]:
    """Return whether Kaggle keeps the file as it is here, None if that cannot be told, and how to say so."""
    if ref is None:
        return None, "not compared: the installed kaggle does not say which submission this is: pip install -U kaggle"
    try:
        found = submitted_sha256(ref, record)
    except (NoSuchCommand, Refused) as error:
        return None, f"not compared: {error}"
    if found == plan.contents.sha256:
        return True, f"the same file, SHA-256 {found[:16]}..."
    return False, f"another file, SHA-256 {found[:16]}... where {plan.contents.sha256[:16]}... was uploaded"


def _wait_for_score(plan: Plan, taken: Taken, first: dict[str, str], standing: Standing, poll_seconds: float) -> dict[str, str]:
    """Return Kaggle's row of this upload once its status is final."""

    def look() -> dict[str, str]:
        try:
            rows = list_submissions(plan.competition)
        except Refused as refused:
            if refused.failure.kind == CREDENTIALS:
                raise
            return {}  # Kaggle is asked again
        if taken.ref and any(row.get("ref") for row in rows):
            own = [row for row in rows if row.get("ref") == taken.ref]
        elif first:
            own = [row for row in rows if identity(row) == identity(first)]
        else:
            own = [row for row in rows if _is_named(row, plan) and identity(row) not in standing.known]
        return own[0] if own and is_final(own[0]) else {}

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


def _page(plan: Plan) -> str:
    return f"https://www.kaggle.com/competitions/{plan.competition}/submissions"
