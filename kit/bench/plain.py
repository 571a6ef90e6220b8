"""The training step as one would write it in plain PyTorch: the rival of kit's own in the benches of the step.

Whole logits, DINOv2's Sinkhorn on them, log-softmax, torch's default AdamW, the moving average in two passes. The blocks, which
are plain already, and every weight, mask and draw are kit's, so that both take the same steps. B samples, R rows, K prototypes.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from kit.errors import UsageError
from kit.images.crops.groups import LOCAL
from kit.model.arrangement import Pass, Term
from kit.model.clock import Clock
from kit.model.dino import Network
from kit.model.draws import Draws, draw_step
from kit.model.heads import Head
from kit.model.learner import Learner
from kit.model.optim import parameter_groups, set_values
from kit.model.vit import Tokens


class Plain:
    """Takes steps on the networks of a learner, whose configuration has no micro-batches."""

    def __init__(self, learner: Learner):
        self.learner = learner
        if not isinstance(learner.student, Network) or not isinstance(learner.teacher, Network):
            recipe, objective = learner.config.recipe, learner.config.loss.objective
            raise UsageError(f"recipe {recipe} trains by {objective}: the plain form is of DINO's step alone")
        self.student, self.teacher = learner.student, learner.teacher
        config = learner.config.train
        self.optimiser = torch.optim.AdamW(parameter_groups(learner.student.parts(), config), lr=0.0, betas=config.betas)

    def step(self, views: dict[str, Tensor], step: int, clock: Clock) -> Tensor:
        """Take one step and return its loss."""
        learner = self.learner
        table, config, values = learner.arrangement, learner.config, learner.schedules.at(step)
        samples = len(views[table.views[0]])
        set_values(self.optimiser, values)
        self.optimiser.zero_grad()
        draws = draw_step(config, table, samples, step=step, group=learner.group, device=learner.device)
        whole = slice(0, samples)
        with torch.autocast(learner.device.type, learner.autocast or torch.float32, enabled=learner.autocast is not None):
            with torch.no_grad(), clock.section("teacher"):
                cls_targets, patch_targets = self._targets(views, draws, values.teacher_temperature)
            with clock.section("student"):
                backbone = learner.student.backbone
                stacked = torch.cat([views[one.view] for one in table.student])
                tokens = backbone(stacked, draws.mask(whole), draws.kept(whole, local=False))
                local = backbone(views[LOCAL], None, draws.kept(whole, local=True)).cls_BD if table.local else None
            with clock.section("losses"):
                loss = self._loss(tokens, local, cls_targets, patch_targets, draws)
        with clock.section("student"):
            loss.backward()
        with clock.section("optimiser"):
            self._update(values.momentum)
        return loss.detach()

    def _targets(self, views: dict[str, Tensor], draws: Draws, temperature: float) -> tuple[list[Tensor], Tensor]:
        """Return the targets [B, K] of each view the teacher sees, and of the masked patches [R, K]."""
        table, teacher = self.learner.arrangement, self.teacher
        tokens = teacher.backbone(torch.cat([views[view] for view in table.teacher]))
        cls = sinkhorn(logits(teacher.dino_head, tokens.cls_BD), temperature).chunk(len(table.teacher))
        masked = self._masked(tokens, draws, [table.teacher_place(term) for term in table.ibot], len(table.teacher))
        return list(cls), sinkhorn(logits(teacher.patch_head, masked), temperature)

    def _masked(self, tokens: Tokens, draws: Draws, places: list[int], passes: int) -> Tensor:
        parts = tokens.patch_BND.chunk(passes)
        whole = slice(0, draws.samples)
        return torch.cat([parts[place].flatten(0, 1)[draws.places(i, whole)] for i, place in enumerate(places)])

    def _loss(
        self, tokens: Tokens, local: Tensor | None, cls_targets: list[Tensor], patch_targets: Tensor, draws: Draws
    ) -> Tensor:
        learner, config = self.learner, self.learner.config.loss
        table, student = learner.arrangement, self.student
        B, crops = draws.samples, learner.config.crops.local_crops
        compared = [one for one in table.student if any(term.student == one for term in table.dino)]
        passes = dict(zip(table.student, tokens.cls_BD.split(B), strict=True))
        rows = [passes[one] for one in compared] + ([] if local is None else [local])
        logp = F.log_softmax(logits(student.dino_head, torch.cat(rows)).float() / config.student_temperature, dim=-1)
        row_of = dict(zip(compared, logp[: len(compared) * B].split(B), strict=True))
        row_of |= {Pass(LOCAL, crop=i): logp[len(compared) * B + i :: crops] for i in range(crops)}

        def term_loss(term: Term) -> Tensor:
            return -term.weight * (cls_targets[table.teacher_place(term)] * row_of[term.student]).sum(-1).mean()

        loss = config.dino_weight * torch.stack([term_loss(term) for term in (*table.dino, *table.local)]).sum()
        if config.ibot_weight and table.ibot:
            masked = self._masked(tokens, draws, [table.student_place(term) for term in table.ibot], len(table.student))
            patch = F.log_softmax(logits(student.patch_head, masked).float() / config.student_temperature, dim=-1)
            weight = draws.weights(table, [slice(0, B)], 1).to(patch.dtype)
            loss = loss - config.ibot_weight * ((patch_targets * patch).sum(-1) * weight).sum()
        if config.koleo_weight:
            loss = loss + config.koleo_weight * sum(koleo(passes[one]) for one in table.koleo)
        return loss

    @torch.no_grad()
    def _update(self, momentum: float) -> None:
        learner = self.learner
        for module in learner.student.parts().values():
            torch.nn.utils.clip_grad_norm_(module.parameters(), learner.config.train.clip)
        self.optimiser.step()
        old: list[Tensor] = list(learner.teacher.parameters())
        new: list[Tensor] = list(learner.student.parameters())
        torch._foreach_mul_(old, momentum)
        torch._foreach_add_(old, new, alpha=1 - momentum)


def logits(head: Head, x: Tensor) -> Tensor:
    return head(x) @ head.last_layer().T


def sinkhorn(rows: Tensor, temperature: float) -> Tensor:
    Q = torch.exp(rows.float() / temperature)
    Q /= Q.sum()
    for _ in range(3):
        Q /= Q.sum(0, keepdim=True)
        Q /= Q.shape[1]
        Q /= Q.sum(1, keepdim=True)
        Q /= Q.shape[0]
    return Q.mul_(len(Q))


def koleo(x: Tensor) -> Tensor:
    x = F.normalize(x.float(), dim=-1, eps=1e-8)
    with torch.no_grad():
        nearest = (x @ x.T).fill_diagonal_(-1).argmax(1)
    return -torch.log(F.pairwise_distance(x, x[nearest], eps=1e-8) + 1e-8).mean()
