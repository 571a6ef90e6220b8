"""How large the nuclei of a store's plates are: a sample of sites, measured."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from kit.errors import KitError, UsageError
from kit.images.crops.reader import SiteReader
from kit.images.nuclei import find_nuclei
from kit.images.store.work import Work
from kit.progress import progress
from kit.streams import Stream, shuffled
from kit.words import count, nearest

SITES = 48  # a site of 1080 px takes about 0.3 s
FEW = 30  # nuclei: the median of fewer says little


@dataclass(frozen=True, kw_only=True, slots=True)
class NucleusSize:
    """The diameters of the nuclei in a sample of sites, pixels of the stored sites."""

    channel: str
    nuclei: int
    quartiles: tuple[float, float, float]  # the second is the median
    sites: int
    plates: int
    height: int  # of a site
    width: int
    pixel_um: float | None = None  # side of a stored pixel, micrometres, where all plates have the same

    @property
    def share(self) -> float:
        """The median diameter as a share of the site's side, of a square of the same area where a site is not square."""
        return self.quartiles[1] / (self.height * self.width) ** 0.5

    def text(self) -> str:
        """Return two lines: what was measured, and how large the nuclei are."""
        least, median, most = self.quartiles
        sites = f"{count(self.sites, 'site')} of {self.height} x {self.width} px on {count(self.plates, 'plate')}"
        few = "; too few to rely on" if self.nuclei < FEW else ""
        if self.pixel_um is None:
            size = f"{median:.1f} px (quartiles {least:.1f} and {most:.1f})"
        else:
            size = f"{median:.1f} px, {median * self.pixel_um:.1f} um (quartiles {least:.1f} and {most:.1f} px)"
        return (
            f"{self.channel}: {count(self.nuclei, 'nucleus', 'nuclei')} in {sites}{few}\n"
            f"median diameter {size}, {100 * self.share:.2g} % of the site's side"
        )


def measure_nuclei(work: Work, channel: str, *, sites: int = SITES, seed: int = 0) -> NucleusSize:
    """Measure the nuclei of at most `sites` sites, the same for a seed: plates take turns, and on each its wells.

    Raises:
        UsageError: no channel is named, or the store has no such channel.
        KitError: no nucleus was found; plates differ in size; an image is damaged; scikit-image is not installed.
    """
    if not channel.strip():
        raise UsageError(f"--nuclei {channel!r}: give a channel; {work.path} has {', '.join(work.channels)}")
    there = work.sites_with((channel,))
    if there.empty:
        has = f"it has {', '.join(work.channels)}" if work.plates else "it has no complete plate"
        raise UsageError(f"{work.path} has no channel {channel}{nearest(channel, work.channels)}; {has}")
    chosen = sample_sites(there, sites, seed)
    plates = sorted(set(chosen["Metadata_Plate"]))
    reader = SiteReader(work, (channel,), plates)
    site_1HW = np.empty((1, *reader.size), np.uint8)
    diameters = []
    for plate, well, site in progress(
        chosen.itertuples(index=False, name=None), total=len(chosen), label=f"nuclei of {channel}", unit="site"
    ):
        reader.read(plate, well, site, site_1HW)
        diameters.append(find_nuclei(site_1HW[0])["diameter_px"].to_numpy())
    diameter_N = np.concatenate(diameters)
    if not len(diameter_N):
        raise KitError(f"no nucleus found in {count(len(chosen), 'site')} of {channel}: is it a nuclear stain?")
    least, median, most = np.percentile(diameter_N, [25, 50, 75]).tolist()
    return NucleusSize(
        channel=channel,
        nuclei=len(diameter_N),
        quartiles=(least, median, most),
        sites=len(chosen),
        plates=len(plates),
        height=reader.size[0],
        width=reader.size[1],
        pixel_um=_pixel_um(work, plates),
    )


def _pixel_um(work: Work, plates: Sequence[str]) -> float | None:
    """Return the side of a stored pixel, of a square of the same area; None where it is unknown or differs between plates."""
    found = {work.container(plate).ome.pixel_um for plate in plates}
    pixel_um = found.pop() if len(found) == 1 else None
    return None if pixel_um is None else (pixel_um[0] * pixel_um[1]) ** 0.5


def sample_sites(sites: pd.DataFrame, number: int, seed: int) -> pd.DataFrame:
    """Return plate, well and site of at most `number` sites: plates in turn, on each its wells in turn, in a drawn order."""
    who = sites[["Metadata_Plate", "Metadata_Well", "Metadata_Site"]]
    who = who.iloc[shuffled(len(who), seed, Stream.NUCLEI)]
    turn = who.assign(turn=who.groupby(["Metadata_Plate", "Metadata_Well"]).cumcount())
    turn = turn.sort_values("turn", kind="stable")
    turn["turn"] = turn.groupby("Metadata_Plate").cumcount()
    return turn.sort_values("turn", kind="stable").head(number)[list(who)]
