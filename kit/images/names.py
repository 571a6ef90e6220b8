"""Names of wells and channels as files write them, turned into the one form kit uses."""

import re
from collections.abc import Iterable

from kit.config import CHANNELS
from kit.errors import KitError

_WELL = re.compile(r"\s*([A-Za-z]{1,2})0*([1-9]\d?)\s*")
_CHANNEL = re.compile(r"ch(\d+)")
_ROWS = 48  # a 1536-well plate has 32, a 3456-well plate 48


def normalise_well(text: str) -> str:
    """Return "D08" for "D8", "d08" or "D08".

    Raises:
        KitError: the text does not name a well.
    """
    match = _WELL.fullmatch(str(text))
    if not match:
        raise KitError(f"{text!r} is not a well: need a row letter and a column number, such as D08")
    row = _row_number(match[1].upper())
    if row > _ROWS:
        raise KitError(f"{text!r} is not a well: rows are A to {_row_letters(_ROWS)}")
    return well_name(row, int(match[2]))


def normalise_wells(texts: Iterable[str], source: object) -> list[str]:
    """Return `normalise_well` of each text; errors name `source`, the file that they come from."""
    texts = list(texts)
    try:
        names = {text: normalise_well(text) for text in dict.fromkeys(texts)}
    except KitError as error:
        raise KitError(f"{source}: {error}") from error
    return [names[text] for text in texts]


def well_name(row: int, col: int) -> str:
    """Return the name of the well in `row` and `col`, both counted from 1: (4, 8) is "D08"."""
    if not (1 <= row <= _ROWS and 1 <= col <= 99):
        raise KitError(f"row {row}, column {col} is not a well: rows are 1 to {_ROWS}, columns 1 to 99")
    return f"{_row_letters(row)}{col:02d}"


def well_of_pair(row: str, column: str) -> str:
    """Return the well of a row (letter, or number counted from 1) and a column: ("D", "8") and ("4", "8") are "D08".

    "4.0" is 4, as a spreadsheet may write it.

    Raises:
        KitError: they do not name a well.
    """
    row, column = (re.sub(r"\.0+$", "", text.strip()) for text in (row, column))
    if column.isdecimal() and row.isdecimal():
        return well_name(int(row), int(column))
    if column.isdecimal() and row.isalpha():
        return normalise_well(row + column)
    raise KitError(f"row {row!r}, column {column!r} is not a well: need a row letter or number and a column number, as D and 8")


def well_position(well: str) -> tuple[int, int]:
    """Return (row, column), counted from 1, of a well named as `well_name` does."""
    letters = well.rstrip("0123456789")
    return _row_number(letters), int(well[len(letters) :])


def order_channels(names: Iterable[str]) -> tuple[str, ...]:
    """Return the names in kit's order: CPJUMP1's eight channels first, then others as they came, then ch1, ch2 ... by number."""
    names = list(dict.fromkeys(names))
    known = [name for name in CHANNELS if name in names]
    others = [name for name in names if name not in CHANNELS]
    return (*known, *sorted(others, key=_number))  # a stable sort: without a number they stay as they came


def _number(channel: str) -> int:
    match = _CHANNEL.fullmatch(channel)
    return int(match[1]) if match else 0


def _row_letters(row: int) -> str:
    return chr(64 + row) if row <= 26 else "A" + chr(64 + row - 26)


def _row_number(letters: str) -> int:
    return ord(letters) - 64 if len(letters) == 1 else 26 + ord(letters[1]) - 64
