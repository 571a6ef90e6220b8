"""One process or many: sums, maxima and gathered rows over the ranks, so that losses see the whole global batch.

Convention: every rank's loss is its share of the global mean, so gradients are summed over ranks, never averaged.
"""

import atexit
import datetime
import os
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

from kit.errors import UsageError
from kit.words import count


class _SumWithGrad(torch.autograd.Function):
    """All ranks' sum; backwards, the sum of all ranks' gradients."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        total = x.clone()
        dist.all_reduce(total)
        return total

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        total = grad.contiguous().clone()
        dist.all_reduce(total)
        return total


@dataclass(frozen=True)
class Group:
    """This process among `world` of them; with one, every call gives its argument back."""

    rank: int = 0
    world: int = 1

    def sum(self, x: Tensor) -> Tensor:
        if self.world == 1:
            return x
        total = x.detach().clone()
        dist.all_reduce(total)
        return total

    def max(self, x: Tensor) -> Tensor:
        if self.world == 1:
            return x
        most = x.detach().clone()
        dist.all_reduce(most, op=dist.ReduceOp.MAX)
        return most

    def sum_with_grad(self, x: Tensor) -> Tensor:
        return x if self.world == 1 else _SumWithGrad.apply(x)

    def gather_rows(self, x_BD: Tensor) -> Tensor:
        """Return the rows of all ranks, in rank order; only this rank's own rows carry a gradient."""
        if self.world == 1:
            return x_BD
        parts = [torch.empty_like(x_BD) for _ in range(self.world)]
        dist.all_gather(parts, x_BD.detach().contiguous())
        parts[self.rank] = x_BD
        return torch.cat(parts)

    def sum_gradients(self, parameters: Iterable[torch.nn.Parameter]) -> None:
        """Sum gradients over the ranks, in buckets of about 25 MB; a missing gradient counts as zero."""
        if self.world == 1:
            return
        bucket: list[Tensor] = []
        size = 0
        for parameter in parameters:
            if parameter.grad is None:
                parameter.grad = torch.zeros_like(parameter)
            bucket.append(parameter.grad)
            size += parameter.grad.numel() * parameter.grad.element_size()
            if size > 25e6:
                _sum_bucket(bucket)
                bucket, size = [], 0
        if bucket:
            _sum_bucket(bucket)

    def barrier(self) -> None:
        if self.world > 1:
            dist.barrier()


ONE = Group()


def _sum_bucket(gradients: list[Tensor]) -> None:
    flat = torch.cat([gradient.reshape(-1) for gradient in gradients])
    dist.all_reduce(flat)
    for gradient, piece in zip(gradients, flat.split([gradient.numel() for gradient in gradients]), strict=True):
        gradient.copy_(piece.view_as(gradient))


def join_group(*, patient: bool = False) -> Group:
    """Return this process's place: from the variables torchrun sets, or alone.

    Args:
        patient: the processes only wait for each other, as long as it takes; otherwise they exchange tensors at every step, and
            one that is silent for torch's default timeout counts as lost.

    Raises:
        UsageError: torchrun's variables are set only in part, or for more processes than this machine has GPUs.
    """
    names = ("RANK", "WORLD_SIZE", "LOCAL_RANK")
    present = [name for name in names if name in os.environ]
    if not present:
        return ONE
    if len(present) < len(names):
        missing = ", ".join(name for name in names if name not in present)
        raise UsageError(f"{present[0]} is set but {missing} is not: start several processes with torchrun")
    rank, world = int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])
    if world == 1:
        return ONE
    gpus, place = torch.cuda.device_count(), int(os.environ["LOCAL_RANK"])
    if gpus and place >= gpus:
        raise UsageError(f"torchrun started process {place + 1} on a machine with {count(gpus, 'GPU')}: --nproc-per-node {gpus}")
    if gpus:
        torch.cuda.set_device(place)
    if not dist.is_initialized():
        timeout = datetime.timedelta(days=365) if patient else None
        dist.init_process_group("nccl" if gpus and not patient else "gloo", timeout=timeout)
        atexit.register(dist.destroy_process_group)
    return Group(rank, world)
