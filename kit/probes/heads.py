"""Heads on a frozen network, and what of the network they see. B crops, N patches, D width of a token, L classes."""

import math

import torch
from torch import Tensor, nn

from kit.model.vit import Vit

LAYERS = 4  # the last ones, whose patch tokens are pooled by attention


class TwoLayers(nn.Sequential):
    """Linear, ReLU, linear; the hidden layer is as wide as `hidden`."""

    def __init__(self, dim: int, hidden: int, classes: int):
        super().__init__(nn.Linear(dim, hidden), nn.ReLU(), nn.Linear(hidden, classes))


class AttentionHead(nn.Module):
    """Patch tokens of the last layers, [B, N, 4 D], pooled by attention, then two layers with a hidden one of 4 D.

    Ours, as the paper says no more of its pooling: one learned query, softmax over the patches of its product with the tokens
    over sqrt(4 D); the query starts at 0, which is the mean.
    """

    def __init__(self, dim: int, classes: int):
        super().__init__()
        self.query = nn.Parameter(torch.zeros(dim))
        self.layers = TwoLayers(dim, dim, classes)

    def forward(self, tokens_BND: Tensor) -> Tensor:
        return self.layers(self.pool(tokens_BND))

    def pool(self, tokens_BND: Tensor) -> Tensor:
        share_BN = (tokens_BND @ self.query / math.sqrt(tokens_BND.shape[-1])).softmax(dim=1)
        return torch.einsum("bn,bnd->bd", share_BN, tokens_BND)


class Supervised(nn.Module):
    """A network and a linear layer on its [CLS ; mean patch token], trained together.

    drop: dropout before the linear layer, whose share `training.of_grid` sets; the paper searches it and does not say where.
    """

    def __init__(self, network: Vit, classes: int):
        super().__init__()
        self.network = network.requires_grad_(True)
        self.drop = nn.Dropout(0.0)
        self.head = nn.Linear(2 * network.config.dim, classes)

    def forward(self, crop_BCPP: Tensor) -> Tensor:
        tokens = self.network(crop_BCPP)
        return self.head(self.drop(torch.cat([tokens.cls_BD, tokens.patch_BND.mean(dim=1)], dim=1)))


@torch.no_grad()  # inference tensors could not train a head
def frozen_features(network: Vit, crop_BCPP: Tensor) -> tuple[Tensor, Tensor]:
    """Return [CLS ; mean patch token], [B, 2 D], and the patch tokens of the last layers side by side, [B, N, 4 D].

    Every layer goes through the network's last norm, as DINOv2 takes intermediate layers; a network of fewer layers has fewer.
    """
    kept: list[Tensor] = []
    hooks = [block.register_forward_hook(lambda _, __, x_BND: kept.append(x_BND)) for block in network.blocks[-LAYERS:]]
    try:
        tokens = network(crop_BCPP)
    finally:
        for hook in hooks:
            hook.remove()
    first = 1 + network.config.registers
    layers_BND = torch.cat([network.norm(x_BND)[:, first:] for x_BND in kept], dim=-1)
    return torch.cat([tokens.cls_BD, tokens.patch_BND.mean(dim=1)], dim=1), layers_BND
