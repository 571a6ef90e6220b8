"""The teacher's targets by Sinkhorn and Knopp. R rows, H bottleneck, K prototypes.

Each iteration gives the prototypes equal total weight, then every row weight 1. Its last step normalises every row, so the
targets are softmax(logits / temperature + bias) with the logarithm of the prototype factors as bias. Sources: DINOv2, SwAV.
"""

from collections.abc import Iterable
from typing import NamedTuple

import torch
from torch import Tensor

from kit.model.distributed import ONE, Group


class Sinkhorn(NamedTuple):
    """Targets, as what makes them of the rows' logits and, where there was memory for it, whole."""

    bias_K: Tensor
    targets_RK: Tensor | None  # each row sums to 1


@torch.no_grad()
def sinkhorn(
    rows_RH: Tensor, prototypes_KH: Tensor, temperature: float, *, steps: int, chunk: int, keep: float = 0, group: Group = ONE
) -> Sinkhorn:
    """Return the targets of this rank's rows, balanced over all ranks' rows; a bias of zeros when there is no row.

    Args:
        chunk: rows whose logits are alive at once; 0: all.
        keep: bytes. Logits up to this size are computed once, and end as `targets_RK`; larger ones anew in each iteration.
    """
    wide = torch.promote_types(rows_RH.dtype, torch.float32)
    bias_K = rows_RH.new_zeros(len(prototypes_KH), dtype=wide)
    if group.world == 1 and len(rows_RH) == 0:
        return Sinkhorn(bias_K, None)

    def logits(rows: Tensor) -> Tensor:
        return (rows / temperature @ prototypes_KH.T).to(wide)

    size = chunk or max(len(rows_RH), 1)
    whole_RK = logits(rows_RH) if len(rows_RH) * bias_K.numel() * bias_K.itemsize <= keep else None
    kept = whole_RK.split(size) if whole_RK is not None else None
    bias_K = _first_bias(kept or map(logits, rows_RH.split(size)), bias_K, group)
    for part in kept or ():
        _shares(part, bias_K)
    factor_K = torch.ones_like(bias_K)
    for _ in range(steps - 1):
        total_K = torch.zeros_like(bias_K)
        for shares in kept or (_shares(logits(rows), bias_K) for rows in rows_RH.split(size)):
            total_K += (shares @ factor_K).reciprocal_() @ shares
        factor_K = group.sum(total_K).reciprocal_()
    for part in kept or ():
        part *= factor_K
        part /= part.sum(1, keepdim=True)
    bias_K += factor_K.log()
    if group.world == 1:
        return Sinkhorn(bias_K, whole_RK)
    everybody = group.sum(bias_K.new_full((), len(rows_RH)))
    return Sinkhorn(torch.where(everybody > 0, bias_K, 0), whole_RK)  # not asked on the host, which would wait for the GPU


def _first_bias(logits: Iterable[Tensor], zero_K: Tensor, group: Group) -> Tensor:
    """Return minus the log of each prototype's total weight over all rows."""
    top_K, total_K = torch.full_like(zero_K, -torch.inf), zero_K
    for part in logits:
        if len(part):
            higher_K = torch.maximum(top_K, part.amax(0))
            total_K = total_K * (top_K - higher_K).exp_() + (part - higher_K).exp_().sum(0)
            top_K = higher_K
    highest_K = group.max(top_K)
    return -(highest_K + group.sum(total_K * (top_K - highest_K).exp()).log())


def _shares(logits_RK: Tensor, bias_K: Tensor) -> Tensor:
    """Return exp(logits + bias) over each row's largest entry, in place: no row and no prototype is without weight."""
    if len(logits_RK) == 0:
        return logits_RK
    logits_RK += bias_K
    return logits_RK.sub_(logits_RK.amax(1, keepdim=True)).exp_()
