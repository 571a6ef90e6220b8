"""CellRep's front: any number of channels, in any order, become the tokens of one image.

B views, C channels, P view side in pixels, L places (patches of one channel), D embedding, F filters of the channel encoder.
Source: CellRep, sections 3.2 and 3.3, Algorithm 1; docs/papers.md says how it is read.
"""

import math

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from kit.config import ModelConfig
from kit.model.blocks import Block
from kit.model.mean_response import mean_response
from kit.model.positions import resize_grid

ENCODER_SIDE = 3  # pixels of the channel encoder's filters; ours: the paper is silent


class ChannelEncoder(nn.Module):
    """What one channel looks like as a whole: convolution, ReLU, mean over the view, linear to D."""

    def __init__(self, config: ModelConfig):
        super().__init__()
        self.conv = nn.Conv2d(1, config.channel_filters, ENCODER_SIDE)
        self.linear = nn.Linear(config.channel_filters, config.dim)

    def forward(self, x_R1PP: Tensor) -> Tensor:
        assert self.conv.bias is not None
        return self.linear(mean_response(x_R1PP, self.conv.weight, self.conv.bias))


class ChannelPatches(nn.Module):
    """Algorithm 1: the patches of every channel by one linear map, each channel's encoding added to all of them, LayerNorm."""

    def __init__(self, config: ModelConfig):
        super().__init__()
        self.proj = nn.Conv2d(1, config.dim, config.patch, stride=config.patch)
        self.encoder = ChannelEncoder(config)
        self.norm = nn.LayerNorm(config.dim, eps=1e-6)

    def forward(self, x_BCPP: Tensor) -> Tensor:
        """Return tokens [B, C, L, D]; no weight belongs to a channel."""
        B, C = x_BCPP.shape[:2]
        x_R1PP = x_BCPP.flatten(0, 1)[:, None]
        patches_RLD = self.proj(x_R1PP).flatten(2).transpose(1, 2)
        return self.norm(patches_RLD + self.encoder(x_R1PP)[:, None]).unflatten(0, (B, C))


class ChannelMixer(nn.Module):
    """A small transformer over the patches of all channels, the same positions for every channel; then the mean over channels.

    Its blocks are the backbone's, without drop path. `pool` location averages the C tokens of a place: the order of the channels
    then changes nothing. Window averages every C neighbours of the sequence, channel after channel, as the paper prints it.
    """

    def __init__(self, config: ModelConfig):
        super().__init__()
        self.config = config
        self.checkpoint_activations = False
        grid = config.position_side // config.patch
        self.pos_embed = nn.Parameter(torch.zeros(1, grid * grid, config.dim))
        nn.init.trunc_normal_(self.pos_embed, std=0.02)
        self.blocks = nn.ModuleList(Block(config) for _ in range(config.mixer_blocks))

    def forward(self, x_BCLD: Tensor, rows: int, columns: int) -> Tensor:
        """Return one token a place, [B, L, D]; `rows` times `columns` is L."""
        C, L = x_BCLD.shape[1:3]
        x_BND = (x_BCLD + self._positions(rows, columns).to(x_BCLD.dtype)).flatten(1, 2)
        for block in self.blocks:
            if self.checkpoint_activations and torch.is_grad_enabled():
                x_BND = checkpoint(block, x_BND, use_reentrant=False)
            else:
                x_BND = block(x_BND)
        if self.config.pool == "window":
            return x_BND.unflatten(1, (L, C)).mean(dim=2)
        return x_BND.unflatten(1, (C, L)).mean(dim=1)

    def _positions(self, rows: int, columns: int) -> Tensor:
        side = math.isqrt(self.pos_embed.shape[1])
        return self.pos_embed if rows == columns == side else resize_grid(self.pos_embed, rows, columns, self.config)
