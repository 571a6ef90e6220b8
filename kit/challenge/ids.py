"""The challenge's ID table: the plate and well of each ID."""

import re
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import polars as pl
import polars.exceptions

from kit.challenge.csv_files import text_file
from kit.errors import KitError, UsageError
from kit.files import existing_file
from kit.images.names import normalise_well, well_of_pair
from kit.profiles.table import PLATE, WELL
from kit.words import some

# The challenge does not state the other columns of metadata_test.csv: these names, whatever their case and with or
# without `Metadata_`, are taken for what they say.
_GUESSES = {
    "id": ("id",),
    "plate": ("plate", "barcode", "platebarcode", "assayplatebarcode", "plateid"),
    "well": ("well", "wellposition", "wellid", "wellname"),
    "row": ("row", "wellrow"),
    "column": ("column", "col", "wellcolumn", "wellcol"),
}

_NAMED = ("id", "plate", "well")  # what an option can name


def read_ids(
    path: Path, *, id_column: str | None = None, plate_column: str | None = None, well_column: str | None = None
) -> pd.DataFrame:
    """Return ID (text, exactly as in the file, in its order), Metadata_Plate and Metadata_Well of every row.

    attrs["id_column"] of the result holds the name of the ID's column.

    Raises:
        UsageError: no such file; a named column is missing, or none can be guessed from the names.
        KitError: an empty or duplicated ID, a row without plate or well.
    """
    table = _read_text_columns(Path(path))
    id_name = _column(table, path, "id", id_column)
    plate_name = _column(table, path, "plate", plate_column)
    ids = pd.DataFrame({"ID": table[id_name], PLATE: table[plate_name].str.strip(), WELL: _wells(table, path, well_column)})
    empty = ids.index[(ids == "").any(axis=1)]
    if len(empty):
        raise KitError(f"{path}, row {empty[0] + 2}: no ID, plate or well")
    twice = ids["ID"][ids["ID"].duplicated()]
    if len(twice):
        raise KitError(
            f"{path}: ID {twice.iloc[0]} appears in {(ids['ID'] == twice.iloc[0]).sum()} rows; every ID must appear once"
        )
    if ids.empty:
        raise KitError(f"{path} has no rows")
    ids.attrs["id_column"] = id_name
    return ids


def plate_and_well(frame: pl.DataFrame, called: str) -> pd.DataFrame:
    """Return Metadata_Plate and Metadata_Well of a table whose columns have other names; `called` names it in errors.

    attrs["columns"] of the result are the names of the columns that they are from.

    Raises:
        UsageError: no column, or more than one, looks like plate or well. KitError: a row without plate or well.
    """
    names = [name for name in frame.columns if _word(name) in {word for words in _GUESSES.values() for word in words}]
    table = frame.select(pl.col(names).cast(pl.String, strict=False).fill_null("")).to_pandas() if names else pd.DataFrame()
    path = Path(called)
    plate = _column(table, path, "plate", None, option=False)
    where = pd.DataFrame({PLATE: table[plate].str.strip(), WELL: _wells(table, path, None, option=False)})
    empty = where.index[(where == "").any(axis=1)]
    if len(empty):
        raise KitError(f"{called}, row {empty[0] + 1}: no plate or well")
    roles = [_column(table, path, role, None, required=False) for role in ("plate", "well", "row", "column")]
    where.attrs["columns"] = [name for name in roles if name is not None]
    return where


def _read_text_columns(path: Path) -> pd.DataFrame:
    text_file(existing_file(path, "--ids is the challenge's metadata_test.csv"))
    try:
        return pl.read_csv(path, infer_schema=False).fill_null("").to_pandas()
    except (polars.exceptions.PolarsError, UnicodeDecodeError, OSError) as error:
        raise KitError(f"{path} cannot be read as CSV: {str(error).splitlines()[0]}") from error


def placed(frame: pl.DataFrame, called: str) -> pl.DataFrame:
    """Return the table with Metadata_Plate and Metadata_Well in place of the columns that say so, see `plate_and_well`."""
    if PLATE in frame.columns and WELL in frame.columns:
        return frame
    where = plate_and_well(frame, called)
    used = [name for name in where.attrs["columns"] if name not in (PLATE, WELL)]
    return frame.drop(used).with_columns(pl.Series(PLATE, where[PLATE].tolist()), pl.Series(WELL, where[WELL].tolist()))


def _column(
    table: pd.DataFrame, path: Path, role: str, named: str | None, *, required: bool = True, option: bool = True
) -> str | None:
    """Return the name of the column with this role: the one the user named, or the only one whose name says so.

    option: whether the user can name it.
    """
    if named is not None:
        if named not in table:
            raise UsageError(f"--{role}-column {named}: {path} has no such column; it has {some(list(table.columns))}")
        return named
    found = [name for name in map(str, table) if _word(name) in _GUESSES[role]]
    if len(found) == 1 or (not found and not required):
        return found[0] if found else None
    way = f"with kit export's --{role}-column" if option else f"Metadata_{role.title()}"
    flag = f"; name it {way}" if role in _NAMED else ""
    if not found:
        there = f"; it has {some(list(table.columns))}" if option else ""
        raise UsageError(f"{path}: no column looks like the {role}{there}{flag}")
    raise UsageError(f"{path}: {' and '.join(found)} both look like the {role}{flag}")


def _word(name: str) -> str:
    """Return a column's name without Metadata_, case and signs."""
    return re.sub(r"[^a-z]", "", name.lower().removeprefix("metadata_"))


def _wells(table: pd.DataFrame, path: Path, named: str | None, *, option: bool = True) -> list[str]:
    well = _column(table, path, "well", named, required=False)
    if well is not None:
        return [_checked(normalise_well, path, row, text) for row, text in enumerate(table[well])]
    rows, columns = _column(table, path, "row", None, required=False), _column(table, path, "column", None, required=False)
    if rows is None or columns is None:
        _column(table, path, "well", None, option=option)
    return [_checked(well_of_pair, path, row, *pair) for row, pair in enumerate(zip(table[rows], table[columns], strict=True))]


def _checked(convert: Callable[..., str], path: Path, row: int, *value: str) -> str:
    if not "".join(value).strip():
        return ""  # reported with the rows that lack an ID or plate
    try:
        return convert(*value)
    except KitError as error:
        raise KitError(f"{path}, row {row + 2}: {error}") from error
