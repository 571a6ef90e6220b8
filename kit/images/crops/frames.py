"""The frame that the crops of a sample are drawn in: the whole site, a square around one of its cells, or one at a random place.

K cells, R samples. A frame that would stand out over the site's edge is shifted inside, so the cell is then off its middle. A
site without cells gives a frame of the same size at a random place: its background, at the same magnification.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from kit.config import CropsConfig
from kit.errors import KitError, UsageError
from kit.images.cells.table import CellsOfSites, read_cells
from kit.images.crops.boxes import uniform
from kit.streams import Stream, random_words

if TYPE_CHECKING:
    from kit.images.store.work import Work

WORDS = 2  # random words of one frame
_EACH_WAY = 3
BACKGROUND = _EACH_WAY**2  # squares that are shown of a site without cells


@dataclass(frozen=True, slots=True)
class Frames:
    """size: height and width of a frame, pixels; of_site: those of the site; cells: of the sites, if frames are around these."""

    size: tuple[int, int]
    of_site: tuple[int, int]
    cells: CellsOfSites | None
    batch: int
    seed: int

    def counted(self, sites: pd.DataFrame) -> pd.DataFrame:
        """Return the sites that these frames are of, with the number of their cells as `cells` where crops are around these."""
        return sites if self.cells is None else sites.assign(cells=self.cells.count_N)

    def corners(
        self, rows_R2: Sequence[tuple[int, int]], slots: range, epoch: int, step: int, cell_R: np.ndarray | None = None
    ) -> np.ndarray:
        """Return the top-left corner (y, x) of both frames of each sample, pixels of the site, int64 [R, 2, 2].

        It depends on (seed, epoch, step, slot) and the sites alone. Where both sites are one, the second frame is around
        another cell of it, if it has another; at a random place, each frame has its own.

        Args:
            rows_R2: the first and the second site of each sample. slots: their places in the global batch.
            cell_R: which cell of its first site each sample is of; below 0, or None: one is drawn.
        """
        corner_R22 = np.zeros((len(rows_R2), 2, 2), np.int64)
        if self.size == self.of_site:
            return corner_R22
        counter = (self.seed, Stream.CELLS, epoch, step)
        word_R2W = random_words(self.batch * 2 * WORDS, *counter).reshape(self.batch, 2, WORDS)[slots.start : slots.stop]
        if self.cells is None:
            return self._anywhere(word_R2W)
        given_R = np.full(len(rows_R2), -1) if cell_R is None else cell_R
        for corner_22, (first, second), word_2W, given in zip(corner_R22, rows_R2, word_R2W, given_R.tolist(), strict=True):
            n = int(self.cells.count_N[first])
            chosen = given if given >= 0 else int(word_2W[0, 0] % np.uint64(max(n, 1)))
            others = max(n - 1, 1)
            again = (chosen + 1 + int(word_2W[1, 0] % np.uint64(others))) % max(n, 1) if first == second else None
            corner_22[0] = self._corner(first, chosen, word_2W[0])
            corner_22[1] = self._corner(second, again, word_2W[1])
        return corner_R22

    def _corner(self, row: int, chosen: int | None, word_W: np.ndarray) -> np.ndarray:
        assert self.cells is not None
        place_K2 = self.cells.places(row)
        if len(place_K2):
            cell = int(word_W[0] % np.uint64(len(place_K2))) if chosen is None else chosen
            return around(place_K2[cell : cell + 1], self.size, self.of_site)[0]
        return self._anywhere(word_W)

    def _anywhere(self, word_W: np.ndarray) -> np.ndarray:
        """Return the corners of frames at random places inside the site, int64 [..., 2], each from its WORDS words."""
        room_2 = np.subtract(self.of_site, self.size) + 1
        return np.floor(uniform(word_W) * room_2).astype(np.int64)


def around(place_K2: np.ndarray, size: tuple[int, int], of_site: tuple[int, int]) -> np.ndarray:
    """Return the top-left corners, int64 [K, 2], of boxes of `size` around these places, shifted to lie inside the site."""
    corner_K2 = np.floor(place_K2 + 0.5).astype(np.int64) - np.array(size) // 2
    return np.clip(corner_K2, 0, np.subtract(of_site, size))


def middle_px(config: CropsConfig) -> int:
    """Return the side of the middle of a square, which is shown where nothing is drawn: that of the largest global crop."""
    return max(1, round(config.cell_px * config.global_area[1] ** 0.5))


def shown_corners(place_K2: np.ndarray, side: int, of_site: tuple[int, int], most: int = 0) -> np.ndarray:
    """Return the corners of what is shown of a site by its cells, int64 [K, 2]: a square of `side` pixels around each of them.

    Of a site without cells it is BACKGROUND squares spread evenly over it, so that no well is lost.

    Args:
        most: no more than so many cells, evenly chosen; 0: all.
    """
    if not len(place_K2):
        tops, lefts = (np.rint(np.linspace(0, length - side, _EACH_WAY)).astype(np.int64) for length in of_site)
        return np.array([(top, left) for top in tops for left in lefts])
    if most and len(place_K2) > most:
        place_K2 = place_K2[np.arange(most) * len(place_K2) // most]
    return around(place_K2, (side, side), of_site)


def frames_of(
    work: "Work", config: CropsConfig, sites: pd.DataFrame, of_site: tuple[int, int], *, batch: int, seed: int
) -> Frames:
    """Return the frames of these sites by crops.around.

    Raises:
        UsageError: crops.cell_px is larger than the site.
        KitError: the cells of a plate are not known, or no site has one.
    """
    if config.around == "site":
        return Frames(of_site, of_site, None, batch, seed)
    side = config.cell_px
    if side > min(of_site):
        raise UsageError(
            f"crops.cell_px = {side}: the sites are {of_site[0]} x {of_site[1]} px; lower it or set crops.around = site"
        )
    if config.around == "place":
        return Frames((side, side), of_site, None, batch, seed)
    cells = CellsOfSites.of(sites, read_cells(work, sorted(set(sites["Metadata_Plate"]))))
    if not len(cells.place_K2):
        raise KitError(f"crops.around = cell: none of the {len(sites)} sites of {work.path} has a cell; see kit cells")
    return Frames((side, side), of_site, cells, batch, seed)
