"""Draws every parameter of a view, then calls the kernels. B batch, C channels, P side of crop and view.

Every draw is a function of the run's seed, the sample's id and the role of the view alone (a Philox counter), so a view can
be reproduced anywhere, and the split of a batch does not matter.
"""

import functools
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from kit.config import ViewsConfig
from kit.config.channels import FLUORESCENCE
from kit.errors import UsageError
from kit.images.crops.groups import GROUPS
from kit.kernels.blur import blur
from kit.kernels.channel_jitter import jitter_terms
from kit.kernels.elastic_warp import elastic_lattice, rotation
from kit.kernels.microscope_noise import Noise
from kit.kernels.philox import LATTICE, PARAMETERS, stream_of, uniform
from kit.kernels.random_words import random_words
from kit.kernels.view import Jitter, Normalise, view
from kit.kernels.warp import AFFINE, AS_IT_IS, ELASTIC, Warp
from kit.model.channel_order import permute_channels
from kit.model.composite import composite
from kit.model.exposure_draws import draw_exposure
from kit.model.transfer import upload

if TYPE_CHECKING:
    from kit.images.crops.loader import CropBatch

ROLES = ("first", "second", "local")
BLUR_SIGMA = (0.1, 2.0)  # pixels; DINOv2


def make_views(
    batch: "CropBatch",
    names: Iterable[str],
    config: ViewsConfig,
    *,
    seed: int,
    channel_groups: tuple[str, ...],
    channels: tuple[str, ...] = (),
    mean_C: Tensor,
    sd_C: Tensor,
) -> dict[str, Tensor]:
    """Return a view of each crop of the groups `names` of a batch, float32 [B, C, P, P]; arguments as `make_view`."""
    facts: dict[str, Any] = {"seed": seed, "channel_groups": channel_groups, "channels": channels, "mean_C": mean_C, "sd_C": sd_C}
    views = {}
    for name in names:
        crops = batch.groups[name]
        view_BCPP = make_view(crops.pixels_BCPP, crops.sums_BC, crops.sample_B, config, role=GROUPS[name].role, **facts)
        permuted = config.channel_order == "permuted"
        views[name] = permute_channels(view_BCPP, crops.sample_B, seed=seed) if permuted else view_BCPP
    return views


def make_view(
    pixels_BCPP: Tensor,
    sums_BC: Tensor,
    sample_B: Tensor,
    config: ViewsConfig,
    *,
    seed: int,
    role: str,
    channel_groups: tuple[str, ...],
    channels: tuple[str, ...] = (),
    mean_C: Tensor,
    sd_C: Tensor,
    dtype: torch.dtype = torch.float32,
) -> Tensor:
    """Return one normalised view of each crop, `dtype` [B, C, P, P].

    Args:
        pixels_BCPP: grey levels of the crops, uint8.
        sums_BC: sum of each channel of the crop, int64: the contrast changes about the channel's mean.
        sample_B: ids of the samples, int64, on the CPU or the device of the crops.
        config: style, strengths and probabilities.
        seed: of the run.
        role: first, second or local; each draws its own numbers, and DINOv2's style treats them differently.
        channel_groups: the group of each of the C channels: the noise of brightfield has a factor of its own.
        channels: their names, for style cell-dino, which may name some.
        mean_C, sd_C: of the data set, intensities in [0, 1]; read once, so not to be changed in place.

    Sources: SSLProfiler 1, sections 3.3.2 and 6; DINOv2 (arXiv:2304.07193) for style dinov2; Cell-DINO for style cell-dino.
    """
    if config.composite == "wheel":
        pixels_BCPP = composite(pixels_BCPP)
        sums_BC, channel_groups, channels = pixels_BCPP.sum((2, 3)), (FLUORESCENCE,) * 3, ()
    sample_B = upload(sample_B, pixels_BCPP.device)
    finish = functools.partial(_normalised, config=config, mean_C=mean_C, sd_C=sd_C, dtype=dtype)
    if config.style == "none":
        return finish(pixels_BCPP)
    if config.style == "cell-dino":
        where: dict[str, Any] = {"seed": seed, "role": ROLES.index(role), "channels": channels or channel_groups}
        return finish(pixels_BCPP, exposure=draw_exposure(pixels_BCPP, sample_B, config, **where))
    draws = _Draws(sample_B, len(channel_groups), seed, ROLES.index(role))
    mean_BC = sums_BC.double() / (255 * pixels_BCPP.shape[2] * pixels_BCPP.shape[3])
    if config.style == "dinov2":
        jittered = view(pixels_BCPP, jitter=_common_jitter(config, draws, mean_BC))
        return finish(blur(jittered, *_blur_terms(config, draws, role)))
    warp, jitter = _warp(config, draws, *pixels_BCPP.shape[2:]), _channel_jitter(config, draws, mean_BC)
    source_BCPP = pixels_BCPP
    parts: dict[str, Any] = {"warp": warp, "jitter": jitter}
    if config.blur_and_solarise:
        source_BCPP, parts = blur(view(pixels_BCPP, **parts), *_blur_terms(config, draws, role)), {}
    noise = _noise(config, draws, channel_groups)
    if noise is None or config.noise_unit == "level":
        return finish(source_BCPP, **parts, noise=noise)
    factor_C = [config.noise_of(group) for group in channel_groups]
    gain_BC = _noise_gain(noise, factor_C, mean_BC, _sd(pixels_BCPP, sums_BC))
    return finish(_add_noise(view(source_BCPP, **parts), noise, gain_BC))


def normalise_site(
    pixels_BCPP: Tensor, config: ViewsConfig, mean_C: Tensor, sd_C: Tensor, dtype: torch.dtype = torch.float32
) -> Tensor:
    """Return whole sites normalised as the views were and otherwise untouched, `dtype` [B, C, P, P], for embedding."""
    if config.composite == "wheel":
        pixels_BCPP = composite(pixels_BCPP)
    return _normalised(pixels_BCPP, config=config, mean_C=mean_C, sd_C=sd_C, dtype=dtype)


class _Draws:
    """The uniform numbers of a batch: named columns of two common blocks, then one block for each channel."""

    _COMMON = ("angle", "elastic", "noise", "jitter", "blur", "blur_sigma", "solarise", "spare")

    def __init__(self, sample_B: Tensor, channels: int, seed: int, role: int):
        self.sample_B, self.seed, self.role = sample_B, seed, role
        words = random_words(sample_B, 2 + channels, seed=seed, stream=stream_of(PARAMETERS, role=role))
        self._common_B8, self._channel_BC4 = uniform(words[:, :2]).flatten(1), uniform(words[:, 2:])

    def common(self, name: str) -> Tensor:
        """Return one uniform number a sample, [B]."""
        return self._common_B8[:, self._COMMON.index(name)]

    def per_channel(self, which: int) -> Tensor:
        """Return one uniform number a sample and channel, [B, C]; `which` is 0 to 3."""
        return self._channel_BC4[..., which]


def _channel_jitter(config: ViewsConfig, draws: _Draws, mean_BC: Tensor) -> Jitter:
    brightness_BC = _factor(config.brightness, draws.per_channel(0))
    contrast_BC = _factor(config.contrast, draws.per_channel(1))
    return Jitter(*jitter_terms(brightness_BC, contrast_BC, mean_BC))


def _common_jitter(config: ViewsConfig, draws: _Draws, mean_BC: Tensor) -> Jitter:
    on_B1 = (draws.common("jitter") < config.dinov2_jitter_p)[:, None]
    one = torch.ones((), dtype=torch.float64, device=mean_BC.device)
    brightness_B1 = torch.where(on_B1, _factor(config.brightness, draws.per_channel(0)[:, :1]), one)
    contrast_B1 = torch.where(on_B1, _factor(config.contrast, draws.per_channel(1)[:, :1]), one)
    return Jitter(*jitter_terms(brightness_B1.expand_as(mean_BC), contrast_B1.expand_as(mean_BC), mean_BC))


def _factor(strength: float, uniform_: Tensor) -> Tensor:
    least = max(0.0, 1 - strength)
    return least + (1 + strength - least) * uniform_.double()


def _blur_terms(config: ViewsConfig, draws: _Draws, role: str) -> tuple[Tensor, Tensor]:
    least, most = BLUR_SIGMA
    sigma_B = least + (most - least) * draws.common("blur_sigma")
    blurred_B = draws.common("blur") < config.dinov2_blur_p[ROLES.index(role)]
    solarised_B = draws.common("solarise") < (config.dinov2_solarise_p if role == "second" else 0)
    return torch.where(blurred_B, sigma_B, 0), solarised_B.int()


def _warp(config: ViewsConfig, draws: _Draws, height: int, width: int) -> Warp | None:
    """Rotation and displacement; None where neither can occur."""
    free, elastic = config.rotation == "free", config.elastic_p > 0 and config.elastic_alpha > 0
    if not free and not elastic:
        return None
    turn = draws.common("angle").double() * (2 * torch.pi if free else 0)
    kind_B = torch.full_like(draws.sample_B, AFFINE if free else AS_IT_IS, dtype=torch.int32)
    if not elastic:
        return Warp(kind_B, rotation(turn, height, width))
    kind_B = torch.where(draws.common("elastic") < config.elastic_p, ELASTIC, kind_B)
    ratio = height / config.elastic_side if config.elastic_side else 1.0
    alpha, sigma = config.elastic_alpha * ratio**2, config.elastic_sigma * ratio  # the SD, alpha / sigma, grows as the side
    stream = stream_of(LATTICE, role=draws.role)
    lattice = elastic_lattice(draws.sample_B, height, width, alpha=alpha, sigma=sigma, seed=draws.seed, stream=stream)
    return Warp(kind_B, rotation(turn, height, width), lattice, sigma / 2.5)


def _noise(config: ViewsConfig, draws: _Draws, channel_groups: tuple[str, ...]) -> Noise | None:
    if config.noise_p == 0:
        return None
    strength = [config.noise_strength(group) for group in channel_groups]
    return Noise(
        on_B=(draws.common("noise") < config.noise_p).int(),
        sample_B=draws.sample_B,
        shot=tuple(config.noise_shot * s for s in strength),
        dark=tuple(config.noise_dark * s for s in strength),
        read=tuple(config.noise_read * s for s in strength),
        seed=draws.seed,
        role=draws.role,
    )


def _sd(pixels_BCPP: Tensor, sums_BC: Tensor) -> Tensor:
    """The sd of each channel of the crops, intensities, float64 [B, C]: from exact sums, so the same on every device."""
    n = pixels_BCPP.shape[2] * pixels_BCPP.shape[3]
    squares = [channel_BPP.int().square().sum((1, 2)) for channel_BPP in pixels_BCPP.unbind(1)]  # one by one: int64 is large
    return (n * torch.stack(squares, 1).double() - sums_BC.double().square()).clamp_min(0).sqrt() / (255 * n)


def _noise_gain(noise: Noise, factor_C: Sequence[float], mean_BC: Tensor, sd_BC: Tensor) -> Tensor:
    """What brings the noise of a crop as it is to factor times the crop's sd, float32 [B, C]; 0 where no noise is drawn."""
    strengths = torch.tensor((noise.shot, noise.read, factor_C), dtype=mean_BC.dtype)
    shot_C, read_C, wanted_C = upload(strengths, mean_BC.device)
    own_BC = (shot_C * mean_BC + read_C.square()).sqrt()
    gain_BC = torch.where(own_BC > 0, wanted_C * sd_BC / own_BC, 0)  # 0: a black crop without read noise, or a factor of 0
    return (gain_BC * noise.on_B[:, None]).float()


def _add_noise(x_BCPP: Tensor, noise: Noise, gain_BC: Tensor) -> Tensor:
    """Return x + gain times what the noise adds to x."""
    return view(x_BCPP, noise=noise).sub_(x_BCPP.clamp(0, 1)).mul_(gain_BC[..., None, None]).add_(x_BCPP)


def _normalised(
    pixels_BCPP: Tensor, *, config: ViewsConfig, mean_C: Tensor, sd_C: Tensor, dtype: torch.dtype, **parts: Any
) -> Tensor:
    """Return the view with these parts, normalised as `config` says."""
    if config.normalise == "crop" and config.normalise_floor_unit == "level":
        return view(pixels_BCPP, **parts, normalise=Normalise(floor=config.normalise_floor), dtype=dtype)
    mean, sd = (_values(tensor) if isinstance(tensor, Tensor) else tuple(map(float, tensor)) for tensor in (mean_C, sd_C))
    if not min(sd) > 0:
        key = "normalise = dataset" if config.normalise == "dataset" else "normalise_floor_unit = sd"
        way_out = "crop" if config.normalise == "dataset" else "level"
        raise UsageError(f"views.{key}, but a channel of the store has sd 0: {sd}; use {way_out}")
    if config.normalise == "dataset":
        normalise = Normalise(scale=tuple(1 / s for s in sd), shift=tuple(-m / s for m, s in zip(mean, sd, strict=True)))
        return view(pixels_BCPP, **parts, normalise=normalise, dtype=dtype)
    # In units of the channel's sd, one floor is right for all: (v - mean) / (sd + floor sd_C).
    made_BCPP = view(pixels_BCPP, **parts)
    scale_BC = upload(torch.tensor([1 / s for s in sd], dtype=made_BCPP.dtype), made_BCPP.device).repeat(len(made_BCPP), 1)
    in_sd = Jitter(scale_BC, torch.zeros_like(scale_BC))
    return view(made_BCPP, jitter=in_sd, normalise=Normalise(floor=config.normalise_floor), dtype=dtype)


@functools.lru_cache(maxsize=16)  # by identity, as tensors hash: asking a GPU for the same numbers at each step would stall it
def _values(tensor: Tensor) -> tuple[float, ...]:
    return tuple(tensor.tolist())
