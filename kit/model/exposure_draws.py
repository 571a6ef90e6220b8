"""What style cell-dino draws for a view: brightness and contrast of each channel, one dropped, one rescaled. B batch, C channels.

Its words have a stream of their own, so that no other style's numbers depend on them: block 0 of a sample is (drop, which,
rescale, by how much), block 1 + c the two normals of channel c.
"""

import torch
from torch import Tensor

from kit.config import ViewsConfig
from kit.kernels.clipped_means import expose
from kit.kernels.exposure import Exposure
from kit.kernels.philox import EXPOSURE, normal_pair, stream_of, uniform
from kit.kernels.random_words import random_words
from kit.model.transfer import upload

LEAST_FACTOR = 0.5  # of brightness and contrast; Cell-DINO's published code


def draw_exposure(
    pixels_BCPP: Tensor, sample_B: Tensor, config: ViewsConfig, *, seed: int, role: int, channels: tuple[str, ...]
) -> Exposure:
    """Return the exposure of each crop.

    Args:
        pixels_BCPP: of the crops, uint8: the maximum of a rescaled one and the mean of its contrast are taken from them.
        channels: the names of the C channels, for those that are kept or rescaled.

    Source: Cell-DINO, section Adaptations, and its published code for the numbers, the order and the clipping.
    """
    words = random_words(sample_B, 1 + pixels_BCPP.shape[1], seed=seed, stream=stream_of(EXPOSURE, role=role))
    brightness_BC, contrast_BC = normal_pair(words[:, 1:, 0], words[:, 1:, 1])
    drop_B, which_B, rescale_B, factor_B = uniform(words[:, 0]).double().unbind(1)
    dropped_BC = _dropped(drop_B, which_B, config, channels)
    gain_BC = _factor(config.brightness, brightness_BC).masked_fill(dropped_BC, 0)
    if config.cell_dino_rescale in channels and config.cell_dino_rescale_p:
        most_B = pixels_BCPP.amax((2, 3)).masked_fill(dropped_BC, 0).amax(1).double() / 255
        by_B = torch.where(rescale_B < config.cell_dino_rescale_p, 2 * factor_B / most_B.clamp(min=1 / 255), 1.0)
        gain_BC[:, channels.index(config.cell_dino_rescale)] *= by_B
    return expose(pixels_BCPP, gain_BC, _factor(config.contrast, contrast_BC))


def _factor(sd: float, normal: Tensor) -> Tensor:
    return (1 + sd * normal).clamp(min=LEAST_FACTOR)


def _dropped(drop_B: Tensor, which_B: Tensor, config: ViewsConfig, channels: tuple[str, ...]) -> Tensor:
    """Return which channel is set to zero, bool [B, C]: at most one of a crop, never the only one."""
    may_go = [index for index, name in enumerate(channels) if name not in config.cell_dino_keep]
    dropped_BC = torch.zeros(len(drop_B), len(channels), dtype=torch.bool, device=drop_B.device)
    if len(channels) < 2 or not may_go:
        return dropped_BC
    chosen_B = upload(torch.tensor(may_go), drop_B.device)[(which_B * len(may_go)).long()]
    return dropped_BC.scatter(1, chosen_B[:, None], (drop_B < config.cell_dino_drop_p)[:, None])
