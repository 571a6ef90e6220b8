"""The order of an image's channels, drawn for every image: CellRep, figure 1. B crops, C channels, P side of a view."""

import torch
from torch import Tensor

from kit.images.crops.groups import IDS_PER_SAMPLE
from kit.kernels.philox import CHANNEL_ORDER, stream_of
from kit.kernels.random_words import random_words
from kit.model.transfer import upload


def permute_channels(view_BCPP: Tensor, sample_B: Tensor, *, seed: int) -> Tensor:
    """Return the views, the channels of each in the order of its image: the same for all crops of one sample."""
    order_BC = upload(draw_order(sample_B, view_BCPP.shape[1], seed=seed), view_BCPP.device)
    return view_BCPP[torch.arange(len(view_BCPP), device=view_BCPP.device)[:, None], order_BC]


def draw_order(sample_B: Tensor, channels: int, *, seed: int) -> Tensor:
    """Return an order of the channels for each crop, int64 [B, C], uniform: a function of the seed and the crop's sample."""
    image_B = torch.div(sample_B, IDS_PER_SAMPLE, rounding_mode="floor")
    words = random_words(image_B, -(-channels // 4), seed=seed, stream=stream_of(CHANNEL_ORDER))
    return words.flatten(1)[:, :channels].argsort(dim=1, stable=True)
