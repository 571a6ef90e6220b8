"""Benchmark a training step against the same step in plain PyTorch: images a second, time per part, share of the peak.

Run it as `python -m kit.bench.train`. The data are random crops in memory, so that only views and step are timed. On a CPU: the
demo's network; on a GPU: ViT-S at 224 and 518 px, with the largest batch that fits, with and without torch.compile. An image is
one view that the student sees. The share of the peak is the FLOP of the recipe (kit.model.cost) over the fastest of a few
matrix products measured just before.
"""

import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from torch import Tensor

from kit.config import CHANNELS, RunConfig
from kit.model.clock import Clock
from kit.model.cost import step_flops
from kit.model.dino import seeded_network
from kit.model.draws import draw_step
from kit.model.heads import Head
from kit.model.optim import set_values
from kit.model.precision import precision
from kit.model.step import Learner, learn, make_learner
from kit.model.views import make_view
from kit.recipe import load_recipe

STAINS = CHANNELS[:5]
SECONDS = 8.0  # of measuring a contender, at least three steps


@dataclass(frozen=True)
class Row:
    """The result of one contestant."""

    name: str
    images_per_s: float
    sections: dict[str, float]  # ms of a step
    peak_share: float
    loss: float

    def text(self) -> str:
        parts = ", ".join(f"{name} {ms:.0f}" for name, ms in self.sections.items())
        return f"{self.name:34} {self.images_per_s:8.1f} img/s  {self.peak_share:5.0%} of peak  loss {self.loss:.4f}  ms: {parts}"


def matmul_peak(device: torch.device, dtype: torch.dtype) -> float:
    """Return the FLOP/s of the fastest of a few square products in `dtype`."""
    best = 0.0
    for side in (512, 1024) if device.type == "cpu" else (4096, 8192):
        a = torch.randn(side, side, device=device).to(dtype)
        for _ in range(10):
            _wait(device)
            start = time.perf_counter()
            a @ a
            _wait(device)
            best = max(best, 2 * side**3 / (time.perf_counter() - start))
    return best


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize()


def new_learner(config: RunConfig, device: torch.device) -> Learner:
    networks = [seeded_network(config.model, config.loss, len(config.channels), 0).to(device) for _ in range(2)]
    return make_learner(config, *networks, steps=1000, steps_per_epoch=100, autocast=precision(config, device))


def new_views(config: RunConfig, learner: Learner) -> dict[str, Tensor]:
    """Make the views of a step from random crops."""
    B, C, side = config.train.batch, len(config.channels), config.crops.global_side
    device = learner.device
    mean_C, sd_C = torch.full((C,), 0.5, device=device), torch.full((C,), 0.3, device=device)
    views = {}
    for i, name in enumerate(learner.arrangement.views):
        generator = torch.Generator().manual_seed(i)
        pixels = torch.randint(0, 256, (B, C, side, side), dtype=torch.uint8, generator=generator).to(device)
        sums = pixels.sum((2, 3), dtype=torch.int64)
        views[name] = make_view(pixels, sums, torch.arange(B) + i * B, config.views, seed=0, role="second" if i else "first",
                                channel_groups=config.channel_groups, mean_C=mean_C, sd_C=sd_C)  # fmt: skip
    return views


def plain_step(learner: Learner, views: dict[str, Tensor], step: int, clock: Clock) -> float:
    """The step of the demo's loss as one would write it: whole logits, tensor by tensor. Same weights, masks and losses."""
    config, table, values = learner.config, learner.arrangement, learner.schedules.at(step)
    B = config.train.batch
    set_values(learner.optimiser, values)
    learner.optimiser.zero_grad()
    draws = draw_step(config, table, B, step=step, group=learner.group, device=learner.device)
    mask = torch.from_numpy(draws.mask_IBN).to(learner.device).flatten(0, 1)
    x = torch.cat([views[view] for view in table.teacher])
    with torch.no_grad(), clock.section("teacher"):
        teacher = learner.teacher
        tokens = teacher.backbone(x)
        cls_targets = plain_sinkhorn(logits(teacher.dino_head, tokens.cls_BD), values.teacher_temperature).chunk(2)
        patch_targets = plain_sinkhorn(logits(teacher.patch_head, tokens.patch_BND[mask]), values.teacher_temperature)
    with clock.section("student"):
        student = learner.student
        tokens = student.backbone(x, mask)
    with clock.section("losses"):
        rows = F.log_softmax(logits(student.dino_head, tokens.cls_BD) / config.loss.student_temperature, dim=-1).chunk(2)
        target_of, row_of = dict(zip(table.teacher, cls_targets, strict=True)), dict(zip(table.student, rows, strict=True))
        dino = -sum(term.weight * (target_of[term.teacher] * row_of[term.student]).sum(-1).mean() for term in table.dino)
        patch = F.log_softmax(logits(student.patch_head, tokens.patch_BND[mask]) / config.loss.student_temperature, dim=-1)
        share = (1 / mask.sum(1).clamp(min=1))[:, None].expand_as(mask)[mask]
        ibot = -((patch_targets * patch).sum(-1) * share).sum() / len(mask)
        spread = sum(plain_koleo(part) for part in tokens.cls_BD.chunk(2))
        loss = dino + ibot + config.loss.koleo_weight * spread
    with clock.section("student"):
        loss.backward()
    with clock.section("optimiser"):
        for module in student.parts().values():
            torch.nn.utils.clip_grad_norm_(module.parameters(), config.train.clip)
        learner.optimiser.step()
        with torch.no_grad():
            for old, new in zip(teacher.parameters(), student.parameters(), strict=True):
                old.mul_(values.momentum).add_(new, alpha=1 - values.momentum)
    return float(loss.detach())


def logits(head: Head, x: Tensor) -> Tensor:
    return head(x) @ head.last_layer().T


def plain_sinkhorn(rows: Tensor, temperature: float) -> Tensor:
    Q = torch.exp(rows.float() / temperature)
    for _ in range(3):
        Q = Q / Q.sum(0, keepdim=True) / Q.shape[1]
        Q = Q / Q.sum(1, keepdim=True) / Q.shape[0]
    return Q * len(Q)


def plain_koleo(x: Tensor) -> Tensor:
    x = F.normalize(x.float(), dim=-1, eps=1e-8)
    with torch.no_grad():
        nearest = (x @ x.T).fill_diagonal_(-1).argmax(1)
    return -torch.log(F.pairwise_distance(x, x[nearest], eps=1e-8) + 1e-8).mean()


def our_step(learner: Learner, views: dict[str, Tensor], step: int, clock: Clock) -> float:
    return float(learn(learner, views, step, clock).parts["loss"])


def measure(name: str, config: RunConfig, device: torch.device, step: Callable, peak: float) -> Row:
    """Return one contestant's speed over whole steps, views included, after a warm-up step."""
    learner = new_learner(config, device)
    first = step(learner, new_views(config, learner), 0, Clock())
    clock, count, start = Clock(exact=True), 0, time.perf_counter()
    while count < 3 or time.perf_counter() - start < SECONDS:
        with clock.section("views"):
            views = new_views(config, learner)
        step(learner, views, count + 1, clock)
        count += 1
    _wait(device)
    seconds = (time.perf_counter() - start) / count
    images = len(learner.arrangement.student) * config.train.batch
    sections = {section: 1e3 * value / count for section, value in clock.take().items()}
    share = step_flops(config, len(config.channels)).total / seconds / peak
    return Row(name, images / seconds, sections, share, first)


def cpu_rows(device: torch.device) -> list[Row]:
    config = load_recipe("demo", channels=STAINS)
    peak = matmul_peak(device, torch.float32)
    rows = [measure(name, config, device, step, peak) for name, step in (("kit", our_step), ("plain PyTorch", plain_step))]
    again = [measure(name, config, device, step, peak) for name, step in (("kit", our_step), ("plain PyTorch", plain_step))]
    return [max(pair, key=lambda row: row.images_per_s) for pair in zip(rows, again, strict=True)]


def gpu_rows(device: torch.device) -> list[Row]:
    """ViT-S of the winner's recipe at two sides, the largest batch that fits, with and without torch.compile."""
    rows = []
    dtype = torch.bfloat16 if torch.cuda.is_bf16_supported() else torch.float16
    peak = matmul_peak(device, dtype)
    for side in (224, 518):
        for compiled in (False, True):
            batch = 256
            while batch:
                config = load_recipe("sslprofiler-local", [f"crops.global_side={side}", f"train.batch={batch}"], channels=STAINS)
                config = replace(config, train=replace(config.train, compile=compiled))
                try:
                    rows.append(
                        measure(f"ViT-S {side} px, batch {batch}{', compiled' * compiled}", config, device, our_step, peak)
                    )
                    break
                except torch.OutOfMemoryError:
                    torch.cuda.empty_cache()
                    batch //= 2
    return rows


def main() -> None:
    write = sys.stdout.write
    cpu = torch.device("cpu")
    write(f"training step, data resident; CPU, float32, {torch.get_num_threads()} threads\n")
    for row in cpu_rows(cpu):
        write(row.text() + "\n")
    if not torch.cuda.is_available():
        write("GPU: not measured (this machine has none)\n")
        return
    device = torch.device("cuda", torch.cuda.current_device())
    write(torch.cuda.get_device_name(device) + "\n")
    for row in gpu_rows(device):
        write(row.text() + "\n")


if __name__ == "__main__":
    main()
