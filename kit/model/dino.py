"""Student and teacher, the teacher's targets, and the losses of one step as model/arrangement.py defines them.

B samples, P passes, L local crops, R masked patches or compared rows, D embedding, H bottleneck, K prototypes.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import NamedTuple

import torch
from torch import Tensor

from kit.config import LossConfig, ModelConfig
from kit.images.crops.groups import LOCAL, V2
from kit.model.arrangement import Arrangement, Term
from kit.model.distributed import ONE, Group
from kit.model.heads import Head, seeded_head
from kit.model.losses import kl_to_uniform, koleo, mean_logits, prototype_loss
from kit.model.sinkhorn import sinkhorn
from kit.model.trained import Trained
from kit.model.transfer import upload
from kit.model.vit import Vit, seeded_vit
from kit.streams import Stream


class Network(Trained):
    """A backbone with its heads: the student, and again the teacher."""

    def __init__(self, backbone: Vit, dino_head: Head, ibot_head: Head | None):
        super().__init__(backbone)
        self.dino_head = dino_head
        if ibot_head is not None:
            self.ibot_head = ibot_head

    @property
    def patch_head(self) -> Head:
        """The head of the masked patches: its own, or DINO's."""
        return self.ibot_head if hasattr(self, "ibot_head") else self.dino_head


def seeded_network(model: ModelConfig, loss: LossConfig, channels: int, seed: int) -> Network:
    """Return a Network whose initial weights depend on the seed alone."""
    ibot_head = seeded_head(model.dim, loss, seed, Stream.IBOT_HEAD) if loss.separate_ibot_head else None
    return Network(seeded_vit(model, channels, seed), seeded_head(model.dim, loss, seed, Stream.DINO_HEAD), ibot_head)


@dataclass
class StepTokens:
    """One network's output for a step's batch: class tokens per pass, patch tokens at the masked places, local crops."""

    cls_PBD: Tensor
    masked_RD: Tensor
    local_LBD: Tensor | None = None


@dataclass
class Centres:
    """The running centres of centring, for class tokens and patches; all zero at the start."""

    cls_K: Tensor
    patch_K: Tensor

    def move(self, cls_mean_K: Tensor, patch_mean_K: Tensor, momentum: float, stay: Tensor) -> None:
        """Mix in the mean logits of a step, unless `stay` is true: they count from the next step on, as in DINOv2."""
        self.cls_K = torch.where(stay, self.cls_K, self.cls_K * momentum + cls_mean_K * (1 - momentum))
        self.patch_K = torch.where(stay, self.patch_K, self.patch_K * momentum + patch_mean_K * (1 - momentum))


class Targets(NamedTuple):
    """The teacher's side of the losses: unit rows, prototypes and bias of class tokens and of masked patches."""

    cls_RH: Tensor
    cls_KH: Tensor
    cls_bias_K: Tensor
    patch_RH: Tensor
    patch_KH: Tensor
    patch_bias_K: Tensor
    cls_mean_K: Tensor | None  # centring: this step's mean logits, for the centres
    patch_mean_K: Tensor | None
    cls_RK: Tensor | None = None  # the targets whole, where Sinkhorn has kept them
    patch_RK: Tensor | None = None


@torch.no_grad()
def make_targets(
    teacher: Network, tokens: StepTokens, centres: Centres, config: LossConfig, temperature: float, group: Group = ONE
) -> Targets:
    """Run the teacher's heads and find the biases that make its logits targets, over all ranks' rows."""
    cls_RH, cls_KH = teacher.dino_head(tokens.cls_PBD.flatten(0, 1)), teacher.dino_head.last_layer()
    patch_RH = teacher.patch_head(tokens.masked_RD)
    patch_KH = teacher.patch_head.last_layer() if teacher.patch_head is not teacher.dino_head else cls_KH
    if config.targets == "centring":
        biases = (-centres.cls_K / temperature, -centres.patch_K / temperature)
        means = (mean_logits(cls_RH, cls_KH, group), mean_logits(patch_RH, patch_KH, group))
        return Targets(cls_RH, cls_KH, biases[0], patch_RH, patch_KH, biases[1], *means)
    find = partial(
        sinkhorn,
        temperature=temperature,
        steps=config.sinkhorn_steps,
        chunk=config.chunk_rows,
        keep=config.keep_logits_mb * 1e6,
        group=group,
    )
    cls, patch = find(cls_RH, cls_KH), find(patch_RH, patch_KH)
    whole = cls.targets_RK, patch.targets_RK
    return Targets(cls_RH, cls_KH, cls.bias_K, patch_RH, patch_KH, patch.bias_K, None, None, *whole)


@dataclass
class Losses:
    """This rank's share of the loss to go backwards from, and the global value of each part (no gradient)."""

    total: Tensor
    parts: dict[str, Tensor] = field(default_factory=dict)


def compute_losses(
    student: Network,
    tokens: StepTokens,
    targets: Targets,
    patch_weight_R: Tensor,
    arrangement: Arrangement,
    config: LossConfig,
    *,
    teacher_temperature: float,
    samples: int,
    group: Group = ONE,
    dtype: torch.dtype | None = None,
) -> Losses:
    """Return the losses of a step, means over the `samples` of the global batch.

    Args:
        tokens, targets: of this rank; masked patches in the order of `arrangement.ibot` on both sides.
        patch_weight_R: term weight / (masked patches of the view x samples), as DINOv2 weights iBOT.
        dtype: of the products with the prototypes.
    """
    compare = partial(
        prototype_loss,
        student_temperature=config.student_temperature,
        teacher_temperature=teacher_temperature,
        chunk=config.chunk_rows,
        dtype=dtype,
    )
    B = tokens.cls_PBD.shape[1]
    rows_RD, student_R, teacher_R, weight_R = _cls_rows(tokens, arrangement, B, samples)
    rows_RH, prototypes_KH = student.dino_head(rows_RD), student.dino_head.last_layer()
    targets_cls = (targets.cls_RH[teacher_R], targets.cls_KH, targets.cls_bias_K)
    whole_RK = None if targets.cls_RK is None else targets.cls_RK[teacher_R]
    dino, row_R = compare(rows_RH[student_R], prototypes_KH, *targets_cls, weight_R, targets_RK=whole_RK)
    total = config.dino_weight * dino
    parts = {"dino": group.sum(dino.detach())}
    parts |= _by_kind(row_R * weight_R, arrangement, B, group)
    if config.ibot_weight and arrangement.ibot:
        patch_KH = student.patch_head.last_layer() if student.patch_head is not student.dino_head else prototypes_KH
        targets_patch = (targets.patch_RH, targets.patch_KH, targets.patch_bias_K)
        patch_RH = student.patch_head(tokens.masked_RD)
        ibot, _ = compare(patch_RH, patch_KH, *targets_patch, patch_weight_R, targets_RK=targets.patch_RK)
        total = total + config.ibot_weight * ibot
        parts["ibot"] = group.sum(ibot.detach())
    for name, weight, value in _of_the_batch(rows_RH, prototypes_KH, tokens, arrangement, config, group):
        total = total + weight * value
        parts[name] = value.detach()
    loss = config.dino_weight * parts["dino"]
    for name, weight in (("ibot", config.ibot_weight), ("koleo", config.koleo_weight), ("kl", config.kl_weight)):
        loss = loss + weight * parts[name] if name in parts else loss
    parts["loss"] = loss
    return Losses(total, parts)


def _of_the_batch(
    rows_RH: Tensor, prototypes_KH: Tensor, tokens: StepTokens, arrangement: Arrangement, config: LossConfig, group: Group
) -> Iterator[tuple[str, float, Tensor]]:
    """Yield name, weight and value of the losses that keep the samples of a batch apart, each the same on every rank."""
    if config.koleo_weight:
        passes = [tokens.cls_PBD[arrangement.student.index(step)] for step in arrangement.koleo]
        yield "koleo", config.koleo_weight, torch.stack([koleo(cls_BD, group) for cls_BD in passes]).sum()
    if config.kl_weight:
        whole_RH = rows_RH[: tokens.cls_PBD.shape[1] * len({term.student for term in arrangement.dino})]  # before local crops
        kl = kl_to_uniform(whole_RH, prototypes_KH, config.student_temperature, chunk=config.chunk_rows, group=group)
        yield "kl", config.kl_weight, kl


def _kind(term: Term) -> str:
    """What a term compares with the teacher: a local crop, the same view, the other view of its site, or another site."""
    if term.student.view == LOCAL:
        return "dino_local"
    if term.student.view == term.teacher:
        return "dino_same"
    return "dino_well" if V2 in (term.student.view, term.teacher) else "dino_site"


def _cls_rows(tokens: StepTokens, arrangement: Arrangement, B: int, samples: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return the class tokens that go through the head, and per comparison the row of each side and its weight."""
    compared = {term.student for term in arrangement.dino}
    passes = [step for step in arrangement.student if step in compared]
    rows = [tokens.cls_PBD[arrangement.student.index(step)] for step in passes]
    if tokens.local_LBD is not None:
        rows += list(tokens.local_LBD)
    device = tokens.cls_PBD.device
    sample_B = torch.arange(B, device=device)
    terms = [(passes.index(term.student), arrangement.teacher_place(term), term.weight) for term in arrangement.dino]
    terms += [(len(passes) + term.student.crop, arrangement.teacher_place(term), term.weight) for term in arrangement.local]
    student_R = torch.cat([sample_B + student * B for student, _, _ in terms])
    teacher_R = torch.cat([sample_B + teacher * B for _, teacher, _ in terms])
    weights = upload(torch.tensor([weight / samples for _, _, weight in terms], dtype=tokens.cls_PBD.dtype), device)
    return torch.cat(rows), student_R, teacher_R, weights.repeat_interleave(B)


def _by_kind(weighted_R: Tensor, arrangement: Arrangement, B: int, group: Group) -> dict[str, Tensor]:
    """Return the mean cross-entropy of each kind of comparison, its weights taken out again."""
    sums: dict[str, Tensor] = {}
    weights: dict[str, float] = {}
    for term, part in zip((*arrangement.dino, *arrangement.local), weighted_R.split(B), strict=True):
        kind = _kind(term)
        sums[kind] = sums[kind] + part.sum() if kind in sums else part.sum()
        weights[kind] = weights.get(kind, 0.0) + term.weight
    return {kind: group.sum(value) / weights[kind] for kind, value in sums.items()}
