"""One training step: teacher, student, losses, backwards, clipping, AdamW, moving average.

B samples of this rank, P student passes, I masked passes, N patches, D embedding.

With micro-batches the backbone first runs without gradients to collect every token; the losses then see the whole batch at
once and give the gradient of each token; the backbone runs again, micro-batch by micro-batch, and propagates those
gradients. So Sinkhorn, centring, KoLeo and batch normalisation see the whole batch, at the price of one more forward pass.
"""

import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from kit.images.crops.groups import LOCAL
from kit.model.channel_drop import drop_channels
from kit.model.clock import Clock
from kit.model.dino import Losses, Network, StepTokens, Targets, compute_losses, make_targets
from kit.model.draws import Draws, draw_step
from kit.model.learner import Learner
from kit.model.optim import clip, move_teacher, set_values, step_unless
from kit.model.schedules import Values
from kit.model.teacherless import teacherless_backwards

FRONT = ("backbone.patch_embed.", "backbone.mixer.")  # what comes before student and teacher in CellRep's figure 1


@dataclass(frozen=True)
class StepReport:
    """What a step did. Every tensor is on the device, which may still be at it."""

    parts: dict[str, Tensor]  # losses by name, global
    norms: dict[str, Tensor]  # gradient norm per module before clipping
    values: Values
    # bool [2]. skipped: the loss or a gradient was not finite, and nothing was changed. rescaled: skipped because fp16
    # overflowed and the scaler lowers its scale: ordinary, above all at the start.
    flags: Tensor
    targets: Targets | None  # None without a teacher
    watched_PBD: Tensor  # what the collapse alarm watches: the teacher's class tokens, or see `teacherless_backwards`

    @property
    def skipped(self) -> bool:
        """The first flag. Asking waits for the device."""
        return bool(self.flags[0])

    @property
    def rescaled(self) -> bool:
        """The second flag. Asking waits for the device."""
        return bool(self.flags[1])


def learn(learner: Learner, views: Mapping[str, Tensor], step: int, clock: Clock | None = None) -> StepReport:
    """Take one step on a batch and return what it did; a non-finite loss or gradient changes nothing.

    The host reads nothing back from the device, so it can prepare the next step while this one runs.

    Args:
        views: `v1`, `w`, `v2` as the arrangement needs, float [B, C, P, P], normalised; `local` [B * L, C, p, p], sample-major.
        step: counted from 0; with the seed of the configuration it fixes every draw.
    """
    clock = clock or Clock()
    config, group = learner.config, learner.group
    values = learner.schedules.at(step)
    set_values(learner.optimiser, values)
    learner.optimiser.zero_grad(set_to_none=True)
    B = len(views[learner.arrangement.views[0]])
    draws = draw_step(config, learner.arrangement, B, step=step, group=group, device=learner.device)
    seen = {who: drop_channels(views, config, who, B, step=step, group=group) for who in ("teacher", "student")}
    with _autocast(learner):
        targets = None
        if isinstance(learner.teacher, Network):
            with clock.section("teacher"):
                tokens = _teacher_tokens(learner, seen["teacher"], draws)
                targets = make_targets(learner.teacher, tokens, learner.centres, config.loss, values.teacher_temperature, group)
            losses, watched_PBD = _backwards(learner, seen["student"], draws, targets, values, clock), tokens.cls_PBD
        else:
            parts = list(_micro_batches(learner, B))
            losses, watched_PBD = teacherless_backwards(learner, seen["student"], draws, parts, step, clock)
    scale = learner.scaler.scale(torch.ones_like(losses.total))  # 1 without a scaler
    with clock.section("optimiser"):
        norms, skipped = _apply(learner, losses, values)
    if targets is not None and targets.cls_mean_K is not None and targets.patch_mean_K is not None:
        learner.centres.move(targets.cls_mean_K, targets.patch_mean_K, config.loss.centre_momentum, skipped)
    flags = torch.stack((skipped, skipped & (scale > 1) & torch.isfinite(losses.parts["loss"])))
    return StepReport(losses.parts, norms, values, flags, targets, watched_PBD)


def _autocast(learner: Learner) -> contextlib.AbstractContextManager:
    if learner.autocast is None:
        return contextlib.nullcontext()
    return torch.autocast(learner.device.type, dtype=learner.autocast)


def _micro_batches(learner: Learner, samples: int) -> Iterator[slice]:
    size = -(-samples // learner.config.train.micro_batches)
    for start in range(0, samples, size):
        yield slice(start, min(start + size, samples))


@torch.no_grad()
def _teacher_tokens(learner: Learner, views: Mapping[str, Tensor], draws: Draws) -> StepTokens:
    arrangement = learner.arrangement
    where = [arrangement.teacher_place(term) for term in arrangement.ibot]
    cls, masked = [], []
    for part in _micro_batches(learner, draws.samples):
        stacked = torch.cat([views[view][part] for view in arrangement.teacher])
        tokens = learner.teacher.backbone(stacked)
        b = part.stop - part.start
        cls.append(tokens.cls_BD.unflatten(0, (-1, b)))
        patch_VBND = tokens.patch_BND.unflatten(0, (-1, b))
        masked += [patch_VBND[place].flatten(0, 1)[draws.places(i, part)] for i, place in enumerate(where)]
    return StepTokens(torch.cat(cls, dim=1), torch.cat(masked))


def _student_tokens(learner: Learner, views: Mapping[str, Tensor], draws: Draws, part: slice) -> StepTokens:
    arrangement, backbone = learner.arrangement, learner.student.backbone
    b = part.stop - part.start
    stacked = torch.cat([views[step.view][part] for step in arrangement.student])
    tokens = backbone(stacked, draws.mask(part), draws.kept(part, local=False))
    patch_PBND = tokens.patch_BND.unflatten(0, (-1, b))
    where = [arrangement.student_place(term) for term in arrangement.ibot]
    masked = [patch_PBND[place].flatten(0, 1)[draws.places(i, part)] for i, place in enumerate(where)]
    local_LBD = None
    if arrangement.local:
        crops = len(views[LOCAL]) // draws.samples
        small = views[LOCAL][part.start * crops : part.stop * crops]
        local_LBD = backbone(small, None, draws.kept(part, local=True)).cls_BD.unflatten(0, (b, crops)).transpose(0, 1)
    return StepTokens(tokens.cls_BD.unflatten(0, (-1, b)), torch.cat(masked), local_LBD)


def _join(pieces: list[StepTokens]) -> StepTokens:
    local = [piece.local_LBD for piece in pieces if piece.local_LBD is not None]
    cls_PBD = torch.cat([piece.cls_PBD for piece in pieces], dim=1)
    masked_RD = torch.cat([piece.masked_RD for piece in pieces])
    return StepTokens(cls_PBD, masked_RD, torch.cat(local, dim=1) if local else None)


def _backwards(
    learner: Learner, views: Mapping[str, Tensor], draws: Draws, targets: Targets, values: Values, clock: Clock
) -> Losses:
    """Run the student and leave its gradients on the parameters."""
    assert isinstance(learner.student, Network)
    parts = list(_micro_batches(learner, draws.samples))
    whole = len(parts) == 1
    with clock.section("student"), contextlib.nullcontext() if whole else torch.no_grad():
        tokens = _join([_student_tokens(learner, views, draws, part) for part in parts])
    if not whole:
        leaves = [leaf for leaf in (tokens.cls_PBD, tokens.masked_RD, tokens.local_LBD) if leaf is not None]
        for leaf in leaves:
            leaf.requires_grad_()
    with clock.section("losses"):
        losses = compute_losses(
            learner.student,
            tokens,
            targets,
            draws.weights(learner.arrangement, parts, learner.group.world).to(tokens.masked_RD.dtype),
            learner.arrangement,
            learner.config.loss,
            teacher_temperature=values.teacher_temperature,
            samples=draws.samples * learner.group.world,
            group=learner.group,
            dtype=learner.autocast,
        )
    with clock.section("student"):
        learner.scaler.scale(losses.total).backward()
        if not whole:
            _carry_back(learner, views, draws, tokens, parts)
    return losses


def _carry_back(learner: Learner, views: Mapping[str, Tensor], draws: Draws, whole: StepTokens, parts: list[slice]) -> None:
    """Run the student again, one micro-batch at a time, and backpropagate the gradients of its tokens."""
    start = 0
    for part in parts:
        tokens = _student_tokens(learner, views, draws, part)
        rows = slice(start, start + len(tokens.masked_RD))
        start = rows.stop
        pairs = [(tokens.cls_PBD, _gradient(whole.cls_PBD)[:, part])]
        if whole.masked_RD.grad is not None:
            pairs.append((tokens.masked_RD, whole.masked_RD.grad[rows]))
        if whole.local_LBD is not None and tokens.local_LBD is not None:
            pairs.append((tokens.local_LBD, _gradient(whole.local_LBD)[:, part]))
        torch.autograd.backward([token for token, _ in pairs], [grad for _, grad in pairs])


def _gradient(leaf: Tensor) -> Tensor:
    assert leaf.grad is not None
    return leaf.grad


def _apply(learner: Learner, losses: Losses, values: Values) -> tuple[dict[str, Tensor], Tensor]:
    """Clip, step and move the teacher; return the norms and whether, on the device, nothing was changed."""
    learner.group.sum_gradients(list(learner.student.parameters()))
    learner.scaler.unscale_(learner.optimiser)
    norms = clip(learner.student.parts(), learner.config.train.clip)
    finite = torch.isfinite(torch.stack([losses.total.detach(), *norms.values()])).all()
    skipped = learner.group.max((~finite).float()) > 0
    step_unless(learner.optimiser, skipped)
    learner.scaler.update()
    shared = FRONT if learner.config.model.front == "shared" else ()
    move_teacher(learner.teacher, learner.student, values.momentum, skipped, shared=shared)
    return norms, skipped
