"""Mean and sd of a run's channels over its data: what views and whole sites are normalised by. C channels."""

import numpy as np

from kit.config import RunConfig
from kit.images.crops.reader import SiteReader
from kit.images.store.work import Work
from kit.model.nuclei import sample_sites
from kit.progress import progress

SITES = 256  # of high-passed channels; the others are known from all sites


def channel_stats(work: Work, config: RunConfig) -> tuple[np.ndarray, np.ndarray]:
    """Return mean and sd of the levels / 255 of a run's channels, float64 [C]: over all stored sites, from exact sums.

    For channels with a high pass: over a sample of 256 sites, the same for every run, plates in turn and on each its wells.

    Raises:
        KitError: no site has the channel; an image of the sample is damaged; plates differ in size.
    """
    mean_C, sd_C = work.channel_stats(config.channels)
    passed = np.flatnonzero(config.high_pass_C)
    if not len(passed):
        return mean_C, sd_C
    chosen = sample_sites(work.sites_with(config.channels), SITES, seed=0)
    names, sides = [config.channels[index] for index in passed], [config.high_pass_C[index] for index in passed]
    reader = SiteReader(work, tuple(names), sorted(set(chosen["Metadata_Plate"])), sides)
    site_CHW = np.empty((len(passed), *reader.size), np.uint8)
    sums_2C = np.zeros((2, len(passed)), np.int64)
    rows = progress(chosen.itertuples(index=False, name=None), total=len(chosen), label="high pass", unit="site")
    for plate, well, site in rows:
        reader.read(plate, well, site, site_CHW)
        pixels_CHW = site_CHW.astype(np.int64)
        sums_2C += pixels_CHW.sum((1, 2)), (pixels_CHW**2).sum((1, 2))
    n, (total_C, squares_C) = len(chosen) * site_CHW[0].size, sums_2C
    mean_C[passed], sd_C[passed] = total_C / n / 255, (n * squares_C - total_C**2) ** 0.5 / n / 255
    return mean_C, sd_C
