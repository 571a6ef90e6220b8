"""The file of a plate's cells: WORK/cells/<plate>.parquet, one row a cell, written once the whole plate is done.

Metadata_Plate, Metadata_Well, Metadata_Site, y, x (centre of the nucleus, pixels of the stored site, from the centre of its
first pixel), and what else is known: area_px, diameter_px, eccentricity, solidity of the nucleus; body_y, body_x, body_area_px.
"""

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from kit.errors import KitError
from kit.images.store.tables import read_record, read_table, write_table
from kit.words import some

if TYPE_CHECKING:
    from kit.images.store.work import Work

WHO = ["Metadata_Plate", "Metadata_Well", "Metadata_Site"]


def cells_path(work: "Work", plate: str) -> Path:
    """Return where the cells of a plate are written; those that came with a part of the store are read from there."""
    return work.path / "cells" / f"{plate}.parquet"


def write_cells(work: "Work", plate: str, cells: pd.DataFrame, about: dict[str, Any], unread: int = 0) -> None:
    """Write the cells of a plate's sites, sorted by well and site.

    Args:
        cells: WHO, y, x and any further columns. about: where they come from. unread: sites that could not be read.
    """
    record = {"schema": 1, "about": about, "pixels": _pixels(work, plate), "unread": unread}
    write_table(cells_path(work, plate), cells.reset_index(drop=True), record)


def has_cells(work: "Work", plate: str, about: dict[str, Any] | None = None) -> bool:
    """Return whether a plate's cells are there, of the pixels that are stored now; with `about`, from there."""
    path = _there(work, plate)
    if path is None:
        return False
    try:
        record = read_record(path)
    except KitError:
        return False  # damaged: to be made again
    return record.get("pixels") == _pixels(work, plate) and about in (None, record.get("about"))


def cells_about(work: "Work", plate: str) -> dict[str, Any]:
    """Return where a plate's cells come from, as `write_cells` was told; {} where there are none."""
    path = _there(work, plate)
    return {} if path is None else read_record(path)["about"]


def read_cells(work: "Work", plates: list[str]) -> pd.DataFrame:
    """Return WHO, y and x of the cells of these plates.

    Raises:
        KitError: a plate has none yet, or they were found before it was packed anew; a file is damaged.
    """
    lacking = [plate for plate in plates if not has_cells(work, plate)]
    if lacking:
        stale = _there(work, lacking[0]) is not None
        why = "are of other pixels than those stored now, or damaged" if stale else "are not known"
        noun = "plate" if len(lacking) == 1 else "plates"
        raise KitError(f"the cells of {noun} {some(lacking)} {why}: find them with kit cells {work.path}")
    tables = [read_table(path)[[*WHO, "y", "x"]] for plate in plates if (path := _there(work, plate))]
    return pd.concat(tables, ignore_index=True)


def _there(work: "Work", plate: str) -> Path | None:
    places = (cells_path(work, plate), work.part(plate) / "cells" / f"{plate}.parquet")
    return next((path for path in places if path.is_file()), None)


def _pixels(work: "Work", plate: str) -> str:
    """Return a digest of which sites of a plate are stored, and of the checksums of their pixels."""
    sites = work.sites[work.sites["Metadata_Plate"] == plate].sort_values(WHO, kind="stable")
    sums = sites[sorted(name for name in map(str, sites) if name.endswith("_crc"))].dropna(axis=1, how="all").astype("Int64")
    text = pd.concat([sites[WHO], sums], axis=1).to_csv(index=False)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


@dataclass(frozen=True, slots=True)
class CellsOfSites:
    """The cells of N sites one after the other: where those of each site begin, how many it has, and the places of all K."""

    first_N: np.ndarray
    count_N: np.ndarray
    place_K2: np.ndarray  # float32: y, x

    @classmethod
    def of(cls, sites: pd.DataFrame, cells: pd.DataFrame) -> "CellsOfSites":
        """Return the cells of these sites, in their order; those of other sites are left out."""
        row_K = pd.MultiIndex.from_frame(sites[WHO]).get_indexer(pd.MultiIndex.from_frame(cells[WHO]))
        order_K = np.argsort(row_K, kind="stable")[np.count_nonzero(row_K < 0) :]
        count_N = np.bincount(row_K[order_K], minlength=len(sites))
        return cls(np.cumsum(count_N) - count_N, count_N, cells[["y", "x"]].to_numpy(np.float32)[order_K])

    def places(self, row: int) -> np.ndarray:
        """Return y, x of the cells of a site, float32 [n, 2]."""
        return self.place_K2[self.first_N[row] : self.first_N[row] + self.count_N[row]]
