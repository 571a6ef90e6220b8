"""Signs that training has collapsed: what they are, and when they are an alarm.

B rows, K prototypes, D embedding.
"""

import math
from typing import NamedTuple

import torch
from torch import Tensor

from kit.model.dino import Targets


class Signs(NamedTuple):
    """How alive the targets and features of one step are."""

    entropy: float  # mean entropy of the teacher's class targets over ln K: 1 is uniform
    used: float  # different strongest prototypes among the targets, over the most there could be
    rank: float  # effective rank of the teacher's class tokens, over the most there could be
    spread: float  # mean sd of the class tokens over their root mean square


@torch.no_grad()
def read_signs(targets: Targets, cls_BD: Tensor, temperature: float) -> Signs:
    """Return the signs of one step from the teacher's class targets and class tokens of this rank."""
    logits = (targets.cls_RH @ targets.cls_KH.T).float() / temperature + targets.cls_bias_K.float()
    target = torch.softmax(logits, dim=1)
    entropy = torch.special.entr(target).sum(1).mean() / math.log(target.shape[1])
    used = len(target.argmax(1).unique()) / min(target.shape)
    tokens = cls_BD.double()
    strength = torch.linalg.svdvals(tokens - tokens.mean(0)).square()
    share = strength / strength.sum().clamp(min=1e-300)
    rank = torch.special.entr(share).sum().exp() / min(len(tokens) - 1 or 1, tokens.shape[1])
    spread = tokens.std(0, correction=0).mean() / tokens.square().mean().sqrt().clamp(min=1e-300)
    return Signs(float(entropy), used, float(rank), float(spread))
