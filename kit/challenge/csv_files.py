"""Read wide CSV files fast: those of `kit export` by the reader of its rows; of others types are inferred from the first rows,
and from all rows only if those do not suffice.
"""

from collections.abc import Callable
from pathlib import Path

import polars as pl
import polars.exceptions

from kit.challenge.rows import read_plain
from kit.errors import KitError, UsageError
from kit.files import existing_file

_HEAD = 200  # rows
_OTHERS = {b";": "semicolons", b"\t": "tabs"}
_START = 4096  # bytes
_READING = (polars.exceptions.PolarsError, UnicodeDecodeError, OSError)  # OSError: a packed file that ends too early
_GZIP = b"\x1f\x8b"


def read_csv(path: Path, is_text: Callable[[str], bool], number: type[pl.DataType], *, called: str | None = None) -> pl.DataFrame:
    """Return a CSV (or .csv.gz): columns that `is_text` picks as text, columns of numbers as `number`, the rest as they look.

    Raises:
        KitError: the file cannot be read as CSV; it is called `called`.
    """
    text_file(path, called)
    if number == pl.Float32 and (plain := read_plain(path, is_text)) is not None:
        return plain
    try:
        head = pl.read_csv(path, n_rows=_HEAD, infer_schema_length=_HEAD)
        text = {name: pl.String for name in head.columns if is_text(name)}
        numbers = {name: number for name, kind in head.schema.items() if kind.is_numeric() and name not in text}
        if any(head[name].null_count() == len(head) for name in head.columns if name not in text):
            return _read_all_as_text(path, is_text, number, called)
        return _named(pl.read_csv(path, schema_overrides={**text, **numbers}, infer_schema_length=_HEAD), path)
    except polars.exceptions.ComputeError:  # a later row is not what the first rows are
        return _read_all_as_text(path, is_text, number, called)
    except _READING as error:
        raise _unreadable(called or path, error) from error


def text_file(path: Path, called: str | None = None) -> None:
    """Check that a file starts like a CSV.

    Raises:
        KitError: it holds a zero byte, as UTF-16 and most binary files do, or its columns are not separated by commas.
            A compressed file is checked by its reader.
    """
    with path.open("rb") as file:
        start = file.read(_START)
    if start.startswith(_GZIP):
        return
    if b"\0" in start:
        raise KitError(
            f"{called or path} is not a CSV text file: it contains NUL bytes (UTF-16, or not text at all); save it as UTF-8"
        )
    head = start.partition(b"\n")[0]
    between = next((name for sign, name in _OTHERS.items() if sign in head and b"," not in head), None)
    if between:
        raise KitError(f"{called or path}: its columns are separated by {between}; save it with commas")


def plain_csv(path: Path) -> Path:
    """Return the path of a submission: an existing file that is not compressed.

    Raises:
        UsageError: it does not exist, or it is gzipped.
    """
    path = existing_file(path, "kit export writes a submission")
    with path.open("rb") as file:
        if file.read(len(_GZIP)) == _GZIP:
            raise UsageError(f"{path}: the challenge takes a plain CSV; unpack it: gunzip -k {path}")
    return path


def _read_all_as_text(
    path: Path, is_text: Callable[[str], bool], number: type[pl.DataType], called: str | None = None
) -> pl.DataFrame:
    """Read every row as text and turn each column into numbers if all of its values are."""
    try:
        frame = _named(pl.read_csv(path, infer_schema=False), path)
    except _READING as error:
        raise _unreadable(called or path, error) from error
    columns = {name: frame[name].cast(number, strict=False) for name in frame.columns if not is_text(name)}
    return frame.with_columns(column for name, column in columns.items() if column.null_count() == frame[name].null_count())


def _named(frame: pl.DataFrame, path: Path) -> pl.DataFrame:
    """Return the table with the quotes in its columns' names single: polars leaves them doubled, as CSV writes them."""
    if any('""' in name for name in frame.columns):
        header = pl.read_csv(path, has_header=False, n_rows=1, infer_schema=False).row(0)
        frame.columns = [said if '""' in name else name for name, said in zip(frame.columns, header, strict=True)]
    return frame


def _unreadable(path: Path | str, error: Exception) -> KitError:
    return KitError(f"{path} cannot be read as CSV: {str(error).splitlines()[0]}")
