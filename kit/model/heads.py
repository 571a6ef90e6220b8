"""The projection head: an MLP to a normalised bottleneck, then weight-normed prototypes. Names are DINOv2's.

R rows, D embedding, H bottleneck, K prototypes. The head stops at the bottleneck: losses.py multiplies by the prototypes
chunk by chunk, so that no [R, K] tensor is ever whole in memory.
"""

from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from kit.config import LossConfig
from kit.model.distributed import ONE
from kit.streams import Stream, torch_seed


class BatchNormRows(nn.Module):
    """Batch normalisation by the statistics of the whole global batch; it keeps no running statistics.

    Heads live only in training, where student and teacher both normalise by the batch they are given.
    """

    def __init__(self, width: int):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))
        self.bias = nn.Parameter(torch.zeros(width))
        self.group = ONE

    def forward(self, x_RD: Tensor) -> Tensor:
        x_RD = x_RD if x_RD.dtype == torch.float64 else x_RD.float()
        ones = x_RD.new_full((1,), len(x_RD))
        sums = self.group.sum_with_grad(torch.cat((ones, x_RD.sum(0))))
        count = sums[0].clamp(min=1)
        centred_RD = x_RD - sums[1:] / count
        variance_D = self.group.sum_with_grad(centred_RD.square().sum(0)) / count
        return centred_RD * torch.rsqrt(variance_D + 1e-5) * self.weight + self.bias


class Prototypes(nn.Module):
    """Directions and lengths of the prototypes, kept apart as weight normalisation does."""

    def __init__(self, bottleneck: int, prototypes: int):
        super().__init__()
        direction_KH = nn.Linear(bottleneck, prototypes, bias=False).weight.detach()
        self.weight_g = nn.Parameter(torch.ones(prototypes, 1))
        self.weight_v = nn.Parameter(direction_KH)

    def forward(self) -> Tensor:
        with torch.autocast(self.weight_v.device.type, enabled=False):
            return torch._weight_norm(self.weight_v, self.weight_g, 0)  # one pass each way, where three operations take nine


class Head(nn.Module):
    """DINOv2's head, with optional batch normalisation between its layers."""

    def __init__(self, dim: int, config: LossConfig):
        super().__init__()
        widths = [dim, *[config.head_hidden] * (config.head_layers - 1), config.head_bottleneck]
        layers: list[nn.Module] = []
        for i, (inner, outer) in enumerate(pairwise(widths)):
            linear = nn.Linear(inner, outer)
            nn.init.trunc_normal_(linear.weight, std=0.02)
            nn.init.zeros_(linear.bias)
            layers.append(linear)
            if i < config.head_layers - 1:
                layers += [BatchNormRows(outer), nn.GELU()] if config.head_batchnorm else [nn.GELU()]
        self.mlp = nn.Sequential(*layers) if len(layers) > 1 else layers[0]
        self.last_layer = Prototypes(config.head_bottleneck, config.prototypes)

    def forward(self, x_RD: Tensor) -> Tensor:
        """Return unit vectors [R, H]; their products with `last_layer()` [K, H] are the logits."""
        x_RH = self.mlp(x_RD)
        return F.normalize(x_RH if x_RH.dtype == torch.float64 else x_RH.float(), dim=-1, eps=1e-12)


def seeded_head(dim: int, config: LossConfig, seed: int, stream: Stream) -> Head:
    """Return a Head whose initial weights depend on the seed and the stream alone."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(torch_seed(seed, stream))
        return Head(dim, config)
