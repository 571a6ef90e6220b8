"""Single cells as a store: each is the one site of a well of its own, on made plates, so that any cells fit one batch."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import tifffile

import kit
from kit.errors import KitError, UsageError
from kit.files import write_whole
from kit.images.ingest.plan import IngestPlan
from kit.images.ingest.run import ingest
from kit.images.names import well_name
from kit.images.source.cells import Cells
from kit.images.store.codecs import checksum
from kit.images.store.work import Work
from kit.profiles.table import PLATE, WELL
from kit.words import count

_ROWS, _COLUMNS = 32, 48  # of a made plate


def places(cells: int) -> pd.DataFrame:
    """Return plate and well of each cell, in their order."""
    plate_N, place_N = np.divmod(np.arange(cells), _ROWS * _COLUMNS)
    wells = [well_name(place // _COLUMNS + 1, place % _COLUMNS + 1) for place in place_N.tolist()]
    return pd.DataFrame({PLATE: [f"cells-{plate + 1}" for plate in plate_N.tolist()], WELL: wells})


def pack_cells(cells: Cells, out: Path) -> tuple[Work, np.ndarray]:
    """Pack the cells into `out`/work. Return the store and the cell of each of its sites, int64 [N].

    Raises:
        UsageError: `out` holds other cells. KitError: a cell cannot be packed.
    """
    about = {"cells": list(cells.images_NCHW.shape), "channels": list(cells.channels), "crc": checksum(cells.images_NCHW)}
    _check_same(out / "cells.json", about)
    where = places(len(cells.images_NCHW))
    _write_images(cells, where, out)
    report = ingest(IngestPlan(out / "load_data.csv", out / "work"))
    if report.failed:
        raise KitError(report.failed[0])
    work = kit.open(out / "work")
    if len(work.sites) < len(where):
        raise KitError(f"{count(len(where) - len(work.sites), 'cell')} of {len(where)} could not be packed")
    cell_of = {place: cell for cell, place in enumerate(where.itertuples(index=False, name=None))}
    return work, np.array([cell_of[place] for place in work.sites[[PLATE, WELL]].itertuples(index=False, name=None)])


def _check_same(path: Path, about: dict) -> None:
    text = json.dumps(about)
    if path.is_file() and path.read_text() != text:
        raise UsageError(f"--out {path.parent} holds other cells or channels: give another folder, or delete it")
    path.parent.mkdir(parents=True, exist_ok=True)
    write_whole(path, text)


def _write_images(cells: Cells, where: pd.DataFrame, out: Path) -> None:
    """Write a TIFF a cell, a page a channel, and the load_data table by which kit reads them."""
    files = [f"images/{plate}/{well}.tif" for plate, well in where.itertuples(index=False, name=None)]
    for file, image_CHW in zip(files, cells.images_NCHW, strict=True):
        path = out / file
        path.parent.mkdir(parents=True, exist_ok=True)
        tifffile.imwrite(path, image_CHW, photometric="minisblack", metadata={"axes": "CYX"})
    names = {f"FileName_{name}": files for name in cells.names}
    write_whole(out / "load_data.csv", where.assign(Metadata_Site=1, **names).to_csv(index=False))
