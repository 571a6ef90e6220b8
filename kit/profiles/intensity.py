"""The baseline without a network: mean and standard deviation of each channel, from the sums that ingest kept.

No pixel is read, and torch is not needed. N sites, C channels, D features.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from tqdm import tqdm

if TYPE_CHECKING:
    from kit.images.store.work import Work


@dataclass(frozen=True, slots=True)
class Intensity:
    """Mean and standard deviation of each of a run's channels, channel by channel: of the camera counts, or of the levels."""

    work: "Work"
    run: str
    channels: tuple[str, ...]
    raw: bool  # camera counts

    @property
    def facts(self) -> dict[str, Any]:
        """What features.json says of these features."""
        of = "camera counts" if self.raw else "8-bit levels"
        return {"baseline": "intensity", "of_run": self.run, "channels": list(self.channels), "of": of}

    @property
    def parts(self) -> dict[str, list[int]]:
        return {"cls": [0, 2 * len(self.channels)]}

    def embed_sites(self, plate: str, sites: pd.DataFrame, bar: tqdm) -> np.ndarray:
        """Return the statistics of the sites of one plate, float32 [N, D]."""
        bar.update(len(sites))
        if self.raw:
            mean_NC, sd_NC = self._columns(sites, "mean"), self._columns(sites, "sd")
        else:
            n = self.work.container(plate).height * self.work.container(plate).width
            sum_NC, squares_NC = self._columns(sites, "sum8"), self._columns(sites, "sumsq8")
            mean_NC, sd_NC = sum_NC / n, np.sqrt(n * squares_NC - sum_NC**2) / n
        return np.stack([mean_NC, sd_NC], axis=2).reshape(len(sites), -1).astype(np.float32)

    def _columns(self, sites: pd.DataFrame, statistic: str) -> np.ndarray:
        return sites[[f"{channel}_{statistic}" for channel in self.channels]].to_numpy(dtype=np.float64)
