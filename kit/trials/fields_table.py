"""A folder of fields of cells: images.csv with image, plate, well, site and treatment of each, and kit's table of the planes."""

from pathlib import Path

import numpy as np
import pandas as pd

from kit.errors import KitError
from kit.files import existing_file, write_whole

NEEDED = ("file", "plate", "well", "site", "compound", "concentration", "moa", "week")


def read_fields(folder: Path) -> tuple[pd.DataFrame, tuple[str, ...]]:
    """Return images.csv, all text, and the names of the planes.

    Raises:
        UsageError: no images.csv. KitError: a column is missing or a cell of a needed one is empty.
    """
    path = folder / "images.csv"
    existing_file(path, "give the folder with this table and the images")
    table = pd.read_csv(path, dtype=str, keep_default_na=False)
    missing = [name for name in NEEDED if name not in table]
    if missing:
        raise KitError(f"{path} has no column {missing[0]}; it needs {', '.join(NEEDED)}")
    empty = [(name, int(row)) for name in NEEDED for row in np.flatnonzero(table[name] == "")[:1]]
    if empty:
        raise KitError(f"{path}, row {empty[0][1] + 2}: {empty[0][0]} is empty")
    planes = tuple(name.removeprefix("min_") for name in map(str, table) if name.startswith("min_"))
    return table.assign(treatment=table["compound"] + " " + table["concentration"], mechanism=table["moa"]), planes


def write_load_data(folder: Path, fields: pd.DataFrame, planes: tuple[str, ...], path: Path) -> None:
    """Write the load_data table by which kit reads the planes of the images."""
    table = pd.DataFrame(
        {f"Metadata_{name.title()}": fields[name] for name in ("plate", "well", "site")}
        | {f"FileName_{name}": [str((folder / file).resolve()) for file in fields["file"]] for name in planes}
    )
    write_whole(path, table.to_csv(index=False))
