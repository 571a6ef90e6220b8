"""Past uploads: the local records, their scores on Kaggle, and what changed from each to the next."""

from pathlib import Path
from typing import Any

from kit.challenge.further_text import percent
from kit.errors import KitError
from kit.kaggle.changes import changes
from kit.kaggle.competition import COMPETITION, list_submissions
from kit.kaggle.record import RECORDS, Record, read_record, write_run_toml
from kit.kaggle.submit import is_final, status_of

_NOTE = (
    "difference: public less local, in points; the local score is of other wells and rules, so only its changes can be compared"
)


def submissions(*, competition: str | None = None, records: Path = RECORDS) -> str:
    """Return a table of the records under submissions/, newest first: local score, its null, public score, their difference.

    Below each: what changed from the one before it. Scores come from Kaggle and are then kept in the records; if it cannot be
    reached, the recorded ones are shown and a line says so.
    """
    found, damaged = _read_all(records)
    if not found and not damaged:
        return f"no submission recorded under {records}/"
    try:
        rows, note = list_submissions(competition or COMPETITION), []
    except KitError as error:
        rows, note = [], [f"public scores as last recorded: {error}"]
    scores = [_public(record, rows) for record in found]
    whole = 100 if any(_number(score) > 1 for score in scores) else 1  # Kaggle may count in per cent
    lines = [f"{'submission':<48} {'local':>6} {'null':>6} {'public':>9} {'difference':>10}  message"]
    notes: dict[str, None] = {}
    for number, (record, score) in enumerate(zip(found, scores, strict=True)):
        local, null = record.score.get("mean"), record.score.get("null") or {}
        shown = percent(null.get("value"))
        if shown != "-" and null.get("final_features_only"):
            shown, notes[f"* {null['note']}"] = f"{shown}*", None
        points = None if local is None or not _is_number(score) else 100 * (float(score) / whole - local)
        difference = "-" if points is None else f"{points:+.1f}"
        if points is not None:
            notes[_NOTE] = None
        text = (
            f"{record.path.name:<48} {percent(local):>6} {shown:>6} {score:>9} {difference:>10}  {record.submission['message']}"
        )
        lines += [text, *_changed(found, number)]
    return "\n".join([*lines, *notes, *note, *damaged])


def _read_all(records: Path) -> tuple[list[Record], list[str]]:
    """Return the records, newest first, and a line for each that cannot be read: one record's damage hides no other."""
    found, damaged = [], []
    for path in sorted(records.glob("*/run.toml"), reverse=True):
        try:
            found.append(read_record(path.parent))
        except KitError as error:
            damaged.append(str(error))
    return found, damaged


def _public(record: Record, rows: list[dict[str, str]]) -> str:
    """Return the public score as Kaggle writes it, or its status, or "-"; a final one is kept in the record."""
    row = next((row for row in rows if record.is_row(row)), None)
    known = record.submission.get("public_score") or ("error" if "error" in record.submission.get("status", "") else "-")
    if row is None:
        return known
    score, status = row.get("publicScore"), status_of(row)
    if is_final(row) and record.submission.get("status") != status:
        table: dict[str, Any] = record.submission | {"status": status, "public_score": score or None}
        write_run_toml(record.path, table, record.steps)
    return score or (known if known != "-" else status or "-")


def _changed(found: list[Record], number: int) -> list[str]:
    """Return a line with what changed since the upload before; none for the first, or where nothing is known of it."""
    if number + 1 == len(found) or not (found[number].steps and found[number + 1].steps):
        return []
    said = changes(found[number + 1].steps, found[number].steps)
    return [f"    changed: {said or 'nothing that the manifests record'}"]


def _is_number(score: str) -> bool:
    return score.replace(".", "", 1).isdigit()


def _number(score: str) -> float:
    return float(score) if _is_number(score) else 0.0
