"""The cells of one site, from its pixels: nuclei, and around them bodies where a channel shows these. H W pixels, N cells."""

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from kit.errors import UsageError
from kit.images.cells.bodies import COLUMNS as OF_BODIES
from kit.images.cells.bodies import body_columns, label_bodies
from kit.images.nuclei import COLUMNS as OF_NUCLEI
from kit.images.nuclei import add_squares, label_nuclei, measure_nuclei
from kit.images.stains import NUCLEAR, nuclear_channel
from kit.words import nearest

if TYPE_CHECKING:
    from kit.images.store.work import Work

FULL_SIDE = 540  # pixels, on the shorter side: below twice that, pixels are not added up
_LENGTHS, _AREAS = ("diameter_px",), ("area_px", "body_area_px")
_PLACES = ("y", "x", "body_y", "body_x")


@dataclass(frozen=True, slots=True)
class Finder:
    """How cells are found: the channels of their nuclei and, if any, their bodies; the side of the squares of pixels added up."""

    nuclei: str
    bodies: str | None
    square: int

    @property
    def channels(self) -> tuple[str, ...]:
        return (self.nuclei, self.bodies) if self.bodies else (self.nuclei,)

    @property
    def about(self) -> dict[str, Any]:
        """What the file of cells says of them."""
        return {"found": 1, **asdict(self)}  # 1: of this way of finding them

    def __call__(self, site_CHW: np.ndarray) -> pd.DataFrame:
        """Return y, x and what else is measured of the cells of a site, float32 [N], pixels of the site.

        Nuclei that the site's edge cuts are left out: their centres are unknown.

        Args:
            site_CHW: `channels`, uint8 or uint16.
        """
        small_CHW = [add_squares(image_HW, self.square) if self.square > 1 else image_HW for image_HW in site_CHW]
        nucleus_HW = label_nuclei(small_CHW[0])
        found = measure_nuclei(nucleus_HW)
        columns = [*OF_NUCLEI]
        if self.bodies:
            found |= body_columns(label_bodies(small_CHW[1], nucleus_HW), found["y"], found["x"])
            columns += OF_BODIES
        table = pd.DataFrame({name: found[name] for name in columns})
        table[[name for name in columns if name in _LENGTHS]] *= self.square
        table[[name for name in columns if name in _AREAS]] *= self.square**2
        places = [name for name in columns if name in _PLACES]
        table[places] = table[places] * self.square + (self.square - 1) / 2
        return table.astype(np.float32)


def finder(work: "Work", nuclei: str | None = None, bodies: str | None = None) -> Finder:
    """Return how to find the cells of a store's plates; without `nuclei` in the channel that is named after a nuclear stain.

    Raises:
        UsageError: no such channel, or none is named so.
    """
    channels = work.channels
    for option, name in (("--nuclei", nuclei), ("--bodies", bodies)):
        if name is not None and name not in channels:
            has = f"it has {', '.join(channels)}" if channels else "it has no complete plate"
            raise UsageError(f"{option} {name}: {work.path} has no such channel{nearest(name, channels)}; {has}")
    stain = nuclei or nuclear_channel(channels)
    if stain is None:
        raise UsageError(
            f"none of the channels {', '.join(channels)} is named after a nuclear stain ({', '.join(NUCLEAR)}): "
            "say which one shows nuclei with --nuclei"
        )
    if bodies == stain:
        raise UsageError(f"--bodies {bodies}: this channel shows the nuclei; name one that fills the cells, such as ER or RNA")
    sides = [min(work.container(plate).image_shape) for plate in work.plates]
    return Finder(stain, bodies, max(1, min(sides) // FULL_SIDE))
