"""Feature sets side by side: what each differs from the first by, well by well."""

from typing import Any

from kit.report.blocks import Block, Section, Table, Text
from kit.report.context import Context, ScoreFile, names_of


def section(context: Context) -> Section:
    """Return a table for each score file with several feature sets."""
    blocks: list[Block] = [block for file in context.scores for block in _file(file)]
    if not blocks:
        several = [file.path.name for file in context.scores if len(file.sets) > 1]
        found = f"{several[0]} compares none of its feature sets" if several else "One feature set"
        blocks = [Text(f"{found}. kit score A.parquet B.parquet --json score.json sets several side by side.")]
    return Section("compared", "Feature sets side by side", tuple(blocks))


def _file(file: ScoreFile) -> list[Block]:
    if file.comparison is None or not file.comparison["files"]:
        return []
    names = names_of(file.sets)
    first, others = names[file.comparison["less"]], file.comparison["files"]
    directions = list(dict.fromkeys(direction for found in others.values() for direction in found["directions"]))
    rows = [
        [names[path], *(_points(found["directions"].get(direction)) for direction in directions), _points(found["mean"])]
        for path, found in others.items()
    ]
    notes = [
        "Points of accuracy, on wells that both test. Brackets: 95 % over draws of plates; one that holds 0 does not decide.",
        *file.notes,
    ]
    return [Table([f"less {first}", *directions, "mean"], rows, title=file.path.name, notes=tuple(notes))]


def _points(own: dict[str, Any] | None) -> str:
    if own is None or own.get("difference") is None:
        return "-"
    points = f"{100 * own['difference']:+.1f}"
    return points + (f" [{100 * own['interval'][0]:+.1f}, {100 * own['interval'][1]:+.1f}]" if own["interval"] else "")
