"""Which wells and sites a batch holds. It depends only on (seed, epoch, step), so any batch can be drawn on its own.

The policy: wells first, then sites. The wells of a group (all wells; with crops.balance the wells of one plate or cell line)
are shuffled and drawn pass by pass, so each is drawn equally often and no batch holds a well twice; the few left at the
end of a pass, too few for a batch, go to the next. Each draw of a well takes its next site, in an order that is reshuffled
every epoch. With crops.balance = sites the sites themselves are dealt so: each is drawn as often as any other, and a well that
has more of them comes up more often. With crops.balance = cells it is the cells of all sites: a site comes up once for each of
its cells. With crops.batch_of a batch is drawn from one group alone, and the groups take turns, in an order that is reshuffled
every round. B samples of the global batch, W wells, S sites of a well, N sites, U units that are dealt: wells, sites or cells.
"""

import functools
from dataclasses import dataclass

import numpy as np
import pandas as pd

from kit.config import CropsConfig
from kit.errors import KitError, UsageError
from kit.images.store.work import Work
from kit.streams import Stream, random_words, shuffled
from kit.words import count, some

WHO = ["Metadata_Plate", "Metadata_Well", "Metadata_Site"]
CELL_LINE = "Metadata_Cell_type"  # also where the labels are a lab's own
SPARE_CELLS = 16  # of each sample, whose sites stand in for unreadable ones: there may be millions


@dataclass(frozen=True)
class Draw:
    """One global batch: rows of `Sampling.sites`."""

    first_B: np.ndarray  # the site of each sample
    second_B: np.ndarray  # another site of its well; the same one if the well has no other
    spare: tuple[np.ndarray, ...]  # for each sample the sites to take instead, in order, should its own be unreadable
    id_B: np.ndarray  # int64: the sample's number in the whole run, the same whatever the ranks
    cell_B: np.ndarray | None = None  # which cell of its first site each sample is of; None: whichever is drawn

    def cells_of(self, slots: range, taken: list[int]) -> np.ndarray | None:
        """Return `cell_B` of these samples, -1 where another site was taken for an unreadable first one."""
        chosen = slice(slots.start, slots.stop)
        return None if self.cell_B is None else np.where(self.first_B[chosen] == taken, self.cell_B[chosen], -1)


class Sampling:
    """Distributes the sites of `sites` over batches.

    Sites have one row each, with WHO columns, `group` and, where crops are drawn around cells, `cells`: how many it has.
    Without these a site counts as one cell, which it is in a store of single cells.
    """

    def __init__(self, sites: pd.DataFrame, config: CropsConfig, *, batch: int, seed: int):
        self.sites = sites.sort_values(WHO, kind="stable", ignore_index=True)
        self.batch, self.seed = batch, seed
        well_of_site, wells = pd.factorize(pd.MultiIndex.from_frame(self.sites[WHO[:2]]))
        self.first_row_W = np.searchsorted(well_of_site, np.arange(len(wells)))
        self.sites_W = np.bincount(well_of_site)
        group_W = pd.factorize(self.sites["group"].to_numpy()[self.first_row_W], sort=True)[0]
        self._well_of_site = well_of_site
        cells_N = self.sites["cells"].to_numpy() if "cells" in self.sites else np.ones(len(self.sites), np.int64)
        self._by = config.balance if config.balance in ("sites", "cells") else "wells"
        units_N = cells_N if self._by == "cells" else np.ones(len(self.sites), np.int64)
        self._first_unit_N = np.cumsum(units_N) - units_N
        self._site_of_unit = np.repeat(np.arange(len(self.sites)), units_N)  # where no wells are dealt
        group_U = group_W if self._by == "wells" else group_W[well_of_site[self._site_of_unit]]
        self.dealt = [np.flatnonzero(group_U == group) for group in range(group_W.max() + 1)]
        self._order = functools.lru_cache(maxsize=2 * len(self.dealt))(self._shuffle)  # a pass of each group, and the next
        self.alone = config.batch_of != "all"
        self.share = batch if self.alone else -(-batch // len(self.dealt))  # the most samples of one group in a batch
        self._check(config)
        samples = {"sites": len(self.sites), "cells": int(cells_N.sum()), "wells9": 9 * len(wells)}[config.epoch]
        self.steps = max(1, samples // batch)  # what is left over, less than a batch, is dropped

    def _check(self, config: CropsConfig) -> None:
        smallest, there = min(len(units) for units in self.dealt), sum(len(units) for units in self.dealt)
        what = self._by.removesuffix("s")
        if there < self.batch:
            raise UsageError(
                f"train.batch = {self.batch}, but there are {there} {what}s with the requested channels and a batch holds "
                f"a {what} at most once; set train.batch to {there} or less"
            )
        if smallest < self.share and self.alone:
            raise UsageError(
                f"crops.batch_of = {config.batch_of} draws a batch from one of them; the smallest has {count(smallest, what)} "
                f"for train.batch = {self.batch}; lower train.batch or set crops.batch_of = all"
            )
        if smallest < self.share:
            raise UsageError(
                f"crops.balance = {config.balance} takes {self.share} wells of each for train.batch = {self.batch}, but the "
                f"smallest has {smallest}; lower train.batch or set crops.balance = wells"
            )

    def draw(self, epoch: int, step: int) -> Draw:
        """Return batch `step` of `epoch`."""
        dealt = [self._deal(group, n, epoch, turn) for group, n, turn in self._counts(epoch, step)]
        mix_B = shuffled(self.batch, self.seed, Stream.SLOTS, epoch, step)
        unit_B = np.concatenate([units for units, _, _ in dealt])[mix_B]
        visit_B = np.concatenate([np.full(len(units), visit) for units, _, visit in dealt])[mix_B]
        spare_units = np.concatenate([spare for _, spare, _ in dealt])
        order_WS = self._site_order(epoch)
        cell_B = None
        if self._by == "wells":
            well_B, spare_rows = unit_B, self.first_row_W[spare_units]
            turn_B = visit_B % self.sites_W[well_B]
        else:
            site_B, spare_rows = self._site_of_unit[unit_B], self._site_of_unit[spare_units]
            well_B = self._well_of_site[site_B]
            turn_B = (order_WS[well_B] == (site_B - self.first_row_W[well_B])[:, None]).argmax(axis=1)
            cell_B = unit_B - self._first_unit_N[site_B] if self._by == "cells" else None
        first_B, second_B, spare = self._choose_sites(well_B, turn_B, spare_rows, epoch, step)
        number = (epoch * self.steps + step) * self.batch
        return Draw(first_B, second_B, spare, number + np.arange(self.batch, dtype=np.int64), cell_B)

    def _counts(self, epoch: int, step: int) -> list[tuple[int, int, int]]:
        """Return each group of the batch, how many samples it gives, and how many batches of the epoch drew from it before."""
        groups = len(self.dealt)
        if self.alone:
            turn, place = divmod(step, groups)
            return [(int(shuffled(groups, self.seed, Stream.EXTRA_GROUPS, epoch, turn)[place]), self.batch, turn)]
        least, extra = divmod(self.batch, groups)
        count = np.full(groups, least)
        count[shuffled(groups, self.seed, Stream.EXTRA_GROUPS, epoch, step)[:extra]] += 1
        return [(group, int(n), step) for group, n in enumerate(count)]

    def _deal(self, group: int, n: int, epoch: int, turn: int) -> tuple[np.ndarray, np.ndarray, int]:
        """Return n units of the group, those of it that this batch does not hold (of cells a few), and which pass this is."""
        visit, place = divmod(turn, len(self.dealt[group]) // self.share)
        order = self._order(group, epoch, visit)
        start = place * self.share
        most = SPARE_CELLS * self.batch if self._by == "cells" else len(order)
        after = order[start + n :][:most]
        return order[start : start + n], np.concatenate([after, order[:start][: most - len(after)]]), visit

    def _shuffle(self, group: int, epoch: int, visit: int) -> np.ndarray:
        units = self.dealt[group]
        return units[shuffled(len(units), self.seed, Stream.WELL_PASSES, epoch, visit, group)]

    @functools.lru_cache(maxsize=2)  # noqa: B019
    def _site_order(self, epoch: int) -> np.ndarray:
        """Return [W, S]: each well's sites, as offsets, in the epoch's order; sites that a well lacks come last."""
        most = self.sites_W.max()
        keys_WS = random_words(len(self.sites_W) * most, self.seed, Stream.SITE_ORDER, epoch).reshape(-1, most) >> np.uint64(1)
        keys_WS[np.arange(most) >= self.sites_W[:, None]] = np.iinfo(np.uint64).max
        return np.argsort(keys_WS, axis=1, kind="stable")

    def _choose_sites(
        self, well_B: np.ndarray, turn_B: np.ndarray, spare_rows: np.ndarray, epoch: int, step: int
    ) -> tuple[np.ndarray, np.ndarray, tuple[np.ndarray, ...]]:
        """Return the sites of the samples: `turn_B` is the place of the first in its well's order of the epoch."""
        order_WS = self._site_order(epoch)
        n_B = self.sites_W[well_B]
        others_B = np.maximum(n_B - 1, 1).astype(np.uint64)
        jump_B = 1 + (random_words(self.batch, self.seed, Stream.SECOND_SITE, epoch, step) % others_B).astype(np.int64)
        start_B = self.first_row_W[well_B]
        first_B = start_B + order_WS[well_B, turn_B]
        second_B = start_B + order_WS[well_B, (turn_B + jump_B) % n_B]
        spare = tuple(
            np.concatenate([start + order_WS[well, :n], spare_rows[slot :: self.batch]])
            for slot, (well, start, n) in enumerate(zip(well_B, start_B, n_B, strict=True))
        )
        return first_B, second_B, spare


def sites_to_draw(work: Work, config: CropsConfig, channels: tuple[str, ...]) -> pd.DataFrame:
    """Return WHO and `group` (the unit of crops.balance or batch_of) of every stored site that has all the channels.

    Raises:
        KitError: no site has the channels; no plate is complete; groups by cell line without cell lines, or with two on a plate.
    """
    if not work.plates:
        raise KitError(f"{work.path} holds no complete plate: run kit ingest again")
    sites = work.sites_with(channels)[WHO].copy()
    if sites.empty:
        raise KitError(f"no site in {work.path} has all of the channels {','.join(channels)}")
    key, by = config.dealt_by
    if by == "cell_lines":
        sites["group"] = sites["Metadata_Plate"].map(_cell_lines(work, f"crops.{key} = cell_lines")).fillna("").astype(str)
    else:
        sites["group"] = sites["Metadata_Plate"] if by == "plates" else ""
    return sites


def _cell_lines(work: Work, setting: str) -> dict[str, str]:
    """Return plate -> cell line, of the plates whose labels say it."""
    wells = work.wells
    if CELL_LINE not in wells:
        there = [column.removeprefix("Metadata_") for column in map(str, wells) if column.startswith("Metadata_")][2:]
        raise KitError(
            f"{setting} needs a column Cell_type among the labels of {work.path}, which have "
            f"{some(there) or 'no column'}: give the column of cell lines that name in --labels, or take plates"
        )
    lines = wells.loc[wells[CELL_LINE].fillna("") != "", ["Metadata_Plate", CELL_LINE]].drop_duplicates()
    mixed = lines["Metadata_Plate"][lines["Metadata_Plate"].duplicated()]
    if len(mixed):
        here = " and ".join(lines[CELL_LINE][lines["Metadata_Plate"] == mixed.iloc[0]])
        raise KitError(f"{setting} deals whole plates, and plate {mixed.iloc[0]} holds {here}: take plates")
    return dict(zip(lines["Metadata_Plate"], lines[CELL_LINE], strict=True))
