"""The networks that a recipe trains, and what each takes: one, or two where a store has two groups of channels."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from kit.config import CHANNEL_GROUPS, CHANNELS, RunConfig
from kit.errors import UsageError
from kit.model.cost import Work as Cost
from kit.model.cost import forward_flops, step_flops
from kit.model.footprint import SITES, WELLS
from kit.model.schedules import total_steps
from kit.model.shown import Cells, cells_shown
from kit.words import nearest

if TYPE_CHECKING:
    from kit.images.store.work import Work


@dataclass(frozen=True)
class Network:
    """One network to train: how many steps of what cost, on which sites. group: its channels', "" where they are none."""

    config: RunConfig
    per_epoch: int  # steps
    sites: int  # that it embeds
    wells: int
    source: str  # of the number of samples, in words
    group: str = ""
    cells: Cells | None = None  # that it is shown to embed the sites; None: whole sites

    @property
    def steps(self) -> int:
        return total_steps(self.config.train, self.per_epoch)

    @property
    def cost(self) -> Cost:
        """Of one step."""
        return step_flops(self.config, self.config.view_channels)

    @property
    def flops(self) -> float:
        """Of the whole run."""
        return self.cost.total * self.steps

    @property
    def embed_flops(self) -> float:
        """Of all sites, or their cells, once through the trained backbone."""
        images = self.sites if self.cells is None else self.cells.shown
        return images * forward_flops(self.config.model, self.config.view_channels, self.config.embed.side)

    @property
    def embedded(self) -> str:
        """What is embedded, in words."""
        sites = f"{self.sites:,} sites"
        return sites if self.cells is None else f"{self.cells.number:,} cells of {sites} ({self.cells.counted})"


def networks_of(config: RunConfig, work: "Work | None", *, by_cell: bool | None = None) -> list[Network]:
    """Return the network of these channels, and that of the other group where there are two groups and this is one of them.

    Without channels the first group's come first.

    Args:
        work: an open work folder whose sites count; None: the 24 compound plates.
        by_cell: whether sites are embedded cell by cell; None: as the networks are trained.

    Raises:
        UsageError: channels that `work` does not have.
    """
    groups = CHANNEL_GROUPS if work is None else work.groups
    channels = config.channels or next(iter(groups.values()), ())
    others = [names for names in groups.values() if names != channels]
    second = others if len(groups) == 2 and len(others) == 1 else []
    group_of = {names: group for group, names in groups.items()}
    return [_network(replace(config, channels=names), work, group_of.get(names, ""), by_cell) for names in (channels, *second)]


def hours_of(networks: Sequence[Network], rate: float) -> float:
    """Return the hours that training and embedding these networks takes, one after the other, at `rate` FLOP/s."""
    return sum(network.flops + network.embed_flops for network in networks) / rate / 3600


def _network(config: RunConfig, work: "Work | None", group: str, by_cell: bool | None) -> Network:
    there = work.channels if work is not None else CHANNELS
    unknown = [name for name in config.channels if name not in there]
    if unknown:
        where = work.path if work is not None else "CPJUMP1"
        raise UsageError(f"{where} has no channel {unknown[0]}{nearest(unknown[0], there)}; it has {', '.join(there)}")
    if work is None:
        sites, wells, where = SITES, WELLS, f"{SITES:,} sites, the 24 compound plates of CPJUMP1 (--work counts your own)"
    else:
        table = work.sites_with(config.channels)
        sites, wells = len(table), len(table[["Metadata_Plate", "Metadata_Well"]].drop_duplicates())
        where = f"the {sites:,} sites of {wells:,} wells in {Path(work.path).name}"
    around = config.crops.around == "cell"
    samples, source = (9 * wells, f"nine for each of {wells:,} wells") if config.crops.epoch == "wells9" else (sites, where)
    if around and config.crops.epoch == "cells":
        cells = cells_shown(work, config.channels)
        samples, source = cells.number, f"{cells.number:,} cells ({cells.counted}) of {where}"
    shown = cells_shown(work, config.channels) if (around if by_cell is None else by_cell) else None
    return Network(config, max(1, samples // config.train.batch), sites, wells, source, group, shown)
