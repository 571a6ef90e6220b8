"""One training step of one configuration, timed: kit's own, or the plain PyTorch composition of the same step.

The data are random crops that stay on the device; views are made anew at each step. An image is one sample of the batch, with
all the views that its recipe takes. The rate of the card is that of a large matrix product, measured in the same run.
"""

import gc
import math
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field

import torch
from torch import Tensor

from kit.bench.plain import Plain
from kit.config import CHANNELS, RunConfig
from kit.images.crops.groups import GROUPS, LOCAL
from kit.model.bag import one_channel_samples
from kit.model.clock import Clock
from kit.model.cost import step_flops, step_memory
from kit.model.learner import Learner, make_learner
from kit.model.precision import precision
from kit.model.seeded import seeded_trained
from kit.model.step import learn
from kit.model.transfer import Lagged
from kit.model.views import make_view

STAINS = CHANNELS[:5]
KIT, PLAIN = "kit", "plain PyTorch"
SPLIT_STEPS = 2  # further steps, with the device waited for at every edge, for the split
Step = Callable[[dict[str, Tensor], int, Clock], Tensor]


@dataclass(frozen=True)
class Row:
    """What was measured of one contestant."""

    name: str
    contestant: str
    batch: int
    steps: int
    seconds: float  # of a step
    cpu_seconds: float  # of a step, all threads of this process
    tflop: float  # of a step, counted from the configuration
    peak_share: float | None  # FLOP/s over the measured rate of a matrix product
    sections: dict[str, float] = field(default_factory=dict)  # ms of a step
    memory_gb: float | None = None  # peak of the device's tensors; None on a CPU
    planned_gb: float | None = None  # what `kit plan` says
    loss: float = math.nan  # of the first step

    @property
    def images_per_s(self) -> float:
        return self.batch / self.seconds

    def as_dict(self) -> dict:
        return {**asdict(self), "images_per_s": self.images_per_s}

    def text(self) -> str:
        parts = ", ".join(f"{name} {ms:.0f}" for name, ms in self.sections.items())
        memory = "" if self.memory_gb is None else f"  {self.memory_gb:.1f} GB (planned {self.planned_gb:.1f})"
        share = "" if self.peak_share is None else f"  {self.peak_share:4.0%} of the matmul rate"
        return (
            f"{self.name}, batch {self.batch}, {self.contestant}: {self.images_per_s:.4g} img/s, {1e3 * self.seconds:.4g} ms"
            f"{share}{memory}  loss {self.loss:.4f}  ms: {parts}"
        )


def wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize()


def matmul_rate(device: torch.device, dtype: torch.dtype) -> float:
    """Return the FLOP/s of the fastest of a few square products of random numbers in `dtype`."""
    best = 0.0
    for side in (512,) if device.type == "cpu" else (4096, 8192):
        a, b = (torch.randn(side, side, device=device).to(dtype) for _ in range(2))
        for _ in range(10):
            wait(device)
            start = time.perf_counter()
            a @ b
            wait(device)
            best = max(best, 2 * side**3 / (time.perf_counter() - start))
    return best


def new_learner(config: RunConfig, device: torch.device) -> Learner:
    networks = [seeded_trained(config.model, config.loss, config.inputs, 0).to(device) for _ in range(2)]
    return make_learner(config, *networks, steps=1000, steps_per_epoch=100, autocast=precision(config, device))


class Views:
    """Makes the views of a step from random crops that stay on the device."""

    def __init__(self, config: RunConfig, learner: Learner):
        self._config, self._device = config, learner.device
        B, C, crops = config.train.batch, len(config.channels), config.crops
        self._mean_C, self._sd_C = (torch.full((C,), value, device=self._device) for value in (0.5, 0.3))
        self._crops = {}
        for i, name in enumerate(learner.arrangement.groups):
            rows, side = (B * crops.local_crops, crops.local_side) if name == LOCAL else (B, crops.global_side)
            generator = torch.Generator(self._device).manual_seed(i)
            size = (rows, C, side, side)
            pixels = torch.randint(0, 256, size, dtype=torch.uint8, device=self._device, generator=generator)
            self._crops[name] = pixels, pixels.sum((2, 3), dtype=torch.int64), torch.arange(rows) + 2**20 * i

    def make(self, step: int) -> dict[str, Tensor]:
        """Return the views of a step, float [B, C, P, P] by name."""
        config = self._config
        views = {
            name: make_view(*crops, config.views, seed=step, role=GROUPS[name].role, channel_groups=config.channel_groups,
                            channels=config.channels, mean_C=self._mean_C, sd_C=self._sd_C)
            for name, crops in self._crops.items()
        }  # fmt: skip
        return one_channel_samples(views, config.train.batch) if config.model.bag else views


def contender(contestant: str, learner: Learner) -> Step:
    """Return what takes a step and gives its loss."""
    if contestant == PLAIN:
        return Plain(learner).step

    def ours(views: dict[str, Tensor], step: int, clock: Clock) -> Tensor:
        return learn(learner, views, step, clock).parts["loss"]

    return ours


def measure(
    name: str, contestant: str, config: RunConfig, device: torch.device, *, rate: float | None, seconds: float, split: bool = True
) -> Row:
    """Return one contestant's speed over whole steps, views included, after two steps to warm up.

    Args:
        rate: FLOP/s of the device's matrix product; None: unknown.
        seconds: how long to measure, at least three steps.
        split: also measure where the time goes.
    """
    learner = new_learner(config, device)
    views, take = Views(config, learner), contender(contestant, learner)
    loss = float(take(views.make(0), 0, Clock()))
    take(views.make(1), 1, Clock())
    wait(device)
    count, start, cpu = 0, time.perf_counter(), time.process_time()
    before: Lagged | None = None
    while count < 3 or time.perf_counter() - start < seconds:
        done = Lagged(take(views.make(count + 2), count + 2, Clock()))
        if before:
            before.read()  # as a training run does: the step before, while this one is under way
        before, count = done, count + 1
    wait(device)
    each, busy = (time.perf_counter() - start) / count, (time.process_time() - cpu) / count
    memory = torch.cuda.max_memory_allocated(device) / 1e9 if device.type == "cuda" else None
    sections = _split(views, take, count + 2) if split else {}
    channels, half = config.view_channels, learner.autocast is not None
    tflop = step_flops(config, channels).total / 1e12
    return Row(
        name, contestant, config.train.batch, count, each, busy, tflop,
        None if rate is None else tflop * 1e12 / each / rate,
        sections, memory, step_memory(config, channels, half=half).total / 1e9, loss,
    )  # fmt: skip


def _split(views: Views, take: Step, first: int) -> dict[str, float]:
    clock = Clock(exact=True)
    for step in range(first, first + SPLIT_STEPS):
        with clock.section("views"):
            made = views.make(step)
        take(made, step, clock)
    return {name: 1e3 * value / SPLIT_STEPS for name, value in clock.take().items()}


def at_largest_batch(most: int, device: torch.device, take: Callable[[int], Row]) -> Row:
    """Return `take(batch)` for the largest batch of `most` and its halves that fits the memory.

    Raises:
        OutOfMemoryError: not even a batch of 1 fits.
    """
    batch = most
    while True:
        try:
            return take(batch)
        except torch.OutOfMemoryError:
            if batch == 1:
                raise
            batch //= 2
        finally:
            free(device)


def free(device: torch.device) -> None:
    """Give back what the last contestant took, so that the next starts from nothing."""
    gc.collect()
    if device.type == "cuda":
        torch.compiler.reset()
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats(device)
