"""Masked autoencoder on kit's backbone: it sees a quarter of the patches, and a small decoder paints the others.

B views, C channels, P view side, N patches, V of them visible, D embedding, E width of the decoder, p patch side.
"""

from dataclasses import replace

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from kit.config import LossConfig, ModelConfig
from kit.model.trained import Trained
from kit.model.vit import Block, Tokens, Vit, seeded_vit
from kit.streams import Stream, generator, torch_seed

LEAST = 1e-6  # added to the variance of a patch


class Decoder(nn.Module):
    """MAE's decoder: a few blocks over all places, mask tokens where a patch was hidden; then pixels by one linear map."""

    def __init__(self, model: ModelConfig, loss: LossConfig, channels: int):
        super().__init__()
        config = decoder_config(model, loss)
        self.embed = nn.Linear(model.dim, config.dim)
        self.mask_token = nn.Parameter(torch.empty(1, 1, config.dim).normal_(std=0.02))
        self.layers = nn.ModuleList(Block(config) for _ in range(config.depth))
        self.norm = nn.LayerNorm(config.dim, eps=1e-6)
        self.pixels = nn.Linear(config.dim, channels * model.patch**2)
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.xavier_uniform_(module.weight)
                nn.init.zeros_(module.bias)

    def forward(self, tokens: Tokens, visible_BV: Tensor, side: int) -> Tensor:
        """Return the pixels of every patch, [B, N, p p C], of views of `side` x `side` patches; `tokens` of the visible ones."""
        cls_B1E, seen_BVE = self.embed(tokens.cls_BD[:, None]), self.embed(tokens.patch_BND)
        x_BNE = self.mask_token.to(seen_BVE.dtype).repeat(len(seen_BVE), side * side, 1)
        x_BNE = x_BNE.scatter(1, visible_BV[..., None].expand_as(seen_BVE), seen_BVE)
        x_BNE = x_BNE + positions(side, x_BNE.shape[-1]).to(x_BNE)
        x_BNE = torch.cat((cls_B1E, x_BNE), dim=1)
        for layer in self.layers:
            x_BNE = layer(x_BNE)
        return self.pixels(self.norm(x_BNE[:, 1:]))


class Mae(Trained):
    """A backbone with MAE's decoder."""

    def __init__(self, backbone: Vit, decoder: Decoder):
        super().__init__(backbone)
        self.decoder = decoder


def decoder_config(model: ModelConfig, loss: LossConfig) -> ModelConfig:
    """Return the shape of the decoder's blocks: the backbone's kind of block, without its small LayerScale."""
    width, depth, heads = loss.mae_decoder_dim, loss.mae_decoder_depth, loss.mae_decoder_heads
    return replace(model, dim=width, depth=depth, heads=heads, layerscale=1.0, drop_path=0.0)


def seeded_mae(model: ModelConfig, loss: LossConfig, channels: int, seed: int) -> Mae:
    """Return a Mae whose initial weights depend on the seed alone; the backbone is that of the other objectives."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(torch_seed(seed, Stream.DINO_HEAD))
        decoder = Decoder(model, loss, channels)
    return Mae(seeded_vit(model, channels, seed), decoder)


def visible_count(patches: int, masked: float) -> int:
    """Return how many patches of a view the backbone sees: at least one, and not all."""
    return min(max(1, int(patches * (1 - masked))), patches - 1)


def draw_visible(patches: int, views: int, *, masked: float, seed: int, step: int) -> np.ndarray:
    """Return which patches of each view of the whole global batch are visible, int64 [views, V], in order.

    Source: MAE, He et al. 2021 (arXiv:2111.06377): uniformly at random, without replacement.
    """
    noise_BN = generator(seed, Stream.MASKS, step).random((views, patches))
    return np.sort(noise_BN.argsort(axis=1)[:, : visible_count(patches, masked)], axis=1)


def mae_errors(predicted_BNp: Tensor, x_BCPP: Tensor, visible_BV: Tensor, patch: int, *, norm_pixels: bool) -> Tensor:
    """Return the mean squared error of every view's hidden patches, [B].

    norm_pixels: of its pixels minus their mean over their SD.

    Source: MAE (arXiv:2111.06377): the loss is on hidden patches only; mean and variance (ddof 1) over a patch's pixels of all
    channels, 1e-6 added to the variance.
    """
    with torch.autocast(x_BCPP.device.type, enabled=False):
        wanted_BNp = patchify(x_BCPP, patch).to(torch.promote_types(x_BCPP.dtype, torch.float32))
        if norm_pixels:
            mean, variance = wanted_BNp.mean(-1, keepdim=True), wanted_BNp.var(-1, keepdim=True)
            wanted_BNp = (wanted_BNp - mean) / (variance + LEAST).sqrt()
        error_BN = F.mse_loss(predicted_BNp.to(wanted_BNp), wanted_BNp, reduction="none").mean(-1)
        hidden_BN = torch.ones_like(error_BN).scatter(1, visible_BV, 0.0)
        return (error_BN * hidden_BN).sum(1) / (error_BN.shape[1] - visible_BV.shape[1])


def patchify(x_BCPP: Tensor, patch: int) -> Tensor:
    """Return the pixels of each patch, row-major, [B, N, p p C]: rows, columns, channels."""
    B, C, height, width = x_BCPP.shape
    x = x_BCPP.view(B, C, height // patch, patch, width // patch, patch)
    return x.permute(0, 2, 4, 3, 5, 1).reshape(B, -1, patch * patch * C)


def positions(side: int, dim: int) -> Tensor:
    """Return MAE's fixed position embedding of a grid, float64 [N, E]: sines and cosines of the column, then of the row.

    Args:
        dim: a multiple of 4.
    """
    rate = 10_000.0 ** -(torch.arange(dim // 4, dtype=torch.float64) / (dim // 4))
    angle = torch.arange(side, dtype=torch.float64)[:, None] * rate
    one = torch.cat((angle.sin(), angle.cos()), dim=1)  # [side, E / 2]
    columns, rows = one[None].expand(side, -1, -1), one[:, None].expand(-1, side, -1)
    return torch.cat((columns, rows), dim=2).reshape(side * side, dim)
