"""How strong a recipe's noise is beside the signal of a store: a sample of crops, measured. N crops, P crop side."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch

from kit.config import RunConfig, ViewsConfig
from kit.config.channels import BRIGHTFIELD, groups_of
from kit.config.views import LEAST_SHOT
from kit.errors import KitError
from kit.images.crops.boxes import draw_crops
from kit.images.crops.frames import frames_of
from kit.images.crops.groups import GROUPS, V1
from kit.images.crops.preparation import Preparation
from kit.images.crops.reader import SiteReader
from kit.images.store.work import Work
from kit.kernels.tile import tile
from kit.model.nuclei import sample_sites
from kit.model.views import make_view
from kit.progress import progress
from kit.words import count

SITES = 32  # of each channel, one crop of each
ABOVE = 1.05  # a ratio that is printed as 1.0 is not above 1


@dataclass(frozen=True, kw_only=True, slots=True)
class ChannelNoise:
    """The sd of the noise over the sd of the crop it is added to, in a sample of crops of one channel."""

    channel: str
    group: str
    crops: int  # those that are not flat
    quartiles: tuple[float, float, float]  # the second is the median; NaN where all crops are flat


def measure_noise(work: Work, config: RunConfig, *, sites: int = SITES, seed: int = 0) -> list[ChannelNoise]:
    """Measure the noise that `config.views` adds to a global crop where it draws noise, for each channel of the store.

    Crops are those of the recipe, of at most `sites` sites for each channel: plates take turns, and on each its wells.

    Raises:
        KitError: no complete plate; plates differ in size; an image is damaged.
    """
    if not work.plates:
        raise KitError(f"{work.path} holds no complete plate: run kit ingest again")
    found = []
    for channel, group in progress(
        list(zip(work.channels, groups_of(work.channels, work.groups), strict=True)), label="noise", unit="channel"
    ):
        ratio_N = noise_over_signal(*_crops(work, channel, group, config, sites, seed), config.views, group=group, seed=seed)
        ratio_N = ratio_N[np.isfinite(ratio_N)]
        least, median, most = np.percentile(ratio_N, [25, 50, 75]).tolist() if len(ratio_N) else [np.nan] * 3
        found.append(ChannelNoise(channel=channel, group=group, crops=len(ratio_N), quartiles=(least, median, most)))
    return found


def noise_over_signal(
    pixels_N1PP: torch.Tensor, sums_N1: torch.Tensor, views: ViewsConfig, *, group: str, seed: int = 0
) -> np.ndarray:
    """Return the sd of the noise over the sd of the crop, float64 [N], of crops of one channel; NaN where a crop is flat."""
    still = replace(views, brightness=0.0, contrast=0.0, elastic_p=0.0, rotation="none", normalise="dataset", composite="none")
    plain, noisy = (
        make_view(
            pixels_N1PP, sums_N1, torch.arange(len(sums_N1)), one, seed=seed, role=GROUPS[V1].role, channel_groups=(group,),
            mean_C=torch.zeros(1), sd_C=torch.ones(1),
        ).double()
        for one in (replace(still, style="none"), replace(still, style="sslprofiler", noise_p=1.0))
    )  # fmt: skip
    signal_N, noise_N = (x.std((1, 2, 3), correction=0).numpy() for x in (plain, noisy - plain))
    return noise_N / np.where(pixels_N1PP.amax((1, 2, 3)) > pixels_N1PP.amin((1, 2, 3)), signal_N, np.nan)


def adds_noise(views: ViewsConfig) -> bool:
    """Return whether any view gets noise."""
    return views.style == "sslprofiler" and views.noise_p > 0


def noise_advice(work: Work, config: RunConfig) -> str:
    """Return a line for each channel of the store, and where noise is above the signal the settings that lower it."""
    views, name = config.views, config.recipe
    if not adds_noise(views):
        why = f"views.style = {views.style}" if views.style != "sslprofiler" else "views.noise_p = 0"
        return f"recipe {name} adds no noise: {why}"
    return noise_text(measure_noise(work, config), config)


def noise_text(found: Sequence[ChannelNoise], config: RunConfig) -> str:
    """Return what `measure_noise` found, in lines for people."""
    views, width = config.views, max(len(one.channel) for one in found)
    crops = count(max(one.crops for one in found), "crop")
    lines = [
        f"SD of the noise over SD of the crop, recipe {config.recipe}: median of up to {crops} of "
        f"{config.crops.global_side} px (quartiles); {views.noise_p:.0%} of views get noise"
    ]
    for one in found:
        least, median, most = one.quartiles
        lines.append(f"  {one.channel:{width}}  " + (f"{median:.2f} ({least:.2f} to {most:.2f})" if one.crops else "no signal"))
    loud = [one for one in found if one.quartiles[1] >= ABOVE]
    return "\n".join([*lines, *(_ways_out(loud, views) if loud else [])])


def _ways_out(loud: Sequence[ChannelNoise], views: ViewsConfig) -> list[str]:
    """Return the warning, and the settings that lower the noise."""
    warning = f"The noise is stronger than the signal in {', '.join(one.channel for one in loud)}. To weaken it:"
    by_factor = [[one for one in loud if (one.group == BRIGHTFIELD) == bright] for bright in (False, True)]
    weaker = "  " + " ".join(_weaker(channels, views) for channels in by_factor if channels)
    if views.noise_unit == "sd":
        return [warning, weaker]
    factors = f"noise_fluorescence = {views.noise_fluorescence:g} and noise_brightfield = {views.noise_brightfield:g}"
    return [warning, weaker, f"or --set views.noise_unit=sd: then {factors} are noise over signal, whatever the crop"]


def _weaker(loud: Sequence[ChannelNoise], views: ViewsConfig) -> str:
    """Return the --set option that takes the noise of channels with the same factor down to their signal, or off."""
    worst, factor = max(one.quartiles[1] for one in loud), views.noise_of(loud[0].group)
    key = "noise_brightfield" if loud[0].group == BRIGHTFIELD else "noise_fluorescence"
    if views.noise_unit == "sd":
        return f"--set views.{key}={_floor(factor / worst):g}"
    value = _floor(factor / worst**2)  # shot noise goes as the square root of its strength, read noise falls faster
    return f"--set views.{key}={value if views.noise_shot * value >= LEAST_SHOT else 0:g}"


def _floor(value: float) -> float:
    """Return two digits, rounded down."""
    step = 10 ** (np.floor(np.log10(value)) - 1)
    return float(np.floor(value / step + 1e-9) * step)


def _crops(work: Work, channel: str, group: str, config: RunConfig, sites: int, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Cut a global crop out of each of a sample of sites; return levels, uint8 [N, 1, P, P], and their sums, int64 [N, 1]."""
    sample = sample_sites(work.sites_with((channel,)), sites, seed)
    who = list(sample.itertuples(index=False, name=None))
    reader = SiteReader(work, (channel,), sorted({plate for plate, _, _ in who}), Preparation.of(config.views, (group,)))
    frames = frames_of(work, config.crops, sample, reader.size, batch=len(who), seed=seed)
    box_N4, flip_N, turn_N = map(torch.from_numpy, draw_crops(config.crops, V1, 0, len(who), frames.size, seed, 0, 0))
    box_N4[:, :2] += torch.from_numpy(frames.corners([(row, row) for row in range(len(who))], range(len(who)), 0, 0)[:, 0])
    site_11HW, side = np.empty((1, 1, *reader.size), np.uint8), config.crops.global_side
    pixels_N1PP, sums_N1 = torch.empty(len(who), 1, side, side, dtype=torch.uint8), torch.empty(len(who), 1, dtype=torch.int64)
    for i, (plate, well, site) in enumerate(who):
        reader.read(plate, well, site, site_11HW[0])
        one = slice(i, i + 1)
        pixels_N1PP[one], sums_N1[one] = tile(
            torch.from_numpy(site_11HW), torch.zeros(1, dtype=torch.int64), box_N4[one], flip_N[one], turn_N[one], side=side
        )
    return pixels_N1PP, sums_N1
