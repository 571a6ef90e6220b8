"""Everything that a training step changes: networks, optimiser, scaler, centres."""

from dataclasses import dataclass

import torch

from kit.config import RunConfig
from kit.model.arrangement import Arrangement, arrange
from kit.model.choices import choose_ways
from kit.model.dino import Centres
from kit.model.distributed import ONE, Group
from kit.model.optim import make_optimiser
from kit.model.schedules import Schedules
from kit.model.trained import Trained


@dataclass
class Learner:
    """Everything a step changes, and what it needs to know."""

    config: RunConfig
    student: Trained
    teacher: Trained  # of SimCLR and MAE, which have none, the student itself: one network is saved and embedded
    optimiser: torch.optim.AdamW
    scaler: torch.amp.GradScaler
    centres: Centres
    schedules: Schedules
    arrangement: Arrangement
    group: Group = ONE
    autocast: torch.dtype | None = None

    @property
    def device(self) -> torch.device:
        return self.student.backbone.cls_token.device


def make_learner(
    config: RunConfig,
    student: Trained,
    teacher: Trained,
    *,
    steps: int,
    steps_per_epoch: int,
    group: Group = ONE,
    autocast: torch.dtype | None = None,
) -> Learner:
    """Return a Learner at its first step: the teacher equal to the student and without gradients."""
    teacher.load_state_dict(student.state_dict())
    teacher.requires_grad_(False)
    for trained in (student, teacher):
        trained.join(group)
    choose_ways(student, teacher, config.train)
    token = student.backbone.cls_token
    zero_K = torch.zeros(config.loss.prototypes, device=token.device, dtype=torch.promote_types(token.dtype, torch.float32))
    return Learner(
        config=config,
        student=student,
        teacher=teacher,
        optimiser=make_optimiser(student.parts(), config.train),
        scaler=torch.amp.GradScaler(token.device.type, enabled=autocast == torch.float16),
        centres=Centres(zero_K, zero_K.clone()),
        schedules=Schedules(config.train, config.loss, steps=steps, steps_per_epoch=steps_per_epoch),
        arrangement=arrange(config.loss, config.crops.local_crops),
        group=group,
        autocast=autocast,
    )
