"""Re-read a submission: every ID once and in the given order, every value present and finite."""

import csv
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import polars as pl

from kit.challenge.csv_files import plain_csv, read_csv, text_file
from kit.challenge.ids import read_ids
from kit.challenge.rows import are_plain, read_rows
from kit.errors import KitError
from kit.words import count


@dataclass(frozen=True, slots=True)
class Checked:
    """A submission that passed: its rows (IDs) and feature columns. note: what else to say of it."""

    path: Path
    rows: int
    columns: int
    note: str = ""

    def text(self) -> str:
        """Return a line of text, and another one with the note if there is one."""
        size = f"{count(self.rows, 'row')} x {count(self.columns, 'feature')}"
        line = f"{self.path}: {size}; every ID once, in order, every value finite"
        return f"{line}\n  {self.note}" if self.note else line


def check(submission: Path, ids: Path, **columns: str | None) -> Checked:
    """Read a submission again as the challenge would.

    Args:
        ids: the challenge's metadata_test.csv; `columns`: id_column, plate_column, well_column of it, see `read_ids`.

    Raises:
        UsageError: a file does not exist, or the submission is gzipped.
        KitError: naming the first ID, row or column that is wrong.
    """
    return check_against(plain_csv(submission), read_ids(Path(ids), **columns)["ID"].tolist(), called=str(submission))


def check_against(path: Path, wanted: list[str], *, called: str) -> Checked:
    """Check the CSV at `path` against the expected IDs, in order; errors call the file `called`."""
    names = _header(path, called)
    if not _is_right(path, names, wanted):
        _find_fault(path, names, wanted, called)
    return Checked(Path(called), len(wanted), len(names) - 1)


def _is_right(path: Path, names: list[str], wanted: list[str]) -> bool:
    """Return whether a file is as `kit export` writes it: ID first, the wanted IDs, finite float32 numbers, no quotation mark."""
    if names[0] != "ID" or not are_plain(names):
        return False
    start = 0
    for found in read_rows(path, len(names) - 1):
        if found is None or found[0] != wanted[start : start + len(found[0])]:
            return False
        start += len(found[0])
    return start == len(wanted)


def _find_fault(path: Path, names: list[str], wanted: list[str], called: str) -> None:
    """Raise a KitError that names the first fault; a file in another form, such as with quotation marks, may have none."""
    frame = read_csv(path, lambda name: name == "ID", pl.Float64, called=called)
    _check_ids(frame["ID"].fill_null("").to_list(), wanted, called)
    features = [name for name in names if name != "ID"]
    for name in features:
        _check_column(frame[name], frame["ID"], called)


def _header(path: Path, called: str) -> list[str]:
    text_file(path, called)
    try:
        with path.open(newline="") as file:
            names = next(csv.reader(file), [])
    except UnicodeDecodeError as error:
        raise KitError(f"{called} is not a CSV text file: {error}") from error
    if "ID" not in names:
        raise KitError(f"{called} has no column ID; its first columns are {', '.join(names[:5]) or 'none'}")
    twice = pd.Index(names)[pd.Index(names).duplicated()]
    if len(twice):
        raise KitError(f"{called}: column {twice[0]} appears twice")
    if len(names) < 2:
        raise KitError(f"{called} has no feature column beside ID")
    return names


def _check_ids(found: list[str], wanted: list[str], called: str) -> None:
    twice = pd.Index(found)[pd.Index(found).duplicated()]
    if len(twice):
        raise KitError(f"{called}: ID {twice[0]!r} appears in {found.count(twice[0])} rows; every ID must appear once")
    lacking = sorted(set(wanted) - set(found), key=wanted.index)
    if lacking:
        raise KitError(f"{called} lacks ID {lacking[0]!r}" + (f" and {len(lacking) - 1} more" if len(lacking) > 1 else ""))
    strange = sorted(set(found) - set(wanted), key=found.index)
    if strange:
        raise KitError(
            f"{called}: ID {strange[0]!r} is not in the ID table"
            + (f" (and {len(strange) - 1} more)" if len(strange) > 1 else "")
        )
    for row, (have, want) in enumerate(zip(found, wanted, strict=True)):
        if have != want:
            raise KitError(f"{called}, row {row + 2}: ID {have!r} where the ID table has {want!r}: keep its order")


def _check_column(column: pl.Series, ids: pl.Series, called: str) -> None:
    if not column.dtype.is_numeric():
        texts = column.cast(pl.String)
        column = texts.cast(pl.Float64, strict=False)  # "nan" is a number that is not finite
        if column.null_count():
            row = int(np.argmax(column.is_null().to_numpy()))
            raise KitError(f"{called}: {texts.name} of ID {ids[row]} is {texts[row] or 'empty'}, not a number")
    values = column.cast(pl.Float64).to_numpy()  # null -> NaN
    with np.errstate(over="ignore"):
        bad = ~np.isfinite(values.astype(np.float32))  # the score reads float32, which holds nothing beyond 3.4e38
    if bad.any():
        row = int(bad.argmax())
        raise KitError(
            f"{called}: {column.name} of ID {ids[row]} is {'empty' if column[row] is None else values[row]}; need a finite number"
        )
