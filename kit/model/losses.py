"""DINO, iBOT, KoLeo and KL: values and gradients without ever holding the logits of all rows at once.

R rows (class tokens or masked patches), H bottleneck, K prototypes, B samples, D embedding.

Sinkhorn and centring both turn the teacher's logits into a softmax with a bias per prototype: softmax(logits / T + bias).
Sinkhorn's bias is the logarithm of its prototype factors; centring subtracts the centre, so its bias is -centre / T. One [K]
vector therefore represents all targets, and the cross-entropy recomputes the logits of `chunk` rows at a time, unless Sinkhorn
has kept its targets whole.
"""

import math
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from kit.model.distributed import ONE, Group
from kit.model.precision import at_least_float32

FP16_BOOST = 1024.0  # keeps differences of probabilities near 1 / 65,536 out of half precision's subnormals


def mean_logits(rows_RH: Tensor, prototypes_KH: Tensor, group: Group = ONE) -> Tensor:
    """Return the mean logits [K] of all ranks' rows: the logits are linear, so the rows are averaged first."""
    count = group.sum(rows_RH.new_full((), len(rows_RH), dtype=torch.float32))
    with torch.autocast(rows_RH.device.type, enabled=False):
        return at_least_float32(prototypes_KH) @ (group.sum(at_least_float32(rows_RH).sum(0)) / count.clamp(min=1))


class _PrototypeCrossEntropy(torch.autograd.Function):
    """Weighted cross-entropy of student rows against targets. The gradients are formed chunk by chunk on the way forward."""

    @staticmethod
    def forward(
        ctx: Any,
        student_RH: Tensor,
        student_KH: Tensor,
        targets: Callable[[slice, torch.dtype], Tensor],
        weight_R: Tensor,
        temperature: float,
        chunk: int,
        dtype: torch.dtype | None,
    ) -> tuple[Tensor, Tensor]:
        need = student_RH.requires_grad or student_KH.requires_grad
        wide = torch.promote_types(student_RH.dtype, torch.float32)
        dtype = dtype or student_RH.dtype
        boost = FP16_BOOST if dtype == torch.float16 else 1.0
        ctx.dtypes = (student_RH.dtype, student_KH.dtype)  # gradients stay wide until then: half precision would round them to 0
        scaled_RH, student_RH, student_KH = (x.to(dtype) for x in (student_RH / temperature, student_RH, student_KH))
        loss_R = torch.empty(len(student_RH), dtype=wide, device=student_RH.device)
        grad_RH = torch.empty_like(student_RH, dtype=wide) if need else None
        grad_KH = torch.zeros_like(student_KH, dtype=wide) if need else None
        heaviest = weight_R.max() if len(weight_R) else weight_R.new_ones(())
        share_R1 = (weight_R[:, None] / heaviest) * (boost / temperature)
        for start in range(0, len(student_RH), chunk or max(len(student_RH), 1)):
            rows = slice(start, start + (chunk or len(student_RH)))
            target = targets(rows, dtype)
            logits = at_least_float32(scaled_RH[rows] @ student_KH.T)
            logits -= logits.amax(dim=1, keepdim=True)
            common = torch.linalg.vecdot(target, logits)
            total = logits.exp_().sum(dim=1)
            loss_R[rows] = total.log() - common
            if grad_RH is not None and grad_KH is not None:
                slope = logits.mul_(share_R1[rows] / total[:, None]).addcmul_(target, share_R1[rows], value=-1).to(dtype)
                grad_RH[rows] = (slope @ student_KH).to(wide)
                _add_product(grad_KH, slope.T, student_RH[rows])
        ctx.save_for_backward(grad_RH, grad_KH, heaviest / boost)
        ctx.mark_non_differentiable(loss_R)
        return (loss_R * weight_R).sum(), loss_R

    @staticmethod
    def backward(ctx: Any, grad: Tensor, _: Tensor) -> tuple[Tensor | None, ...]:
        grad_RH, grad_KH, factor = ctx.saved_tensors
        rows, prototypes = ctx.dtypes
        return (grad_RH * (grad * factor)).to(rows), (grad_KH * (grad * factor)).to(prototypes), *([None] * 5)


def _add_product(total: Tensor, a: Tensor, b: Tensor) -> None:
    if a.dtype == total.dtype:
        total.addmm_(a, b)
    else:
        total += a @ b


def prototype_loss(
    student_RH: Tensor,
    student_KH: Tensor,
    teacher_RH: Tensor,
    teacher_KH: Tensor,
    bias_K: Tensor,
    weight_R: Tensor,
    *,
    student_temperature: float,
    teacher_temperature: float,
    targets_RK: Tensor | None = None,
    chunk: int = 0,
    dtype: torch.dtype | None = None,
) -> tuple[Tensor, Tensor]:
    """Return sum over rows of weight x cross-entropy, and the cross-entropy of every row (without gradient).

    Args:
        student_RH, teacher_RH: unit vectors from the heads, row for row.
        student_KH, teacher_KH: prototypes; their products with the rows are the logits.
        bias_K: of `sinkhorn`, or -centre / teacher_temperature.
        weight_R: weight of each row in the loss, at least one above 0.
        targets_RK: what teacher rows, prototypes and bias give, if it is there.
        chunk: rows whose logits are alive at once; 0: all.
        dtype: of the matrix products (bf16 and fp16 in mixed precision); everything after them is float32 or wider.

    Source: DINOv2's DINO and iBOT losses; the order of computation is ours.
    """

    def targets(rows: slice, dtype: torch.dtype) -> Tensor:
        if targets_RK is not None:
            return targets_RK[rows]
        logits = (teacher_RH[rows] / teacher_temperature).to(dtype) @ teacher_KH.to(dtype).T
        return torch.softmax(at_least_float32(logits).add_(bias_K), dim=1)

    with torch.autocast(student_RH.device.type, enabled=False):
        return _PrototypeCrossEntropy.apply(student_RH, student_KH, targets, weight_R, student_temperature, chunk, dtype)


def kl_to_uniform(rows_RH: Tensor, prototypes_KH: Tensor, temperature: float, *, chunk: int = 0, group: Group = ONE) -> Tensor:
    """Return KL(uniform || mean over the rows of softmax(row prototypes^T / temperature)), over all ranks' rows.

    Zero where every prototype gets the same; it grows as prototypes fall out of use. In float32 or wider.
    Source: CellRep, section A.1.
    """
    with torch.autocast(rows_RH.device.type, enabled=False):
        own_K = _SummedSoftmax.apply(
            at_least_float32(rows_RH) / temperature, at_least_float32(prototypes_KH), chunk or max(len(rows_RH), 1)
        )
        others_K = group.sum(own_K.detach()) - own_K.detach()
        mean_K = (own_K + others_K) / (len(rows_RH) * group.world)
        return -mean_K.clamp_min(torch.finfo(mean_K.dtype).tiny).log().mean() - math.log(len(mean_K))


class _SummedSoftmax(torch.autograd.Function):
    """The sum over rows of softmax(row prototypes^T), [K]; the logits of a chunk are made again on the way back."""

    @staticmethod
    def forward(ctx: Any, rows_RH: Tensor, prototypes_KH: Tensor, chunk: int) -> Tensor:
        ctx.save_for_backward(rows_RH, prototypes_KH)
        ctx.chunk = chunk
        parts = [torch.softmax(rows @ prototypes_KH.T, dim=1).sum(0) for rows in rows_RH.split(chunk)]
        return torch.stack(parts).sum(0)

    @staticmethod
    def backward(ctx: Any, grad_K: Tensor) -> tuple[Tensor | None, ...]:
        rows_RH, prototypes_KH = ctx.saved_tensors
        grad_RH, grad_KH = [], torch.zeros_like(prototypes_KH)
        for rows in rows_RH.split(ctx.chunk):
            share_RK = torch.softmax(rows @ prototypes_KH.T, dim=1)
            slope_RK = share_RK * (grad_K - (share_RK @ grad_K)[:, None])
            grad_RH.append(slope_RK @ prototypes_KH)
            grad_KH.addmm_(slope_RK.T, rows)
        return torch.cat(grad_RH), grad_KH, None


def koleo(cls_BD: Tensor, group: Group = ONE) -> Tensor:
    """Return minus the mean log distance of each class token to its nearest other one, over all ranks' samples.

    In float32 or wider: in half precision a pair of equal rows gives infinity. Zero for a batch of one.
    Source: DINOv2 (arXiv:2304.07193), after Sablayrolles et al. 2018.
    """
    with torch.autocast(cls_BD.device.type, enabled=False):
        unit_BD = group.gather_rows(F.normalize(at_least_float32(cls_BD), dim=-1, eps=1e-8))
        if len(unit_BD) < 2:
            return unit_BD.sum() * 0
        with torch.no_grad():
            similarity_BB = unit_BD @ unit_BD.T
            nearest_B = similarity_BB.fill_diagonal_(-1).argmax(dim=1)
        distance_B = F.pairwise_distance(unit_BD, unit_BD[nearest_B], eps=1e-8)
        return -torch.log(distance_B + 1e-8).mean()
