"""The forward and backward pass of the objectives that have no teacher: SimCLR and MAE. step.py does the rest of a step.

B samples of this rank, D embedding.
"""

from collections.abc import Mapping

import torch
from torch import Tensor

from kit.images.crops.groups import V1
from kit.model.clock import Clock
from kit.model.dino import Losses
from kit.model.draws import Draws
from kit.model.learner import Learner
from kit.model.mae import Mae, draw_visible, mae_errors
from kit.model.simclr import SimClr, nt_xent
from kit.model.transfer import upload


def teacherless_backwards(
    learner: Learner, views: Mapping[str, Tensor], draws: Draws, parts: list[slice], step: int, clock: Clock
) -> tuple[Losses, Tensor]:
    """Run the network, leave its gradients on the parameters; return the loss and what the collapse alarm watches, [1, B, D].

    parts: the micro-batches. Watched are class tokens, of MAE the means of the visible patches.
    """
    if isinstance(learner.student, SimClr):
        return _simclr(learner, learner.student, views, draws, parts, clock)
    assert isinstance(learner.student, Mae)
    return _mae(learner, learner.student, views, draws, parts, step, clock)


def _simclr(
    learner: Learner, network: SimClr, views: Mapping[str, Tensor], draws: Draws, parts: list[slice], clock: Clock
) -> tuple[Losses, Tensor]:
    """The loss sees the whole batch: with micro-batches the backbone runs twice, as in step.py."""

    def encode(part: slice) -> Tensor:
        stacked = torch.cat([views[pass_.view][part] for pass_ in learner.arrangement.student])
        cls_BD = network.backbone(stacked, None, draws.kept(part, local=False)).cls_BD
        return cls_BD.unflatten(0, (2, part.stop - part.start))

    whole = len(parts) == 1
    with clock.section("student"), torch.set_grad_enabled(whole):
        cls_2BD = torch.cat([encode(part) for part in parts], dim=1)
    if not whole:
        cls_2BD.requires_grad_()
    with clock.section("losses"):
        first_BH, second_BH = network.projection(cls_2BD.flatten(0, 1)).chunk(2)
        loss = nt_xent(first_BH, second_BH, learner.config.loss.student_temperature, learner.group)
    with clock.section("student"):
        learner.scaler.scale(loss).backward()
        if not whole:
            assert cls_2BD.grad is not None
            for part in parts:
                encode(part).backward(cls_2BD.grad[:, part])
    return Losses(loss, {"nt_xent": loss.detach(), "loss": loss.detach()}), cls_2BD.detach()[:1]


def _mae(
    learner: Learner, network: Mae, views: Mapping[str, Tensor], draws: Draws, parts: list[slice], step: int, clock: Clock
) -> tuple[Losses, Tensor]:
    """The loss is a mean over samples, so micro-batches add up."""
    config, x_BCPP = learner.config, views[V1]
    side, (rank, world) = x_BCPP.shape[-1] // config.model.patch, (learner.group.rank, learner.group.world)
    every = draw_visible(
        side * side, draws.samples * world, masked=config.loss.mae_mask, seed=config.seed, step=step
    )  # fmt: skip
    visible_BV = upload(every[rank * draws.samples : (rank + 1) * draws.samples], x_BCPP.device)
    total, watched = x_BCPP.new_zeros((), dtype=torch.promote_types(x_BCPP.dtype, torch.float32)), []
    for part in parts:
        with clock.section("student"):
            tokens = network.backbone(x_BCPP[part], None, draws.kept(part, local=False), visible_BV[part])
            painted_BNp = network.decoder(tokens, visible_BV[part], side)
        with clock.section("losses"):
            errors_B = mae_errors(
                painted_BNp, x_BCPP[part], visible_BV[part], config.model.patch, norm_pixels=config.loss.mae_norm_pixels
            )
            loss = errors_B.sum() / (draws.samples * world)
        with clock.section("student"):
            learner.scaler.scale(loss).backward()
        total = total + loss.detach()
        watched.append(tokens.patch_BND.detach().float().mean(1))
    value = learner.group.sum(total)
    return Losses(total, {"mae": value, "loss": value}), torch.cat(watched)[None]
