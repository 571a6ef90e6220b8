"""SimCLR on kit's backbone: two views of a sample are alike, all others of the batch are not.

B samples, D embedding, H width of the projection, R = 2 B rows.
"""

from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from kit.config import LossConfig, ModelConfig
from kit.model.distributed import ONE, Group
from kit.model.heads import BatchNormRows
from kit.model.trained import Trained
from kit.model.vit import Vit, seeded_vit
from kit.streams import Stream, torch_seed


class Projection(nn.Module):
    """The projection head g of SimCLR: linear layers with ReLU between; it is thrown away after training."""

    def __init__(self, dim: int, config: LossConfig):
        super().__init__()
        widths = [dim, *[config.head_hidden] * (config.head_layers - 1), config.head_bottleneck]
        layers: list[nn.Module] = []
        for i, (inner, outer) in enumerate(pairwise(widths)):
            layers.append(nn.Linear(inner, outer))
            if i < config.head_layers - 1:
                layers += [BatchNormRows(outer), nn.ReLU()] if config.head_batchnorm else [nn.ReLU()]
        self.mlp = nn.Sequential(*layers)

    def forward(self, x_RD: Tensor) -> Tensor:
        return self.mlp(x_RD)


class SimClr(Trained):
    """A backbone with SimCLR's projection."""

    def __init__(self, backbone: Vit, projection: Projection):
        super().__init__(backbone)
        self.projection = projection


def seeded_simclr(model: ModelConfig, loss: LossConfig, channels: int, seed: int) -> SimClr:
    """Return a SimClr whose initial weights depend on the seed alone; the backbone is that of the other objectives."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(torch_seed(seed, Stream.DINO_HEAD))
        projection = Projection(model.dim, loss)
    return SimClr(seeded_vit(model, channels, seed), projection)


def nt_xent(first_BH: Tensor, second_BH: Tensor, temperature: float, group: Group = ONE) -> Tensor:
    """Return NT-Xent, the mean over the 2 B views of all ranks of -log softmax of a view's partner among all views but itself.

    Every rank computes the loss of the whole batch, in which its own rows alone carry a gradient: summed over the ranks these
    are the gradients of the whole batch.

    Args:
        first_BH, second_BH: projections of the two views, row for row of one sample; their lengths do not count.
        temperature: the cosines are divided by it.

    Source: SimCLR, Chen et al. 2020 (arXiv:2002.05709), equation 1 and algorithm 1.
    """
    with torch.autocast(first_BH.device.type, enabled=False):
        unit = [F.normalize(x if x.dtype == torch.float64 else x.float(), dim=-1) for x in (first_BH, second_BH)]
        rows_RH = torch.cat([group.gather_rows(x) for x in unit])
        R = len(rows_RH)
        logits_RR = (rows_RH @ rows_RH.T / temperature).fill_diagonal_(-torch.inf)
        partner_R = (torch.arange(R, device=rows_RH.device) + R // 2) % R
        return F.cross_entropy(logits_RR, partner_R)
