"""The random choices of a step besides its views: which patches are masked and which rows drop path skips.

Drawn for the whole global batch from a counter (seed, step); every rank and micro-batch then takes its part, so that a batch
gives the same step however it is split. B samples of this rank, I masked passes, P student passes, N patches.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from kit.config import RunConfig
from kit.model.arrangement import Arrangement
from kit.model.blocks import Kept
from kit.model.distributed import Group
from kit.model.masks import draw_masks
from kit.model.transfer import upload
from kit.streams import Stream, generator


@dataclass(frozen=True)
class Draws:
    """One rank's part of a step's draws."""

    samples: int  # B
    mask_IBN: np.ndarray  # bool
    passes: tuple[int, ...]  # which student pass each of the I masks belongs to
    n_passes: int  # P
    drop_global: list[tuple[np.ndarray, np.ndarray]] | None  # per block and branch: bool [P, B], true where it runs
    drop_local: list[tuple[np.ndarray, np.ndarray]] | None  # the same, bool [B, L]
    drop_scale: dict[str, float]
    device: torch.device

    def mask(self, part: slice) -> Tensor | None:
        """Return bool [P * b, N] for the samples of a micro-batch; None if nothing is masked."""
        if not self.mask_IBN.any():
            return None
        mask_PBN = np.zeros((self.n_passes, *self.mask_IBN[0, part].shape), bool)
        mask_PBN[list(self.passes)] = self.mask_IBN[:, part]
        return upload(mask_PBN.reshape(-1, mask_PBN.shape[-1]), self.device)

    def places(self, i: int, part: slice) -> Tensor:
        """Return the flat places, in [b * N], of the patches that masked pass i hides in a micro-batch."""
        return upload(np.flatnonzero(self.mask_IBN[i, part]), self.device)

    def weights(self, arrangement: Arrangement, parts: Sequence[slice], world: int) -> Tensor:
        """Return the iBOT weight of every masked patch of the rank, in the order of `places` over parts, then passes.

        A patch's weight is its term's weight / (masked patches of its view x samples of the global batch), as in DINOv2.
        """
        count_IB = self.mask_IBN.sum(2)
        term_I = np.array([term.weight for term in arrangement.ibot])
        weight_IB = term_I[:, None] / np.maximum(count_IB, 1) / (self.samples * world)
        pieces = [np.repeat(weight_IB[i, part], count_IB[i, part]) for part in parts for i in range(len(count_IB))]
        return upload(np.concatenate(pieces), self.device)

    def kept(self, part: slice, *, local: bool) -> list[tuple[Kept, Kept]] | None:
        """Return the rows each branch runs on in a micro-batch; None without drop path."""
        runs_of_blocks = self.drop_local if local else self.drop_global
        if runs_of_blocks is None:
            return None
        scale = upload(torch.tensor(self.drop_scale["local" if local else "global"], dtype=torch.float64), self.device)
        rows = [np.flatnonzero(runs[part] if local else runs[:, part]) for pair in runs_of_blocks for runs in pair]
        branches = upload(np.concatenate(rows), self.device).split([len(one) for one in rows])  # one copy for all
        kept = [Kept(one, scale) for one in branches]
        return list(zip(kept[::2], kept[1::2], strict=True))


def draw_step(
    config: RunConfig, arrangement: Arrangement, samples: int, *, step: int, group: Group, device: torch.device
) -> Draws:
    """Draw a step for the global batch of `samples` per rank and return this rank's part."""
    total = samples * group.world
    mine = slice(group.rank * samples, (group.rank + 1) * samples)
    masked = len(arrangement.ibot)
    side = config.crops.global_side // config.model.patch
    loss = config.loss
    mask_VN = draw_masks(side, masked * total, share=loss.mask_share, ratio=loss.mask_ratio, seed=config.seed, step=step)
    random = generator(config.seed, Stream.DROP_PATH, step)
    n_passes = len(arrangement.student)
    scale: dict[str, float] = {}
    drop_global, scale["global"] = _drop(config, n_passes * total, random)
    drop_local, scale["local"] = _drop(config, config.crops.local_crops * total, random)
    if drop_global is not None:
        drop_global = [tuple(runs.reshape(n_passes, total)[:, mine] for runs in pair) for pair in drop_global]
    if drop_local is not None:
        drop_local = [tuple(runs.reshape(total, -1)[mine] for runs in pair) for pair in drop_local]
    return Draws(
        samples=samples,
        mask_IBN=mask_VN.reshape(masked, total, side * side)[:, mine],
        passes=tuple(arrangement.student_place(term) for term in arrangement.ibot),
        n_passes=n_passes,
        drop_global=drop_global,
        drop_local=drop_local,
        drop_scale=scale,
        device=device,
    )


def _drop(config: RunConfig, rows: int, random: np.random.Generator) -> tuple[list[tuple] | None, float]:
    """Return per block and branch which of all rows run, and the factor that makes up for the others.

    As DINOv2's training: a branch runs on max(int(rows * (1 - rate)), 1) rows, the same rate in every block.
    """
    rate = config.model.drop_path
    if rate == 0 or rows == 0:
        return None, 1.0
    run = max(int(rows * (1 - rate)), 1)
    order = np.arange(rows) < run
    return [(random.permutation(order), random.permutation(order)) for _ in range(config.model.depth)], rows / run
