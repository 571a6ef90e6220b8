"""Real fields for the part learn: some weeks of a folder of fields, copied to where a run finds them."""

import csv
import io
import shutil
from pathlib import Path

from kit.errors import KitError
from kit.files import existing_file, write_whole
from kit.words import count

WEEKS = ("Week3", "Week9")  # of BBBC021, the two with several compounds, which can be scored


def copy_fields(source: Path, out: Path, weeks: tuple[str, ...] = WEEKS) -> str:
    """Copy images.csv and the images of some weeks, and return a line on it; images that are there already stay.

    Raises:
        UsageError: no images.csv. KitError: no column file or week in it, none of these weeks, or an image is missing.
    """
    table = existing_file(source / "images.csv", "FIELDS names the folder with this table and its images")
    with table.open(newline="", encoding="utf-8") as file:
        reader = csv.DictReader(file)
        rows, columns = [row for row in reader if row.get("week") in weeks], list(reader.fieldnames or [])
    absent = [name for name in ("file", "week") if name not in columns]
    if absent:
        raise KitError(f"{table} has no column {absent[0]}")
    if not rows:
        raise KitError(f"{table} has no field of {' or '.join(weeks)}")
    size = 0
    for row in rows:
        origin, target = existing_file(source / row["file"], f"{table} names it"), out / row["file"]
        target.parent.mkdir(parents=True, exist_ok=True)
        if not target.is_file() or target.stat().st_size != origin.stat().st_size:
            shutil.copyfile(origin, target)
        size += target.stat().st_size
    lines = [columns, *([row[name] for name in columns] for row in rows)]
    write_whole(out / "images.csv", _text(lines))
    return f"{out}: {count(len(rows), 'field')} of {' and '.join(weeks)}, {size / 1e6:.1f} MB"


def _text(lines: list[list[str]]) -> str:
    out = io.StringIO()
    csv.writer(out, lineterminator="\n").writerows(lines)
    return out.getvalue()
