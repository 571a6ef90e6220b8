"""Past uploads: the local records and their scores on Kaggle."""

import tomllib
from pathlib import Path

from kit.challenge.kaggle_cli import COMPETITION, list_submissions
from kit.challenge.score_text import percent
from kit.challenge.submit import RECORDS, read_score
from kit.errors import KitError


def submissions(*, competition: str | None = None, records: Path = RECORDS) -> str:
    """Return a table of the records under submissions/, newest first, with local score, its null and public score.

    Scores come from Kaggle; if it cannot be reached, the recorded ones are shown and a line says so.
    """
    found, damaged = [], ""
    notes: dict[str, None] = {}
    for path in sorted(records.glob("*/run.toml"), reverse=True):
        try:
            found.append(_read(path.parent))
        except KitError as error:  # one record's damage hides no other
            damaged += f"\n{error}"
    if not found and not damaged:
        return f"no submission recorded under {records}/"
    competition = competition or COMPETITION
    try:
        rows, note = list_submissions(competition), ""
    except KitError as error:
        rows, note = [], f"\npublic scores as last recorded: {error}"
    lines = [f"{'submission':<48} {'local':>6} {'null':>6} {'public':>8}  message"]
    for record in found:
        own = [row for row in rows if row.get("fileName") == record["file"] and row.get("description") == record["message"]]
        public = (own[0].get("publicScore") if own else None) or record.get("public_score") or "-"
        local, null = percent(record["local"]), percent(record["null"].get("value"))
        if null != "-" and record["null"].get("final_features_only"):
            null, notes[record["null"]["note"]] = f"{null}*", None
        lines.append(f"{record['name']:<48} {local:>6} {null:>6} {public:>8}  {record['message']}")
    return "\n".join([*lines, *(f"* {text}" for text in notes)]) + note + damaged


def _read(record: Path) -> dict:
    try:
        table = tomllib.loads((record / "run.toml").read_text())
        score = read_score(record)
        return {**table["submission"], "name": record.name, "local": score.get("mean"), "null": score.get("null") or {}}
    except (tomllib.TOMLDecodeError, KeyError, ValueError) as error:
        raise KitError(f"{record} is not a readable record: {error}") from error
