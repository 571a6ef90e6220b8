"""A folder of fields of cells: images.csv with image, plate, well, site and treatment of each, and kit's table of the planes."""

from pathlib import Path

import numpy as np
import pandas as pd

from kit.errors import KitError
from kit.files import existing_file, write_whole
from kit.images.source.planes import count_channels
from kit.images.source.tiff import BadImage

NEEDED = ("file", "plate", "well", "site", "compound", "concentration", "moa", "week")


def read_fields(folder: Path) -> tuple[pd.DataFrame, tuple[str, ...]]:
    """Return images.csv, all text, and the names of the planes: of the columns min_<channel>, else ch1, ch2 ...

    Raises:
        UsageError: no images.csv, or its first image is not there. KitError: a column is missing, a cell of a needed one or the
            whole table is empty, or, without columns min_<channel>, the first image's planes are no channels.
    """
    path = folder / "images.csv"
    existing_file(path, "give the folder with this table and the images")
    table = pd.read_csv(path, dtype=str, keep_default_na=False)
    missing = [name for name in NEEDED if name not in table]
    if missing:
        raise KitError(f"{path} has no column {missing[0]}; it needs {', '.join(NEEDED)}")
    if table.empty:
        raise KitError(f"{path} has no row")
    empty = [(name, int(row)) for name in NEEDED for row in np.flatnonzero(table[name] == "")[:1]]
    if empty:
        raise KitError(f"{path}, row {empty[0][1] + 2}: {empty[0][0]} is empty")
    planes = tuple(name.removeprefix("min_") for name in map(str, table) if name.startswith("min_"))
    planes = planes or _numbered(existing_file(folder / table["file"].iloc[0], f"{path} names it"))
    return table.assign(treatment=table["compound"] + " " + table["concentration"], mechanism=table["moa"]), planes


def _numbered(image: Path) -> tuple[str, ...]:
    try:
        return tuple(f"ch{plane}" for plane in range(1, count_channels(image.read_bytes()) + 1))
    except BadImage as error:
        raise KitError(f"{image}: {error}; columns min_<channel> of images.csv name its planes") from error


def write_load_data(folder: Path, fields: pd.DataFrame, planes: tuple[str, ...], path: Path) -> None:
    """Write the load_data table by which kit reads the planes of the images."""
    table = pd.DataFrame(
        {f"Metadata_{name.title()}": fields[name] for name in ("plate", "well", "site")}
        | {f"FileName_{name}": [str((folder / file).resolve()) for file in fields["file"]] for name in planes}
    )
    write_whole(path, table.to_csv(index=False))
