"""The local score of a submission: what a score.json holds of this very file."""

import json
from pathlib import Path
from typing import Any

from kit.challenge.further_text import percent
from kit.errors import KitError
from kit.words import typed


def find_score(submission: Path, columns: int, manifest: dict[str, Any] | None) -> tuple[dict[str, Any] | None, list[str]]:
    """Return the score that score.json beside a submission holds of it, or None, and what to warn of.

    Args:
        columns: its feature columns; a score of another number of features was made of another file, unless its manifest says
            that columns were rotated after scoring.

    Raises:
        KitError: score.json is damaged.
    """
    path = submission.with_name("score.json")
    if not path.is_file():
        return None, [
            f"no score.json beside {submission.name}: the record will have no local score (kit score ... --json {typed(path)})"
        ]
    try:
        table = json.loads(path.read_text())
    except ValueError as error:
        raise KitError(f"{path} is damaged ({error}); delete it, or write it again with kit score") from error
    score = _of_file(table, submission, manifest) if isinstance(table, dict) else None
    if score is None:
        return None, [f"{path} does not hold a score of {submission.name}: the record will have no local score"]
    found = score.get("n_features")
    rotated = manifest is not None and "columns_made_by" in manifest
    if found is not None and found != columns and not rotated:
        return score, [f"{path} scored {found} features and {submission.name} has {columns}: is it the score of another file?"]
    return score, []


def score_line(score: dict[str, Any] | None) -> str:
    """Return the local score, its null and chance in a line."""
    if score is None:
        return "local score: none"
    null = score.get("null") or {}
    mean, by_chance = percent(score.get("mean")), percent(score.get("chance"))
    return f"local score: {mean} %, its null {percent(null.get('value'))} %, chance {by_chance} %"


def _of_file(table: dict[str, Any], submission: Path, manifest: dict[str, Any] | None) -> dict[str, Any] | None:
    """Return the one feature set's score, or of several the one of this submission or of the profiles it was written from."""
    if "files" not in table:
        return table
    source = ((manifest or {}).get("source") or {}).get("file", "")
    names = {Path(path).name: score for path, score in table["files"].items()}
    return names.get(submission.name) or names.get(source)
