"""load_data.csv(.gz): one row per site, FileName_ and PathName_ of every channel, Metadata_ columns; positions in metres."""

import zlib
from dataclasses import replace
from pathlib import Path
from typing import Literal

import pandas as pd

from kit.errors import KitError
from kit.images.names import normalise_wells, well_name
from kit.images.source.folders import Folder, ImageFile, Reader, is_url, open_file

_NAMES = ("load_data.csv.gz", "load_data.csv")
_SITE = ("Metadata_Site", "Metadata_FieldID")
_PLATE_M = 0.15  # a plate is 0.128 m long


def find_load_data(folders: list[Folder], barcode: str) -> ImageFile | None:
    """Return the first load_data file that may cover the plate: in its own folder first, then one for many plates."""
    for folder in folders:
        own = [folder / entry.name for entry in folder.entries() if entry.is_folder and entry.name.split("__")[0] == barcode]
        for place in (*own, folder / "load_data" / barcode, folder, folder / "load_data"):
            found = next((file for name in _NAMES if (file := place.file(name))), None)
            if found:
                return found
    return None


def read_load_data(file: ImageFile, reader: Reader) -> pd.DataFrame:
    """Return the table as text, with three columns added: plate ("" where it has none), well, site (int).

    Raises:
        KitError: not a table, or it says neither well nor row and column, or no site.
    """
    compression: Literal["gzip"] | None = "gzip" if file.path.endswith(".gz") else None
    try:
        with open_file(reader, file) as text:
            table = pd.read_csv(text, dtype=str, keep_default_na=False, compression=compression)
    except (pd.errors.ParserError, pd.errors.EmptyDataError, UnicodeDecodeError, EOFError, OSError, zlib.error) as error:
        raise KitError(f"{file.path} cannot be read as a table: {error}") from error
    site = next((column for column in _SITE if column in table), None)
    if site is None:
        raise KitError(f"{file.path} has no column {' or '.join(_SITE)}")
    table["plate"] = table.get("Metadata_Plate", "")
    table["well"] = _wells(table, file.path)
    table["site"] = _integers(table, site, file.path)
    return table


def images_of(table: pd.DataFrame, file: ImageFile) -> dict[tuple[str, int], dict[str, ImageFile]]:
    """Return (well, site) -> channel -> file of the rows of one plate, from FileName_ and PathName_ (or URL_) columns.

    Paths that are not absolute start at the table's own folder. "Orig" before a channel's name is dropped. Of a file with
    several planes, Plane_<channel> (from 1) or CellProfiler's Frame_<channel> (from 0) says which is the channel's; where no
    such column stands, a file named by several channels holds one plane for each, in the order of the columns.

    Raises:
        KitError: no column names files, two rows name different files for an image, or a plane is not a number.
    """
    columns = [c for c in map(str, table) if c.startswith(("FileName_", "URL_")) and not c.partition("_")[2].startswith("Illum")]
    names = list(dict.fromkeys(column.partition("_")[2] for column in columns))
    channels = {name: next(c for c in (f"FileName_{name}", f"URL_{name}") if c in columns) for name in names}
    if not channels:
        raise KitError(f"{file.path} has no column FileName_<channel>")
    here, planes = Folder(file.path).parent, {name: _planes(table, name, file.path) for name in channels}
    images: dict[tuple[str, int], dict[str, ImageFile]] = {}
    for number, row in enumerate(table.to_dict("records")):
        found = {}
        for name, column in channels.items():
            if row[column]:
                folder = "" if column.startswith("URL_") else row.get(f"PathName_{name}", "")
                found[name.removeprefix("Orig")] = ImageFile(_join(here, folder, row[column]), plane=planes[name][number])
        files = images.setdefault((row["well"], row["site"]), {})
        for name, image in _share_planes(found).items():
            if files.setdefault(name, image) != image:
                raise KitError(
                    f"{file.path}: two rows for {row['well']} site {row['site']}, whose {name} is {_said(files[name])} and "
                    f"{_said(image)}: keep one row a site, of one plane and one time point"
                )
    return images


def _planes(table: pd.DataFrame, channel: str, path: str) -> list[int]:
    """Return the channel's plane in each row, from 1; 0 where the table does not say."""
    for column, first in ((f"Plane_{channel}", 1), (f"Frame_{channel}", 0)):
        if column in table:
            numbers = _integers(table, column, path) - first + 1
            if (numbers < 1).any():
                row = int((numbers < 1).to_numpy().argmax())
                raise KitError(f"{path}, row {row + 2}: {column} is {table[column].iloc[row]!r}; it counts from {first}")
            return numbers.tolist()
    return [0] * len(table)


def _share_planes(files: dict[str, ImageFile]) -> dict[str, ImageFile]:
    """Return the files of a site with a plane for each channel where several channels name one file and no plane."""
    sharing: dict[str, list[str]] = {}
    for name, file in files.items():
        if file.plane == 0:
            sharing.setdefault(file.path, []).append(name)
    shared = {
        name: replace(files[name], plane=plane, planes=len(names))
        for names in sharing.values()
        if len(names) > 1
        for plane, name in enumerate(names, start=1)
    }
    return files | shared


def _said(file: ImageFile) -> str:
    return f"{file.path} plane {file.plane}" if file.plane else file.path


def _join(here: Folder, folder: str, name: str) -> str:
    path = f"{folder.rstrip('/')}/{name}" if folder else name
    return path if is_url(path) or Path(path).is_absolute() else (here / path).path


def positions_um(table: pd.DataFrame, barcode: str) -> pd.DataFrame | None:
    """Return x_um and y_um of each of a plate's rows (NaN where empty), or None where the table has no positions.

    Raises:
        KitError: a position that no plate has room for: the table is not in metres.
    """
    columns = ["Metadata_PositionX", "Metadata_PositionY"]
    if not set(columns) <= set(table):
        return None
    metres = table[columns].apply(pd.to_numeric, errors="coerce")
    beyond = (metres.abs() > _PLATE_M).any(axis=1)
    if beyond.any():
        first = metres[beyond].iloc[0]
        column = str(first.abs().idxmax())
        unit, by = ("millimetres", "1,000") if metres.abs().max(axis=None) <= 1e3 * _PLATE_M else ("micrometres", "1,000,000")
        where = f"plate {barcode} well {table['well'][beyond].iloc[0]} site {table['site'][beyond].iloc[0]}"
        raise KitError(
            f"load_data: {column} of {where} is {first[column]:g}, and it counts metres: "
            f"if these are {unit}, divide {columns[0]} and {columns[1]} by {by}"
        )
    return (metres * 1e6).set_axis(["x_um", "y_um"], axis=1)


def _wells(table: pd.DataFrame, path: str) -> list[str]:
    if "Metadata_Well" in table:
        return normalise_wells(table["Metadata_Well"], path)
    if "Metadata_Row" in table and "Metadata_Col" in table:
        rows, cols = _integers(table, "Metadata_Row", path), _integers(table, "Metadata_Col", path)
        return [well_name(row, col) for row, col in zip(rows, cols, strict=True)]
    raise KitError(f"{path} has no column Metadata_Well (nor Metadata_Row and Metadata_Col)")


def _integers(table: pd.DataFrame, column: str, path: str) -> pd.Series:
    numbers = pd.to_numeric(table[column], errors="coerce")
    bad = numbers.isna() | (numbers != numbers.round())
    if bad.any():
        row = int(bad.to_numpy().argmax())
        raise KitError(f"{path}, row {row + 2}: {column} is {table[column].iloc[row]!r}, not a whole number")
    return numbers.astype(int)
