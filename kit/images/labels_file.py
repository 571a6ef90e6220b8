"""A lab's own labels: one text table, a row per well, with whatever columns the lab keeps.

plate     Metadata_Plate, Plate, plate, barcode ...
well      Metadata_Well, well, well_position ..., or a row (letter or number) and a column
others    kept as Metadata_<column>, text as written; an empty cell is unknown
"""

import csv
import functools
import gzip
import io
import re
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from kit.errors import KitError
from kit.files import existing_file
from kit.images.names import normalise_well, well_of_pair
from kit.words import nearest, some

PLATE, WELL = "Metadata_Plate", "Metadata_Well"
_PLATE = ("plate", "barcode", "platebarcode", "assayplatebarcode", "plateid", "platename")
_WELL = ("well", "wellposition", "wellid", "wellname")
_ROW = ("row", "wellrow", "rowname")
_COLUMN = ("column", "col", "wellcolumn", "wellcol", "columnname")
_OWN = {"Metadata_Site": "labels are of wells", "Metadata_is_control": "--control says which wells are controls"}
_NAMES = (".csv", ".tsv", ".txt", ".csv.gz", ".tsv.gz", ".txt.gz")


@dataclass(frozen=True)
class LabelFile:
    """The labels of a file.

    `table`: one row per well, Metadata_Plate, Metadata_Well ("D08") and one column Metadata_<column> for each further
    column of the file, all text; "" is unknown.
    """

    path: Path
    table: pd.DataFrame

    @property
    def columns(self) -> list[str]:
        """The label columns, without plate and well."""
        return [column for column in map(str, self.table) if column not in (PLATE, WELL)]

    @functools.cached_property
    def plates(self) -> list[str]:
        """The plates, in the order of the file."""
        return list(dict.fromkeys(self.table[PLATE]))

    def wells(self, plate: str) -> pd.DataFrame:
        """Return the rows of one plate."""
        return self.table[self.table[PLATE] == plate].reset_index(drop=True)

    def column(self, name: str) -> str:
        """Return the full name of a column that a user named with or without Metadata_.

        Raises:
            KitError: the file has no such column; the message lists those it has.
        """
        return find_column(name, self.columns, str(self.path))


def find_column(name: str, columns: Sequence[str], where: str) -> str:
    """Return the one of `columns` that `name` means, with or without Metadata_.

    Raises:
        KitError: there is none; `where` is the table that has the columns.
    """
    full = metadata_name(name)
    if full in columns:
        return full
    short = [column.removeprefix("Metadata_") for column in columns]
    there = f"{nearest(full.removeprefix('Metadata_'), short)}; it has: {', '.join(short) or 'none'}"
    raise KitError(f"{where} has no column {name}{there}")


def metadata_name(column: str) -> str:
    """Return the name under which a column of a lab is kept: Metadata_<column>."""
    return column if column.startswith("Metadata_") else f"Metadata_{column}"


def place_columns(header: Sequence[str]) -> tuple[str | None, str | None]:
    """Return the columns of plates and of wells in a header, by their names as above; None where there is none."""
    plain = [_plain(name) for name in header]
    plate, well = (next((plain.index(name) for name in names if name in plain), None) for names in (_PLATE, _WELL))
    return (None if plate is None else header[plate]), (None if well is None else header[well])


def _plain(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.lower().removeprefix("metadata_"))


def read_label_file(path: Path) -> LabelFile:
    """Read a table of labels: .csv, .tsv or .txt, also .gz; commas, tabs or semicolons separate its columns.

    Spaces around a value do not count; columns without a name are left out.

    Raises:
        UsageError: no such file.
        KitError: it cannot be read, lacks a column, has a bad well, or rows that contradict each other; the message names
            file and line.
    """
    path = existing_file(path, "--labels takes a table (.csv, .tsv) with the columns plate, well and your labels")
    header, rows = _read_rows(path)
    plate, place, names = _find_columns(header, path)
    table = pd.DataFrame([cells for _, cells in rows], columns=range(len(header)), dtype=str)
    lines = [line for line, _ in rows]
    found = {PLATE: table[plate], WELL: _wells(table, place, lines, path)}
    found |= {name: table[number] for number, name in names.items()}
    named = pd.DataFrame(found)
    if (named[PLATE] == "").any():
        raise KitError(f"{path}, line {lines[int((named[PLATE] == '').argmax())]}: the plate is empty")
    return LabelFile(path, _one_row_each(named, lines, path))


def _read_rows(path: Path) -> tuple[list[str], list[tuple[int, list[str]]]]:
    """Return the header, and (line, cells) of every row that is not empty."""
    if not path.name.lower().endswith(_NAMES):
        raise KitError(f"{path}: labels are read from a .csv or .tsv (also .gz); save the table as CSV")
    try:
        data = path.read_bytes()
        text = (gzip.decompress(data) if data[:2] == b"\x1f\x8b" else data).decode("utf-8-sig")
        first = text.lstrip().partition("\n")[0]
        sign = "\t" if "\t" in first else ";" if ";" in first and "," not in first else ","
        reader = csv.reader(io.StringIO(text, newline=""), delimiter=sign, strict=True)
        rows = [(reader.line_num, [cell.strip() for cell in row]) for row in reader if any(cell.strip() for cell in row)]
    except UnicodeDecodeError as error:
        raise KitError(f"{path} is not UTF-8 text ({error.reason} at byte {error.start}): save it as CSV UTF-8") from error
    except (csv.Error, EOFError, OSError, zlib.error) as error:
        raise KitError(f"{path} cannot be read as a table: {error}") from error
    if len(rows) < 2:
        raise KitError(f"{path} is empty: need a line of column names, then a line for each well")
    header = rows[0][1]
    for line, cells in rows[1:]:
        if len(cells) > len(header):
            raise KitError(f"{path}, line {line}: {len(cells)} values for {len(header)} columns; put quotes around {cells[-1]!r}"
                           " if its comma is part of a value")  # fmt: skip
        cells += [""] * (len(header) - len(cells))
    return header, rows[1:]


def _find_columns(header: list[str], path: Path) -> tuple[int, tuple[int, ...], dict[int, str]]:
    """Return where plate and well (or row and column) stand, and column -> name of the labels."""
    plain = [_plain(name) for name in header]

    def first(names: Sequence[str]) -> int | None:
        return next((plain.index(name) for name in names if name in plain), None)

    plate, well, row, column = (first(names) for names in (_PLATE, _WELL, _ROW, _COLUMN))
    listed = f"; it has: {some([name for name in header if name], 12)}"
    if plate is None:
        raise KitError(f"{path} has no column of plates (plate or barcode){listed}")
    place = (well,) if well is not None else (row, column)
    if None in place:
        raise KitError(f"{path} has no column well, nor row and column{listed}")
    known = tuple(number for number in place if number is not None)
    names = {number: metadata_name(name) for number, name in enumerate(header) if name and number not in (plate, *known)}
    taken = {PLATE: header[plate], WELL: header[known[0]]}
    for number, name in names.items():
        if name in _OWN:
            raise KitError(f"{path}: column {header[number]} cannot be kept as {name}, which is kit's own: {_OWN[name]}")
        if name in taken:
            raise KitError(f"{path}: columns {taken[name]} and {header[number]} would both be {name}: rename one")
        taken[name] = header[number]
    if not names:
        raise KitError(f"{path} has no column of labels beside plate and well{listed}")
    return plate, known, names


def _wells(table: pd.DataFrame, place: tuple[int, ...], lines: list[int], path: Path) -> list[str]:
    cells = list(zip(*(table[number] for number in place), strict=True))
    found: dict[tuple[str, ...], str] = {}
    for line, cell in zip(lines, cells, strict=True):
        if cell not in found:
            try:
                found[cell] = normalise_well(*cell) if len(cell) == 1 else well_of_pair(*cell)
            except KitError as error:
                raise KitError(f"{path}, line {line}: {error}") from error
    return [found[cell] for cell in cells]


def _one_row_each(table: pd.DataFrame, lines: list[int], path: Path) -> pd.DataFrame:
    """Drop rows that repeat another; rows of a well that contradict each other are an error."""
    distinct = table.drop_duplicates()
    twice = distinct[distinct.duplicated([PLATE, WELL])]
    if len(twice):
        later = twice.iloc[0]
        same = distinct[(distinct[PLATE] == later[PLATE]) & (distinct[WELL] == later[WELL])]
        earlier = same.iloc[0]
        column = next(name for name in map(str, table) if earlier[name] != later[name])
        raise KitError(
            f"{path}: well {later[WELL]} of plate {later[PLATE]} has {column.removeprefix('Metadata_')} {earlier[column]!r} in "
            f"line {lines[same.index[0]]} and {later[column]!r} in line {lines[twice.index[0]]}: give each well one row "
            "(leave out columns that differ within a well; a combination is one label, such as A+B)"
        )
    return distinct.reset_index(drop=True)
