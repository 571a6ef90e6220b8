"""load_data.csv(.gz): one row per site, FileName_ and PathName_ of every channel, Metadata_ columns; positions in metres."""

from pathlib import Path

import pandas as pd

from kit.errors import KitError
from kit.images.names import normalise_well, well_name

_NAMES = ("load_data.csv.gz", "load_data.csv")
_SITE = ("Metadata_Site", "Metadata_FieldID")


def find_load_data(folders: list[Path], barcode: str) -> Path | None:
    """Return the first load_data file that may speak of the plate: in its own folder first, then one for many plates."""
    for folder in folders:
        for place in (folder / barcode, folder / "load_data" / barcode, folder, folder / "load_data"):
            for name in _NAMES:
                if (place / name).is_file():
                    return place / name
        for own in sorted(folder.glob(f"{barcode}__*")):
            for name in _NAMES:
                if (own / name).is_file():
                    return own / name
    return None


def read_load_data(path: Path | str, source=None) -> pd.DataFrame:
    """Return the table as text, with three columns added: plate ("" where it has none), well, site (int).

    Args:
        path: names the file in errors.
        source: what to read; the path itself where it is None.

    Raises:
        KitError: not a table, or it says neither well nor row and column, or no site.
    """
    try:
        table = pd.read_csv(path if source is None else source, dtype=str, keep_default_na=False)
    except (pd.errors.ParserError, pd.errors.EmptyDataError, UnicodeDecodeError, EOFError, OSError) as error:
        raise KitError(f"{path} cannot be read as a table: {error}") from error
    site = next((column for column in _SITE if column in table), None)
    if site is None:
        raise KitError(f"{path} has no column {' or '.join(_SITE)}")
    table["plate"] = table.get("Metadata_Plate", "")
    table["well"] = _wells(table, path)
    table["site"] = _integers(table, site, path)
    return table


def positions_um(table: pd.DataFrame) -> pd.DataFrame | None:
    """Return x_um and y_um of each row (NaN where empty), or None where the table has no positions."""
    if "Metadata_PositionX" not in table or "Metadata_PositionY" not in table:
        return None
    metres = table[["Metadata_PositionX", "Metadata_PositionY"]].apply(pd.to_numeric, errors="coerce")
    return (metres * 1e6).set_axis(["x_um", "y_um"], axis=1)


def _wells(table: pd.DataFrame, path) -> list[str]:
    if "Metadata_Well" in table:
        names = {text: normalise_well(text) for text in table["Metadata_Well"].unique()}
        return [names[text] for text in table["Metadata_Well"]]
    if "Metadata_Row" in table and "Metadata_Col" in table:
        rows, cols = _integers(table, "Metadata_Row", path), _integers(table, "Metadata_Col", path)
        return [well_name(row, col) for row, col in zip(rows, cols, strict=True)]
    raise KitError(f"{path} has no column Metadata_Well (nor Metadata_Row and Metadata_Col)")


def _integers(table: pd.DataFrame, column: str, path) -> pd.Series:
    numbers = pd.to_numeric(table[column], errors="coerce")
    bad = numbers.isna() | (numbers != numbers.round())
    if bad.any():
        raise KitError(f"{path}, row {int(bad.idxmax()) + 2}: {column} is {table[column][bad.idxmax()]!r}, not a whole number")
    return numbers.astype(int)
