"""Single cells as a store: each is the one site of a well of its own, so that any cells fit one batch."""

import json
from pathlib import Path

import numpy as np

import kit
from kit.errors import KitError, UsageError
from kit.files import whole_file, write_whole
from kit.images.ingest.plan import IngestPlan
from kit.images.ingest.run import ingest
from kit.images.source.cell_source import CELL
from kit.images.source.cells import Cells
from kit.images.store.codecs import checksum
from kit.images.store.work import Work
from kit.words import count


def pack_cells(cells: Cells, out: Path) -> tuple[Work, np.ndarray]:
    """Pack the cells into `out`/work. Return the store and the cell of each of its sites, int64 [N].

    Their table stays behind: plates and wells of their own would tell the training which cells belong together.

    Raises:
        UsageError: `out` holds other cells. KitError: a cell cannot be packed.
    """
    shape = list(cells.images_NCHW.shape)
    about = {"layout": 2, "cells": shape, "channels": list(cells.channels), "crc": checksum(cells.images_NCHW)}
    _check_same(out / "cells.json", about)
    with whole_file(out / "cells.npy") as part, part.open("wb") as file:
        np.save(file, cells.images_NCHW)
    write_whole(out / "cells.csv", "\n".join(["row", *map(str, range(len(cells.images_NCHW)))]))
    names = {f"c{place}": name for place, name in enumerate(cells.names)}
    report = ingest(IngestPlan(out / "cells.npy", out / "work", cells=out / "cells.csv", channel_names=names))
    if report.failed:
        raise KitError(report.failed[0])
    work = kit.open(out / "work")
    if len(work.sites) < len(cells.images_NCHW):
        lost = len(cells.images_NCHW) - len(work.sites)
        raise KitError(f"{count(lost, 'cell')} of {len(cells.images_NCHW)} could not be packed")
    return work, work.sites[CELL].to_numpy().astype(np.int64)


def _check_same(path: Path, about: dict) -> None:
    text = json.dumps(about)
    if path.is_file() and path.read_text() != text:
        raise UsageError(f"--out {path.parent} holds other cells or channels: give another folder, or delete it")
    path.parent.mkdir(parents=True, exist_ok=True)
    write_whole(path, text)
