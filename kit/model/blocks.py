"""A transformer block: attention, feed-forward, LayerScale, drop path. Names and arithmetic are DINOv2's.

B views, N tokens, D embedding. Every draw of drop path comes in from outside (`Kept`), so that a forward pass is a function of
its arguments.
"""

from collections.abc import Callable
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from kit.config import ModelConfig
from kit.model.attention import attend


class Kept(NamedTuple):
    """The rows of a batch that a residual branch runs on under drop path, and the factor that keeps its mean."""

    rows: Tensor  # int64
    scale: Tensor  # a scalar; as a Python float, torch.compile may keep an old value of it in the gradient


class Attention(nn.Module):
    def __init__(self, dim: int, heads: int):
        super().__init__()
        self.heads = heads
        self.backend = "auto"  # of kit.model.attention
        self.qkv = nn.Linear(dim, 3 * dim)
        self.proj = nn.Linear(dim, dim)

    def forward(self, x_BND: Tensor) -> Tensor:
        B, N, D = x_BND.shape
        query, key, value = self.qkv(x_BND).view(B, N, 3, self.heads, D // self.heads).permute(2, 0, 3, 1, 4)
        mixed = attend(query, key, value, self.backend)
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
