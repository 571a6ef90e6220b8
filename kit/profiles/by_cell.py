"""A backbone that is shown the cells of a site one by one: their vectors are averaged to the site's, and can be kept.

N sites, K cells, B crops of a batch, C channels, P side of a crop, D width of a token.
"""

import json
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from tqdm import tqdm

from kit.config import CropsConfig
from kit.errors import KitError, UsageError
from kit.files import whole_file
from kit.images.cells.table import CellsOfSites, cells_about, read_cells
from kit.images.crops.frames import middle_px, shown_corners
from kit.profiles.table import FILE_KEY, PLATE, SITE, WELL, read_facts
from kit.words import count

if TYPE_CHECKING:
    from kit.profiles.backbone import Backbone

COUNT = "Metadata_Cells"  # of a site
_READERS = 2  # threads that unpack the next sites while this one's cells are computed
_AHEAD = 4  # sites


@dataclass(frozen=True, slots=True)
class CellChoice:
    """Whether a network is shown cells, and how. wanted: None: as it was trained.

    px: side of a crop, pixels of the site; None: as `frames.middle_px` says. keep: also write the vector of every cell, to
    WORK/runs/RUN/cells/<plate>.parquet.

    Raises:
        UsageError: px or keep for whole sites, or a px below 1.
    """

    wanted: bool | None = None
    px: int | None = None
    keep: bool = False

    def __post_init__(self) -> None:
        if self.px is not None and self.px < 1:
            raise UsageError(f"--cell-px {self.px}: need pixels, 1 or more")
        for option, given in (("--cell-px", self.px is not None), ("--keep-cells", self.keep)):
            if given and self.wanted is False:
                raise UsageError(f"{option} goes with --cells, not with --no-cells")

    @property
    def asked(self) -> bool:
        """Whether an option asks for cells."""
        return bool(self.wanted) or self.px is not None or self.keep

    def shown(self, crops: CropsConfig) -> bool:
        """Whether a network that was trained on such crops is shown cells."""
        return self.asked or (self.wanted is None and crops.around == "cell")

    def suffix(self, crops: CropsConfig) -> str:
        """Return what follows the name of the run; empty where it is shown what it was trained on."""
        if not self.shown(crops):
            return "-sites" if crops.around == "cell" else ""
        return f"-cells{self.px}" if self.px else "" if crops.around == "cell" else "-cells"


AS_TRAINED = CellChoice()


@dataclass
class ByCell:
    """See above. px: side of the crop around a cell; about: where the cells come from, of each plate."""

    backbone: "Backbone"
    px: int
    keep: bool
    about: list[dict]
    counts: dict[str, np.ndarray] = field(default_factory=dict)  # plate -> cells of its sites, of those embedded here
    folder: Path = Path()  # of the kept cells
    made_by: str = ""

    @classmethod
    def of(cls, backbone: "Backbone", choice: CellChoice) -> "ByCell":
        """Return a backbone that is shown the cells of its store.

        Raises:
            UsageError: the crop is larger than a site; tiles of pixels are asked for as well.
            KitError: the cells of a plate are not known.
        """
        work, config = backbone.work, backbone.config
        if backbone.tiling.pixels is not None:
            raise UsageError(f"--tiles {backbone.tiling.pixels} cuts sites, and cells are shown one by one: give one of the two")
        plates = sorted(set(work.sites_with(config.channels)[PLATE]))
        px = choice.px or middle_px(config.crops)
        small = next((plate for plate in plates if min(work.container(plate).image_shape) < px), None)
        if small:
            height, width = work.container(small).image_shape
            raise UsageError(
                f"a crop of {px} px around a cell does not fit the sites of plate {small}, {height} x {width} px: "
                "give a smaller one with --cell-px"
            )
        read_cells(work, plates)  # what is not known is said before anything is written
        texts = sorted({json.dumps(cells_about(work, plate), sort_keys=True) for plate in plates})
        return cls(backbone, px, choice.keep, [json.loads(text) for text in texts])

    @property
    def channels(self) -> tuple[str, ...]:
        return self.backbone.channels

    @property
    def parts(self) -> dict[str, list[int]]:
        return self.backbone.parts

    @property
    def facts(self) -> dict[str, Any]:
        return {**self.backbone.facts, "cells": {"px": self.px, "from": self.about}}

    def begin(self, folder: Path, made_by: str) -> None:
        """Say into which run's folder cells are kept, and what made them."""
        self.folder, self.made_by = folder / "cells", made_by

    def has_kept(self, plate: str) -> bool:
        """Whether the vectors of a plate's cells are there, or are not wanted."""
        path = self.folder / f"{plate}.parquet"
        try:
            return not self.keep or (path.is_file() and read_facts(path).get("made_by") == self.made_by)
        except KitError:
            return False  # damaged: to be made again

    def with_counts(self, plate: str, who: pd.DataFrame) -> pd.DataFrame:
        """Return the sites of a plate with the number of their cells."""
        self.counts[plate] = self._cells(plate, who).count_N
        return who.assign(**{COUNT: self.counts[plate]})

    def note(self) -> str:
        """Return what was shown of the sites embedded here."""
        if not self.counts:
            return f"cells shown as {self.px} px"
        count_N = np.concatenate(list(self.counts.values()))
        empty = int((count_N == 0).sum())
        without = f"; {count(empty, 'site')} without a cell, shown as nine squares" if empty else ""
        return f"{count(int(count_N.sum()), 'cell')} of {count(len(count_N), 'site')}, {self.px} px around each{without}"

    def embed_sites(self, plate: str, sites: pd.DataFrame, bar: tqdm) -> np.ndarray:
        """Return the mean of `site_vectors` over the cells of each site of one plate, float32 [N, 3 D].

        Every batch has the same shape, so that a vector does not depend on how many cells there are.
        """
        cells = self._cells(plate, sites)
        sum_ND, shown_N = np.zeros((len(sites), max(stop for _, stop in self.parts.values()))), np.zeros(len(sites), np.int64)
        with ExitStack() as stack:
            kept = stack.enter_context(_Kept(self.folder / f"{plate}.parquet", self.made_by)) if self.keep else None
            for crop_BCPP, row_B, place_B2 in self._batches(sites, cells, bar):
                vector_BD = self.backbone.vectors(crop_BCPP)[: len(row_B)]
                np.add.at(sum_ND, row_B, vector_BD.astype(np.float64))
                shown_N += np.bincount(row_B, minlength=len(sites))
                if kept:
                    of_cell = np.isfinite(place_B2[:, 0])
                    kept.write(sites.iloc[row_B[of_cell]], place_B2[of_cell], vector_BD[of_cell])
        return (sum_ND / shown_N[:, None]).astype(np.float32)

    def _cells(self, plate: str, sites: pd.DataFrame) -> CellsOfSites:
        return CellsOfSites.of(sites, read_cells(self.backbone.work, [plate]))

    def _batches(self, sites: pd.DataFrame, cells: CellsOfSites, bar: tqdm) -> Iterator[tuple[Any, np.ndarray, np.ndarray]]:
        """Yield batches of crops, uint8 [B, C, P, P], the last filled up with its first crop.

        With them, of each that is not filling, its site and the place of its cell, NaN for the background.
        """
        size = self.backbone.config.embed.batch
        waiting: list[tuple[np.ndarray, int, np.ndarray]] = []
        for row, site_CHW in enumerate(self._read(sites)):
            place_K2 = cells.places(row)
            corner_K2 = shown_corners(place_K2, self.px, site_CHW.shape[1:])
            place_K2 = place_K2 if len(place_K2) else np.full(corner_K2.shape, np.nan, np.float32)
            for (top, left), place_2 in zip(corner_K2.tolist(), place_K2, strict=True):
                waiting.append((site_CHW[:, top : top + self.px, left : left + self.px], row, place_2))
                if len(waiting) == size:
                    yield _batch(waiting, size)
                    waiting = []
            bar.update(1)
        if waiting:
            yield _batch(waiting, size)

    def _read(self, sites: pd.DataFrame) -> Iterator[np.ndarray]:
        """Yield the sites, uint8 [C, H, W], read a few ahead."""
        keys = list(zip(sites[PLATE], sites[WELL], sites[SITE], strict=True))
        with ThreadPoolExecutor(_READERS) as pool:
            ahead = [pool.submit(self.backbone.read, key) for key in keys[:_AHEAD]]
            for index in range(len(keys)):
                if index + _AHEAD < len(keys):
                    ahead.append(pool.submit(self.backbone.read, keys[index + _AHEAD]))
                yield ahead.pop(0).result()


def _batch(waiting: Sequence[tuple[np.ndarray, int, np.ndarray]], size: int) -> tuple[Any, np.ndarray, np.ndarray]:
    import torch

    crops, rows, places = zip(*waiting, strict=True)
    filled = [*crops, *[crops[0]] * (size - len(crops))]
    return torch.from_numpy(np.stack(filled)), np.array(rows), np.stack(places)


class _Kept:
    """The file of a plate's cells, written batch by batch, whole or not at all."""

    def __init__(self, path: Path, made_by: str):
        self._file, self._made_by = whole_file(path), made_by
        self._writer: pq.ParquetWriter | None = None

    def __enter__(self) -> "_Kept":
        self._part = self._file.__enter__()
        return self

    def write(self, who: pd.DataFrame, place_K2: np.ndarray, vector_KD: np.ndarray) -> None:
        """Add cells, none or more: their sites, their places, their vectors."""
        types = [(PLATE, pa.string()), (WELL, pa.string()), (SITE, pa.int64()), ("y", pa.float32()), ("x", pa.float32())]
        types += [(f"f{index:04d}", pa.float32()) for index in range(vector_KD.shape[1])]
        facts = json.dumps({"schema": 1, "rows": "cells", "made_by": self._made_by})
        schema = pa.schema(types, metadata={FILE_KEY: facts.encode()})
        numbers = np.ascontiguousarray(np.hstack([place_K2, vector_KD]).T, dtype=np.float32)
        columns = [pa.array(who[name], kind) for name, kind in types[:3]] + [pa.array(column) for column in numbers]
        if self._writer is None:
            self._writer = pq.ParquetWriter(self._part, schema, compression="zstd")
        self._writer.write_table(pa.table(columns, schema=schema))

    def __exit__(self, *error: Any) -> None:
        if self._writer is not None:
            self._writer.close()
        self._file.__exit__(*error)
