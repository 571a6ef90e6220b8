"""SOURCE as an image set of single cells: one array, and one table with a row a cell (see cells.py). N cells.

The table's plate column says the plate of each cell; without one all are of a plate named as the array. Its well column, if it
names wells ("D08") throughout, puts the cells of a well into it as its sites, in the order of the table; without one every cell
is the one site of a well of its own, on as many plates of 32 x 48 wells as it takes: PLATE, PLATE-2 ...
"""

import io
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd
import tifffile

from kit.errors import KitError, UsageError
from kit.images.labels_file import PLATE, WELL, LabelFile, metadata_name, place_columns
from kit.images.names import normalise_well, well_name
from kit.images.source.cells import Cells, read_cell_images
from kit.images.source.folders import Folder, ImageFile, Reader
from kit.images.source.plates import Plate
from kit.words import count, some

SITE, CELL = "Metadata_Site", "Metadata_Cell"  # the cell: its row in the table, counted from 0
ROWS, COLUMNS = 32, 48  # of a plate on which every cell has a well of its own
ENDINGS = (".npz", ".npy")
_COUNTS = 1000  # cells of a well, most: each is a field


@dataclass
class CellReader(Reader):
    """Gives the images of cells as TIFFs, which are made in memory."""

    cells: Cells | None = field(default=None, repr=False)

    def __call__(self, file: ImageFile) -> bytes:
        """Return the file of `image_file`."""
        assert self.cells is not None
        row, channel = map(int, file.path.rpartition("#")[2].split("."))
        written = io.BytesIO()
        tifffile.imwrite(written, self.cells.images_NCHW[row, channel], photometric="minisblack", metadata=None)
        return written.getvalue()


@dataclass(frozen=True)
class CellSource:
    """An array of cells and the place of each: `where` has Metadata_Plate, Metadata_Well and Metadata_Site, a row a cell."""

    file: Path
    rows: Path
    cells: Cells
    where: pd.DataFrame
    labels: LabelFile
    notes: tuple[str, ...]  # on what became of the table's columns

    says = "as places in the array"  # of the channels' names

    @property
    def folder(self) -> Folder:
        return Folder(str(self.file))

    @property
    def plates(self) -> dict[str, Folder]:
        return dict.fromkeys(self.labels.plates, self.folder)

    def plate(self, barcode: str) -> Plate:
        """Return the plate's images."""
        rows = self.where[self.where[PLATE] == barcode]
        places = zip(rows.index.tolist(), rows[WELL], rows[SITE].tolist(), strict=True)
        names = self.cells.names
        images = {
            (str(well), int(site)): {name: self._image(cell, place) for place, name in enumerate(names)}
            for cell, well, site in places
        }
        return Plate(barcode, str(self.file), images)

    def _image(self, cell: int, channel: int) -> ImageFile:
        return ImageFile(f"{self.file}#{cell}.{channel}")

    def table(self, barcode: str) -> None:
        """Return None: no table names files and positions."""
        return

    def named(self, column: str, option: str) -> None:
        """Check that a column of the table is a label of wells.

        Raises:
            UsageError: it differs within wells, so that it is none.
        """
        full = metadata_name(column)
        if full in map(metadata_name, map(str, self.cells.table)) and full not in self.labels.columns:
            raise UsageError(
                f"{option} {column}: its cells differ within a well, and a well has one label; rename the well column of "
                f"{self.rows}, and every cell is a well of its own"
            )


def open_cells(array: Path, table: Path, name: str = "") -> CellSource:
    """Open an array of cells and its table; errors as `cells.read_cell_images`.

    Raises:
        KitError: a plate is empty or cannot be a file's name, a well has more cells than a plate has fields, or a column
            cannot be kept.
    """
    cells = read_cell_images(array, table, name=name)
    header = [str(column) for column in cells.table]
    plate, well = place_columns(header)
    plate_N = _plates(cells.table, plate, array, table)
    well_N = _wells(cells.table, well)
    if well_N is None:
        where, own = _own_wells(plate_N), {CELL: [str(row) for row in range(len(plate_N))]}
    else:
        where, own = pd.DataFrame({PLATE: plate_N, WELL: well_N}), {}
    where[SITE] = where.groupby([PLATE, WELL]).cumcount() + 1
    if where[SITE].max() > _COUNTS:
        full = where.iloc[int(where[SITE].to_numpy().argmax())]
        raise KitError(
            f"{table}: well {full[WELL]} of plate {full[PLATE]} has {full[SITE]} cells, and kit takes {_COUNTS} a well; rename "
            "its well column, and every cell is a well of its own"
        )
    others = [column for column in header if column and column not in (plate, well if well_N is not None else None)]
    _check_names([*others, *own], table)
    kept = {metadata_name(column): cells.table[column].to_numpy() for column in others} | own
    labels = pd.DataFrame({PLATE: where[PLATE], WELL: where[WELL], **kept}, dtype=str)
    differ = [column for column in kept if (labels.groupby([PLATE, WELL])[column].nunique() > 1).any()]
    labels = labels.drop(columns=differ).drop_duplicates([PLATE, WELL], ignore_index=True)
    notes = [f"{count(len(where), 'cell')} of {array.name}, " + _as_what(well, well_N is not None, table)]
    if differ:
        notes.append(f"left out, as they differ within a well: {some([name.removeprefix('Metadata_') for name in differ])}")
    return CellSource(array, table, cells, where, LabelFile(table, labels), tuple(notes))


def _as_what(well: str | None, used: bool, table: Path) -> str:
    if used:
        return f"each a site of the well that column {well} of {table.name} names"
    return "each the one site of a well of its own" + (f": column {well} of {table.name} names no wells" if well else "")


def _plates(rows: pd.DataFrame, column: str | None, array: Path, table: Path) -> np.ndarray:
    if column is None:
        return np.full(len(rows), array.name.removesuffix("".join(array.suffixes)) or "cells", dtype=object)
    names = rows[column].str.strip().to_numpy(dtype=object)
    for row, name in enumerate(names):
        if not name or "/" in name or "\\" in name or name.startswith(".") or len(name) > 100:
            raise KitError(f"{table}, row {row + 2}: {name!r} cannot be the name of a plate")
    return names


def _wells(rows: pd.DataFrame, column: str | None) -> list[str] | None:
    """Return the wells of the cells; None where the column is not of wells."""
    if column is None:
        return None
    try:
        return [normalise_well(text) for text in rows[column]]
    except KitError:
        return None


def _own_wells(plate_N: np.ndarray) -> pd.DataFrame:
    """Return a well of its own for every cell, row by row."""
    order_N = pd.Series(plate_N).groupby(plate_N).cumcount().to_numpy()
    number_N, place_N = np.divmod(order_N, ROWS * COLUMNS)
    plates = [name if number == 0 else f"{name}-{number + 1}" for name, number in zip(plate_N, number_N, strict=True)]
    wells = [well_name(place // COLUMNS + 1, place % COLUMNS + 1) for place in place_N.tolist()]
    where = pd.DataFrame({PLATE: plates, WELL: wells})
    if where.duplicated().any():
        twice = where[where.duplicated()].iloc[0]
        raise KitError(f"two plates of cells would both be named {twice[PLATE]}: rename one")
    return where


def _check_names(columns: list[str], table: Path) -> None:
    taken = dict.fromkeys((PLATE, WELL, SITE, "Metadata_is_control"), "a name of kit's own")
    for column in columns:
        name = metadata_name(column)
        if name in taken:
            raise KitError(f"{table}: column {column} cannot be kept as {name}, which is {taken[name]}: rename it")
        taken[name] = f"that of column {column}"
