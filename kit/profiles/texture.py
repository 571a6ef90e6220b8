"""The baseline by hand: texture of each channel and correlations of channels, from the 8-bit levels. It needs no training.

N sites, C channels, L bands, D features of a site, H W pixels.
"""

import itertools
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from tqdm import tqdm

from kit.errors import KitError
from kit.images.stains import NUCLEAR, nuclear_channel
from kit.profiles.grains import GRAINS, grain_step, site_grains
from kit.profiles.nuclei import NUCLEI, fill_unknown, nuclei_bin, site_nuclei
from kit.profiles.table import PLATE, SITE, WELL

if TYPE_CHECKING:
    from kit.images.store.work import Work

LEAST_SIDE = 10  # pixels on the shorter side of the coarsest band
_STATISTICS = ("log share", "asinh skewness", "log kurtosis")
_MOST = 0.999999  # of a correlation: z of 1 is infinite
_RUN = 256  # pixels: the sum of as many products of levels is a whole number that float32 holds, 255^2 x 256 < 2^24
_RUNS = 64  # that are multiplied together: they fit the cache


@dataclass(frozen=True, slots=True)
class Texture:
    """Texture of each of a run's channels.

    Per channel and band (see `kernels.bands`; L bands, until the coarsest would have fewer than ten pixels a side): the
    logarithm of its share of the energy of all bands, the inverse hyperbolic sine of its skewness, and the logarithm of its
    kurtosis. Per pair of channels: the Pearson correlation of their levels, as Fisher's z. These scales make the numbers alike
    in size; as they are, kurtosis would set distances and the ridge of whitening alone. A channel of one value in a site gives
    0 everywhere. No number depends on a channel's gain or offset.
    """

    work: "Work"
    run: str
    channels: tuple[str, ...]
    levels: int
    step: int  # pixels, of the granularity
    bin: int  # pixels, of the nuclei

    @property
    def names(self) -> list[str]:
        """What each feature is, D of them."""
        bands = [f"{name} band {band} {of}" for name in self.channels for of in _STATISTICS for band in range(1, self.levels + 1)]
        pairs = [f"{a} {b} correlation z" for a, b in itertools.combinations(self.channels, 2)]
        grains = [f"{name} {of}" for name in self.channels for of in GRAINS]
        return bands + pairs + grains + [f"{self.stain} nuclei {of}" for of in NUCLEI if self.stain]

    @property
    def stain(self) -> str | None:
        """The channel in which nuclei are sought."""
        return nuclear_channel(self.channels)

    @property
    def note(self) -> str:
        """What is said of the nuclei."""
        if self.stain:
            return f"nuclei: {len(NUCLEI)} columns from channel {self.stain}"
        return f"no nucleus columns: none of the channels {', '.join(self.channels)} is named after {', '.join(NUCLEAR)}"

    @property
    def facts(self) -> dict[str, Any]:
        """What features.json says of these features."""
        about = {"baseline": "texture", "of_run": self.run, "channels": list(self.channels)}
        sizes = {"granularity_step_px": self.step, "nuclei_of": self.stain, "nuclei_bin_px": self.bin if self.stain else None}
        return {**about, **sizes, "features": self.names}

    @property
    def parts(self) -> dict[str, list[int]]:
        return {"cls": [0, len(self.names)]}

    def embed_sites(self, plate: str, sites: pd.DataFrame, bar: tqdm) -> np.ndarray:
        """Return the texture of the sites of one plate, float32 [N, D]."""
        import torch

        keys = zip(sites[PLATE], sites[WELL], sites[SITE], strict=True)
        pool, rows = ThreadPoolExecutor(torch.get_num_threads()), []
        try:
            for row in pool.map(self._site, keys):
                rows.append(row)
                bar.update(1)
        finally:
            pool.shutdown(cancel_futures=True)  # a Ctrl-C ends it within a site
        return fill_unknown(np.stack(rows))

    def _site(self, key: tuple[str, str, int]) -> np.ndarray:
        site_CHW = self.work.read_site(*key, channels=self.channels)
        blocks = [bands_and_correlations(site_CHW, self.levels), site_grains(site_CHW, self.step)]
        if self.stain:
            blocks.append(site_nuclei(site_CHW[self.channels.index(self.stain)], self.bin))
        return np.concatenate(blocks)


def texture(work: "Work", run: str, channels: tuple[str, ...]) -> Texture:
    """Return the texture statistics of the channels; errors as `Work.container`.

    Raises:
        KitError: the store's plates differ in the size of their sites, so that their bands would not be comparable.
    """
    from kit.kernels.bands import most_levels

    shapes = {plate: work.container(plate).image_shape for plate in work.plates}
    if len(set(shapes.values())) > 1:
        plate, other = next(iter(shapes)), next(plate for plate in shapes if shapes[plate] != next(iter(shapes.values())))
        raise KitError(
            f"--baseline texture: sites of plate {plate} have {shapes[plate]} pixels, of plate {other} {shapes[other]}: "
            "ingest them with one --size"
        )
    height, width = next(iter(shapes.values()))
    levels = max(most_levels(height, width, LEAST_SIDE), 1)
    return Texture(work, run, channels, levels, grain_step(height, width), nuclei_bin(height, width))


def bands_and_correlations(site_CHW: np.ndarray, levels: int) -> np.ndarray:
    """Return the first features of one site, float32; see `Texture`.

    Args:
        site_CHW: uint8 levels.
    """
    import torch

    from kit.kernels.bands import band_moments, level_pixels

    _, height, width = site_CHW.shape
    sums_CL4 = band_moments(torch.from_numpy(site_CHW), levels, threads=1).numpy()
    pixels_L1 = np.array(level_pixels(height, width, levels), dtype=np.float64)[:, None]
    variance_CL, skewness_CL, kurtosis_CL = _standardised(sums_CL4 / pixels_L1)
    share_CL = _ratio(variance_CL, variance_CL.sum(axis=1, keepdims=True))
    bands_C3L = np.stack([_log(share_CL), np.arcsinh(skewness_CL), _log(kurtosis_CL)], axis=1)
    pairs = np.triu_indices(len(site_CHW), 1)
    z_P = np.arctanh(np.clip(correlations(site_CHW)[pairs], -_MOST, _MOST))
    return np.concatenate([bands_C3L.ravel(), z_P]).astype(np.float32)


def correlations(site_CHW: np.ndarray) -> np.ndarray:
    """Return the Pearson correlations of the channels' levels over the pixels of a site, float64 [C, C], from exact sums."""
    channels, height, width = site_CHW.shape
    levels_CP = site_CHW.reshape(channels, -1)
    runs_DRP = np.ones((channels + 1, _RUNS, _RUN), dtype=np.float32)  # the channels and ones, whose products are plain sums
    runs_RDP, flat_DP = runs_DRP.transpose(1, 0, 2), runs_DRP.reshape(channels + 1, -1)
    sums_DD = np.zeros((channels + 1, channels + 1))
    for start in range(0, levels_CP.shape[1], _RUNS * _RUN):
        part_CP = levels_CP[:, start : start + _RUNS * _RUN]
        flat_DP[:channels, : part_CP.shape[1]] = part_CP
        flat_DP[:, part_CP.shape[1] :] = 0
        sums_DD += (runs_RDP @ runs_RDP.transpose(0, 2, 1)).sum(axis=0, dtype=np.float64)
    products_CC, sum_C = sums_DD[:channels, :channels], sums_DD[channels, :channels]
    covariance_CC = products_CC * (height * width) - np.outer(sum_C, sum_C)
    sd_C = np.sqrt(np.diag(covariance_CC))
    return _ratio(covariance_CC, np.outer(sd_C, sd_C))


def _standardised(raw_CL4: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return variance, skewness and kurtosis (3 for a normal distribution) from raw moments."""
    m1, m2, m3, m4 = np.moveaxis(raw_CL4, -1, 0)
    variance = np.maximum(m2 - m1**2, 0)
    third = m3 - 3 * m1 * m2 + 2 * m1**3
    fourth = m4 - 4 * m1 * m3 + 6 * m1**2 * m2 - 3 * m1**4
    return variance, _ratio(third, variance**1.5), _ratio(fourth, variance**2)


def _log(values: np.ndarray) -> np.ndarray:
    """Return the logarithms, 0 where a value is 0: that of a channel of one value."""
    return np.log(values, out=np.zeros_like(values), where=values > 0)


def _ratio(above: np.ndarray, below: np.ndarray) -> np.ndarray:
    return np.divide(above, below, out=np.zeros(np.broadcast_shapes(above.shape, below.shape)), where=below > 0)
