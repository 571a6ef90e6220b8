"""Mean and sd of a run's channels over its data: what views and whole sites are normalised by. C channels."""

import numpy as np

from kit.config import RunConfig
from kit.images.crops.preparation import Preparation
from kit.images.crops.reader import SiteReader
from kit.images.store.work import Work
from kit.model.nuclei import sample_sites
from kit.progress import progress

SITES = 256  # of channels that are changed before crops are cut; the others are known from all sites


def channel_stats(work: Work, config: RunConfig) -> tuple[np.ndarray, np.ndarray]:
    """Return mean and sd of the levels / 255 of a run's channels, float64 [C]: over all stored sites, from exact sums.

    For channels that are changed before crops are cut (high pass, clipping, CLAHE): over a sample of 256 sites, the same for
    every run, plates in turn and on each its wells.

    Raises:
        KitError: no site has the channel; an image of the sample is damaged; plates differ in size.
    """
    mean_C, sd_C = work.channel_stats(config.channels)
    prepare = Preparation.of_run(config)
    changed = prepare.changed(len(config.channels))
    if not changed:
        return mean_C, sd_C
    chosen = sample_sites(work.sites_with(config.channels), SITES, seed=0)
    names = tuple(config.channels[index] for index in changed)
    reader = SiteReader(work, names, sorted(set(chosen["Metadata_Plate"])), prepare.only(changed))
    site_CHW = np.empty((len(changed), *reader.size), np.uint8)
    sums_2C = np.zeros((2, len(changed)), np.int64)
    rows = progress(chosen.itertuples(index=False, name=None), total=len(chosen), label="prepared sites", unit="site")
    for plate, well, site in rows:
        reader.read(plate, well, site, site_CHW)
        pixels_CHW = site_CHW.astype(np.int64)
        sums_2C += pixels_CHW.sum((1, 2)), (pixels_CHW**2).sum((1, 2))
    n, (total_C, squares_C) = len(chosen) * site_CHW[0].size, sums_2C
    mean_C[changed], sd_C[changed] = total_C / n / 255, (n * squares_C - total_C**2) ** 0.5 / n / 255
    return mean_C, sd_C
