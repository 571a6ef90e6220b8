"""The backbone after its patches (see `stem`): attention, feed-forward, block, encoder. Names and arithmetic are DINOv2's.

B views, C channels, P view side in pixels, N patches of a view, D embedding, R registers.
Every draw of drop path comes in from outside (`Kept`), so that a forward pass is a function of its arguments.
"""

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from kit.config import ModelConfig
from kit.model.attention import attend
from kit.model.stem import make_patch_embed
from kit.streams import Stream, torch_seed


class Tokens(NamedTuple):
    """What the encoder gives, after its final norm."""

    cls_BD: Tensor
    patch_BND: Tensor


class Kept(NamedTuple):
    """The rows of a batch that a residual branch runs on under drop path, and the factor that keeps its mean."""

    rows: Tensor  # int64
    scale: Tensor  # a scalar; as a Python float, torch.compile may keep an old value of it in the gradient


class Attention(nn.Module):
    def __init__(self, dim: int, heads: int):
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(dim, 3 * dim)
        self.proj = nn.Linear(dim, dim)

    def forward(self, x_BND: Tensor) -> Tensor:
        B, N, D = x_BND.shape
        query, key, value = self.qkv(x_BND).view(B, N, 3, self.heads, D // self.heads).permute(2, 0, 3, 1, 4)
        mixed = attend(query, key, value)
        return self.proj(mixed.transpose(1, 2).reshape(B, N, D))


class Mlp(nn.Module):
    def __init__(self, dim: int, hidden: int):
        super().__init__()
        self.fc1 = nn.Linear(dim, hidden)
        self.fc2 = nn.Linear(hidden, dim)

    def forward(self, x_BND: Tensor) -> Tensor:
        return self.fc2(F.gelu(self.fc1(x_BND)))


class SwiGLU(nn.Module):
    """The hidden width is 2/3 of the MLP's, rounded up to a multiple of 8; the first half of w12 is the gate."""

    def __init__(self, dim: int, hidden: int):
        super().__init__()
        hidden = (int(hidden * 2 / 3) + 7) // 8 * 8
        self.w12 = nn.Linear(dim, 2 * hidden)
        self.w3 = nn.Linear(hidden, dim)

    def forward(self, x_BND: Tensor) -> Tensor:
        gate, value = self.w12(x_BND).chunk(2, dim=-1)
        return self.w3(F.silu(gate) * value)


class LayerScale(nn.Module):
    def __init__(self, dim: int, initial: float):
        super().__init__()
        self.gamma = nn.Parameter(torch.full((dim,), initial))

    def forward(self, x_BND: Tensor) -> Tensor:
        return x_BND * self.gamma


class Block(nn.Module):
    def __init__(self, config: ModelConfig):
        super().__init__()
        ffn = SwiGLU if config.ffn == "swiglu" else Mlp
        self.norm1 = nn.LayerNorm(config.dim, eps=1e-6)
        self.attn = Attention(config.dim, config.heads)
        self.ls1 = LayerScale(config.dim, config.layerscale)
        self.norm2 = nn.LayerNorm(config.dim, eps=1e-6)
        self.mlp = ffn(config.dim, int(config.dim * config.ffn_ratio))
        self.ls2 = LayerScale(config.dim, config.layerscale)

    def forward(self, x_BND: Tensor, kept: tuple[Kept, Kept] | None = None) -> Tensor:
        attention, ffn = kept or (None, None)
        x_BND = _add_branch(x_BND, lambda x: self.ls1(self.attn(self.norm1(x))), attention)
        return _add_branch(x_BND, lambda x: self.ls2(self.mlp(self.norm2(x))), ffn)


def _add_branch(x_BND: Tensor, branch: Callable[[Tensor], Tensor], kept: Kept | None) -> Tensor:
    if kept is None:
        return x_BND + branch(x_BND)
    if len(kept.rows) == 0:
        return x_BND
    return x_BND.index_add(0, kept.rows, branch(x_BND[kept.rows]).to(x_BND.dtype) * kept.scale)


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
        self.blocks = nn.ModuleList(Block(config) for _ in range(config.depth))
        self.norm = nn.LayerNorm(config.dim, eps=1e-6)
        self._initialise()

    def _initialise(self) -> None:
        """As DINOv2: truncated normal of sd 0.02 for linear weights and positions, patches as a convolution starts."""
        nn.init.trunc_normal_(self.pos_embed, std=0.02)
        nn.init.normal_(self.cls_token, std=1e-6)
        if self.config.registers:
            nn.init.normal_(self.register_tokens, std=1e-6)
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.trunc_normal_(module.weight, std=0.02)
                nn.init.zeros_(module.bias)

    def forward(self, x_BCPP: Tensor, mask_BN: Tensor | None = None, kept: Sequence[tuple[Kept, Kept]] | None = None) -> Tokens:
        """Return class and patch tokens of normalised views.

        Args:
            x_BCPP: views, float, sides multiples of the patch.
            mask_BN: bool, true where the mask token replaces a patch (row-major).
            kept: per block, the rows its two branches run on (drop path); None: all rows.

        Raises:
            ValueError: a wrong number of channels, or a side that is no multiple of the patch.
        """
        x_BND = self._embed(x_BCPP, mask_BN)
        for i, block in enumerate(self.blocks):
            rows = kept[i] if kept else None
            if self.checkpoint_activations and torch.is_grad_enabled():
                x_BND = checkpoint(block, x_BND, rows, use_reentrant=False)
            else:
                x_BND = block(x_BND, rows)
        x_BND = self.norm(x_BND)
        return Tokens(x_BND[:, 0], x_BND[:, 1 + self.config.registers :])

    def _embed(self, x_BCPP: Tensor, mask_BN: Tensor | None) -> Tensor:
        B, channels, height, width = x_BCPP.shape
        patch = self.config.patch
        if channels != self.channels:
            raise ValueError(f"the network takes {self.channels} channels, the view has {channels}")
        if height % patch or width % patch:
            raise ValueError(f"a view of {height} x {width} pixels does not divide into patches of {patch} pixels")
        x_BND = self.patch_embed(x_BCPP)
        if mask_BN is not None:
            x_BND = torch.where(mask_BN[..., None], self.mask_token.to(x_BND.dtype)[None], x_BND)
        x_BND = torch.cat((self.cls_token.expand(B, -1, -1).to(x_BND.dtype), x_BND), dim=1)
        x_BND = x_BND + self._positions(height // patch, width // patch).to(x_BND.dtype)
        if self.config.registers:
            registers = self.register_tokens.expand(B, -1, -1).to(x_BND.dtype)
            x_BND = torch.cat((x_BND[:, :1], registers, x_BND[:, 1:]), dim=1)
        return x_BND

    def _positions(self, rows: int, columns: int) -> Tensor:
        side = math.isqrt(self.pos_embed.shape[1] - 1)
        return self.pos_embed if rows == columns == side else resize_positions(self.pos_embed, rows, columns, self.config)


def resize_positions(pos_embed: Tensor, rows: int, columns: int, config: ModelConfig) -> Tensor:
    """Return a position embedding [1, 1 + N, D] at another grid: bicubic, coordinates scaled by grid + offset, as DINOv2."""
    side = math.isqrt(pos_embed.shape[1] - 1)
    positions = pos_embed if pos_embed.dtype == torch.float64 else pos_embed.float()
    grid = positions[:, 1:].reshape(1, side, side, -1).permute(0, 3, 1, 2)
    offset = config.position_offset
    target = {"scale_factor": ((rows + offset) / side, (columns + offset) / side)} if offset else {"size": (rows, columns)}
    grid = F.interpolate(grid, mode="bicubic", antialias=config.position_antialias, **target)
    assert grid.shape[-2:] == (rows, columns)
    return torch.cat((positions[:, :1], grid.flatten(2).transpose(1, 2)), dim=1)


def seeded_vit(config: ModelConfig, channels: int, seed: int) -> Vit:
    """Return a Vit whose initial weights depend on the seed alone."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(torch_seed(seed, Stream.BACKBONE))
        return Vit(config, channels)
