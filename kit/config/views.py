"""Table [views] of a recipe; docs/views.md defines each operation."""

from dataclasses import dataclass
from typing import Annotated

from kit.config.channels import BRIGHTFIELD
from kit.config.setting import refuse, setting
from kit.ranges import AT_LEAST_1, POSITIVE, PROBABILITIES, PROBABILITY, ZERO_OR_MORE, Need, check_ranges, one_of

WINDOW = Need("0, or an odd number of pixels from 3 to 2047", lambda value: value == 0 or (value % 2 == 1 and 3 <= value <= 2047))
PERCENTILES = Need("0 <= low < high <= 100", lambda pair: 0 <= pair[0] < pair[1] <= 100)
LEAST_SHOT = 1 / 320  # the Poisson tables reach a mean count of 320


@dataclass(frozen=True, kw_only=True, slots=True)
class ViewsConfig:
    """How a crop becomes a view: table [views]. Order: warp, jitter, blur, noise, normalise. Intensities are in [0, 1]."""

    style: Annotated[str, one_of("sslprofiler", "dinov2", "cell-dino", "none")] = setting(
        "sslprofiler",
        "augmentations: sslprofiler, as in SSLProfiler 1, sections 3.3.2 and 6; dinov2, for any number of channels; cell-dino, "
        "as in Cell-DINO's published code; none",
    )
    high_pass_fluorescence: Annotated[int, WINDOW] = setting(
        0,
        "if not 0: before crops are cut, the mean over a square of this side, pixels of the stored site, is taken from each "
        "pixel, which removes uneven light; channels of every group but brightfield; ours",
    )
    high_pass_brightfield: Annotated[int, WINDOW] = setting(0, "the same for channels of the group brightfield; ours")
    clip_percentiles: Annotated[tuple[float, float], PERCENTILES] = setting(
        (0.0, 100.0),
        "before crops are cut, a channel's levels are clipped to these percentiles of the stored site and stretched to the full "
        "range; 0 and 100: left as they are; CellRep, section 3.1, the values are ours",
    )
    clahe: bool = setting(
        False,
        "before crops are cut, the histogram of every channel is equalised place by place (CLAHE, as scikit-image has it); "
        "CellRep, section 3.1",
    )
    clahe_limit: Annotated[float, Need("more than 0, at most 1", lambda value: 0 < value <= 1)] = setting(
        0.01, "clahe: most of a tile's pixels that one level may have, as a fraction; scikit-image's default"
    )
    clahe_tiles: Annotated[int, AT_LEAST_1] = setting(8, "clahe: tiles along a side of the site; scikit-image's default")
    channel_order: Annotated[str, one_of("fixed", "permuted")] = setting(
        "fixed", "order in which the network sees the channels: as the run has them, or drawn for every image; CellRep, figure 1"
    )
    composite: Annotated[str, one_of("none", "wheel")] = setting(
        "none",
        "wheel: instead of its channels the network sees their RGB composite, hues evenly spaced, levels added and clipped; the "
        "DINOv2 that CellRep, section 4.2, compares with",
    )
    brightness: Annotated[float, ZERO_OR_MORE] = setting(
        0.4,
        "a: each channel is multiplied by a factor from 1 - a to 1 + a; SSLProfiler 1, section 3.3.2; the value is ours. Style "
        "cell-dino: by max(N(1, sd a), 0.5), clipped to [0, 1]",
    )
    contrast: Annotated[float, ZERO_OR_MORE] = setting(
        0.4,
        "a: each channel's deviation from its mean is multiplied by a factor from 1 - a to 1 + a; the value is ours. Style "
        "cell-dino: by max(N(1, sd a), 0.5), clipped to [0, 1]",
    )
    elastic_p: Annotated[float, PROBABILITY] = setting(0.5, "probability of the elastic warp; SSLProfiler 1, section 6.2")
    elastic_alpha: Annotated[float, ZERO_OR_MORE] = setting(
        1200.0, "strength of the elastic warp, pixels of the view; SSLProfiler 1, section 6.2"
    )
    elastic_sigma: Annotated[float, Need("2 pixels or more", lambda value: value >= 2)] = setting(
        40.0, "smoothness of the elastic warp, pixels of the view; SSLProfiler 1, section 6.2"
    )
    elastic_side: Annotated[int, Need("0 or more pixels", lambda value: value >= 0)] = setting(
        0, "if not 0: elastic_alpha and elastic_sigma are for a view of this side, pixels, and scale with the view"
    )
    rotation: Annotated[str, one_of("free", "right", "none")] = setting(
        "free", "free: any angle, in the same gather as the warp; right: only the flips and quarter turns of the loader; none"
    )
    noise_p: Annotated[float, PROBABILITY] = setting(0.5, "probability of microscope noise; ours: the paper states none")
    noise_shot: Annotated[float, POSITIVE] = setting(
        0.1, "shot noise: intensity of one count, so higher is noisier; SSLProfiler 1, section 6.1"
    )
    noise_dark: Annotated[float, ZERO_OR_MORE] = setting(0.05, "dark current: intensity added; SSLProfiler 1, section 6.1")
    noise_read: Annotated[float, ZERO_OR_MORE] = setting(
        0.01, "read noise: standard deviation of the intensity; SSLProfiler 1, section 6.1"
    )
    noise_fluorescence: Annotated[float, ZERO_OR_MORE] = setting(
        1.0, "factor on all noise of the channels of every group but brightfield; 1: as in the paper, 0: none"
    )
    noise_brightfield: Annotated[float, ZERO_OR_MORE] = setting(
        1.0, "factor on all noise of the channels of the group brightfield; 1: as in the paper, 0: none"
    )
    noise_unit: Annotated[str, one_of("level", "sd")] = setting(
        "level",
        "level: noise as the strengths above give it, SSLProfiler 1; sd: noise_fluorescence and noise_brightfield are its sd "
        "in units of the crop's own sd; ours",
    )
    dinov2_jitter_p: Annotated[float, PROBABILITY] = setting(
        0.8, "style dinov2: probability of brightness and contrast jitter, the same for all channels"
    )
    dinov2_blur_p: Annotated[tuple[float, float, float], PROBABILITIES] = setting(
        (1.0, 0.1, 0.5),
        "style dinov2, or blur_and_solarise: probability of a Gaussian blur of first global, second global and local views",
    )
    dinov2_solarise_p: Annotated[float, PROBABILITY] = setting(
        0.2, "style dinov2, or blur_and_solarise: probability that the second global view is solarised"
    )
    blur_and_solarise: bool = setting(
        False,
        "style sslprofiler: also blur and solarise as in the style dinov2, between jitter and noise; neither paper says "
        "that they were left out; ours: off",
    )
    cell_dino_drop_p: Annotated[float, PROBABILITY] = setting(
        0.2, "style cell-dino: probability that one channel is set to zero; Cell-DINO's published code"
    )
    cell_dino_keep: tuple[str, ...] = setting((), "style cell-dino: channels that are never set to zero, by name")
    cell_dino_rescale: str = setting(
        "", "style cell-dino: name of a channel that is multiplied by U(0, 2) / (the crop's maximum) at times; empty: none"
    )
    cell_dino_rescale_p: Annotated[float, PROBABILITY] = setting(
        0.2, "style cell-dino: probability of that; Cell-DINO's published code, for the protein channel"
    )
    normalise: Annotated[str, one_of("dataset", "crop")] = setting(
        "dataset", "(x - mean) / sd per channel: of the whole dataset, SSLProfiler 1, section 3.2; or of the crop itself"
    )
    normalise_floor: Annotated[float, ZERO_OR_MORE] = setting(
        0.02, "added to the sd where normalise = crop, so that an empty channel stays near 0"
    )
    normalise_floor_unit: Annotated[str, one_of("level", "sd")] = setting(
        "level", "of normalise_floor: level, intensity from 0 to 1; sd, the channel's own sd over the dataset; ours"
    )

    def high_pass_of(self, group: str) -> int:
        """Return the side of the window that a channel of `group` is freed of its mean in, pixels; 0: it is left as it is."""
        return self.high_pass_brightfield if group == BRIGHTFIELD else self.high_pass_fluorescence

    def channels_named(self) -> dict[str, tuple[str, ...]]:
        """Return key -> the channels that the style's settings name: a run has to have them."""
        if self.style != "cell-dino":
            return {}
        rescaled = (self.cell_dino_rescale,) if self.cell_dino_rescale else ()
        return {"cell_dino_keep": self.cell_dino_keep, "cell_dino_rescale": rescaled}

    def noise_of(self, group: str) -> float:
        """Return the factor on the noise of a channel of `group`: brightfield has its own, all others have fluorescence's."""
        return self.noise_brightfield if group == BRIGHTFIELD else self.noise_fluorescence

    def noise_strength(self, group: str) -> float:
        """Return what multiplies shot, dark and read noise in a channel of `group`: `noise_of`, or 0 or 1 in the unit sd."""
        return self.noise_of(group) if self.noise_unit == "level" else float(self.noise_of(group) > 0)

    def __post_init__(self) -> None:
        check_ranges(self, "views")
        if self.composite != "none" and (self.normalise, self.normalise_floor_unit) != ("crop", "level"):
            need = "none, or views.normalise = crop and views.normalise_floor_unit = level: nothing is known of composites"
            raise refuse("views", "composite", self.composite, need)
        if self.noise_unit == "sd":
            if self.noise_shot < LEAST_SHOT:
                raise refuse("views", "noise_shot", self.noise_shot, "at least 1/320 where noise_unit = sd")
            return
        for key in ("noise_fluorescence", "noise_brightfield"):
            shot = self.noise_shot * getattr(self, key)
            if not (shot == 0 or shot >= LEAST_SHOT):
                need = f"0, or noise_shot = {self.noise_shot} times it at least 1/320"
                raise refuse("views", key, getattr(self, key), need)
