"""The backbone: patches (see `stem`), positions, blocks, final norm. Names and arithmetic are DINOv2's.

B views, C channels, P view side in pixels, N patches of a view, D embedding, R registers.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from kit.config import ModelConfig
from kit.model.blocks import Block, Kept
from kit.model.channel_mixer import ChannelMixer
from kit.model.positions import resize_positions
from kit.model.stem import make_patch_embed
from kit.streams import Stream, torch_seed


class Tokens(NamedTuple):
    """What the encoder gives, after its final norm."""

    cls_BD: Tensor
    patch_BND: Tensor


class Vit(nn.Module):
    """A vision transformer for any number of channels and any view whose sides are multiples of the patch."""

    def __init__(self, config: ModelConfig, channels: int):
        super().__init__()
        self.config = config
        self.channels = channels
        self.checkpoint_activations = False
        grid = config.position_side // config.patch
        self.cls_token = nn.Parameter(torch.zeros(1, 1, config.dim))
        self.pos_embed = nn.Parameter(torch.zeros(1, 1 + grid * grid, config.dim))
        self.mask_token = nn.Parameter(torch.zeros(1, config.dim))
        if config.registers:
            self.register_tokens = nn.Parameter(torch.zeros(1, config.registers, config.dim))
        self.patch_embed = make_patch_embed(channels, config)
        self.mixer = ChannelMixer(config) if config.stem == "mixer" else None
        self.blocks = nn.ModuleList(Block(config) for _ in range(config.depth))
        self.norm = nn.LayerNorm(config.dim, eps=1e-6)
        self._initialise()

    def _initialise(self) -> None:
        """As DINOv2: positions and, by default, linear weights of SD 0.02, truncated normal; patches as a convolution starts."""
        nn.init.trunc_normal_(self.pos_embed, std=0.02)
        nn.init.normal_(self.cls_token, std=1e-6)
        if self.config.registers:
            nn.init.normal_(self.register_tokens, std=1e-6)
        for module in self.modules():
            if isinstance(module, nn.Linear):
                std = module.in_features**-0.5 if self.config.init == "fan_in" else 0.02
                nn.init.trunc_normal_(module.weight, std=std)
                nn.init.zeros_(module.bias)

    def forward(
        self,
        x_BCPP: Tensor,
        mask_BN: Tensor | None = None,
        kept: Sequence[tuple[Kept, Kept]] | None = None,
        visible_BV: Tensor | None = None,
    ) -> Tokens:
        """Return class and patch tokens of normalised views.

        Args:
            x_BCPP: views, float, sides multiples of the patch; any number of channels where model.stem = mixer. With model.bag
                a view of several channels gives the tokens of each, concatenated: for a trained network, without masks.
            mask_BN: bool, true where the mask token replaces a patch (row-major).
            kept: per block, the rows its two branches run on (drop path); None: all rows.
            visible_BV: int64, the patches that the blocks see, as many of each view, in the order of their tokens; None: all.

        Raises:
            ValueError: a wrong number of channels, or a side that is no multiple of the patch.
        """
        if self.config.bag and x_BCPP.shape[1] > 1:
            return self._one_by_one(x_BCPP)
        x_BND = self._embed(x_BCPP, mask_BN, visible_BV)
        for i, block in enumerate(self.blocks):
            rows = kept[i] if kept else None
            if self.checkpoint_activations and torch.is_grad_enabled():
                x_BND = checkpoint(block, x_BND, rows, use_reentrant=False)
            else:
                x_BND = block(x_BND, rows)
        x_BND = self.norm(x_BND)
        return Tokens(x_BND[:, 0], x_BND[:, 1 + self.config.registers :])

    def _one_by_one(self, x_BCPP: Tensor) -> Tokens:
        """Return the tokens of every channel of a view by itself, concatenated: [B, C D] and [B, N, C D]."""
        C = x_BCPP.shape[1]
        cls_BD, patch_BND = self(x_BCPP.flatten(0, 1)[:, None])
        return Tokens(cls_BD.unflatten(0, (-1, C)).flatten(1), patch_BND.unflatten(0, (-1, C)).transpose(1, 2).flatten(2))

    def _embed(self, x_BCPP: Tensor, mask_BN: Tensor | None, visible_BV: Tensor | None) -> Tensor:
        B, channels, height, width = x_BCPP.shape
        patch = self.config.patch
        if self.mixer is None and channels != self.channels:
            raise ValueError(f"the network takes {self.channels} channels, the view has {channels}")
        if height % patch or width % patch:
            raise ValueError(f"a view of {height} x {width} pixels does not divide into patches of {patch} pixels")
        x_BND = self.patch_embed(x_BCPP)  # [B, C, N, D] with a mixer: a mask hides a place in every channel
        if mask_BN is not None:
            hidden_BN1 = mask_BN[..., None] if self.mixer is None else mask_BN[:, None, :, None]
            x_BND = torch.where(hidden_BN1, self.mask_token.to(x_BND.dtype)[None], x_BND)
        if self.mixer is not None:
            x_BND = self.mixer(x_BND, height // patch, width // patch)
        x_BND = torch.cat((self.cls_token.expand(B, -1, -1).to(x_BND.dtype), x_BND), dim=1)
        x_BND = x_BND + self._positions(height // patch, width // patch).to(x_BND.dtype)
        if visible_BV is not None:
            seen_BVD = x_BND[:, 1:].gather(1, visible_BV[..., None].expand(-1, -1, x_BND.shape[-1]))
            x_BND = torch.cat((x_BND[:, :1], seen_BVD), dim=1)
        if self.config.registers:
            registers = self.register_tokens.expand(B, -1, -1).to(x_BND.dtype)
            x_BND = torch.cat((x_BND[:, :1], registers, x_BND[:, 1:]), dim=1)
        return x_BND

    def _positions(self, rows: int, columns: int) -> Tensor:
        side = math.isqrt(self.pos_embed.shape[1] - 1)
        return self.pos_embed if rows == columns == side else resize_positions(self.pos_embed, rows, columns, self.config)


def seeded_vit(config: ModelConfig, channels: int, seed: int) -> Vit:
    """Return a Vit whose initial weights depend on the seed alone."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(torch_seed(seed, Stream.BACKBONE))
        return Vit(config, channels)
