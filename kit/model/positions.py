"""The position embedding at another grid than the one it is stored for. N patches, D embedding."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from kit.config import ModelConfig
from kit.model.precision import at_least_float32


def resize_positions(pos_embed: Tensor, rows: int, columns: int, config: ModelConfig) -> Tensor:
    """Return a position embedding [1, 1 + N, D] at another grid: the class token's as it is, the patches' by `resize_grid`."""
    positions = at_least_float32(pos_embed)
    return torch.cat((positions[:, :1], resize_grid(positions[:, 1:], rows, columns, config)), dim=1)


def resize_grid(grid_1ND: Tensor, rows: int, columns: int, config: ModelConfig) -> Tensor:
    """Return the positions of a square grid of patches [1, N, D] at another grid.

    Bicubic, coordinates scaled by grid + offset, as DINOv2.
    """
    side = math.isqrt(grid_1ND.shape[1])
    grid = at_least_float32(grid_1ND).reshape(1, side, side, -1).permute(0, 3, 1, 2)
    offset = config.position_offset
    target = {"scale_factor": ((rows + offset) / side, (columns + offset) / side)} if offset else {"size": (rows, columns)}
    grid = F.interpolate(grid, mode="bicubic", antialias=config.position_antialias, **target)
    assert grid.shape[-2:] == (rows, columns)
    return grid.flatten(2).transpose(1, 2)
