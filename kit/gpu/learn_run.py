"""Train a recipe for a stated time and score it on the way. The recipe's epochs are squeezed into the steps there is time for.

N sites, C channels, H W pixels, D features.
"""

import math
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from torch import Tensor

from kit.bench.feeding import endless
from kit.config import RunConfig
from kit.gpu.learn_data import Data
from kit.images.crops.loader import CropBatch, Crops
from kit.images.crops.preparation import Preparation
from kit.model.channel_stats import channel_stats
from kit.model.learner import Learner, make_learner
from kit.model.precision import precision
from kit.model.seeded import seeded_trained
from kit.model.step import learn
from kit.model.vectors import site_vectors
from kit.model.views import make_views

TRIAL = 6  # steps that tell how long one takes, after as many to warm up
POINTS = 6  # of the curve, after the one of random weights


@dataclass
class Curve:
    """The score of a network over its minutes of training: points of minutes, step, loss and a score per question."""

    batch: int = 0
    steps: int = 0  # planned
    sites_per_s: float = 0.0
    waited: float = 0.0  # share of the training time in which the step waited for the loader
    points: list[dict] = field(default_factory=list)


class Trainer:
    """One recipe on one data set: its loader, its statistics, its steps and its scores."""

    def __init__(self, data: Data, config: RunConfig, device: torch.device):
        self.data, self.config, self.device = data, config, device
        mean_C, sd_C = channel_stats(data.work, config)
        self._mean_C, self._sd_C = _tensor(mean_C, device), _tensor(sd_C, device)
        self._pixels = torch.from_numpy(data.pixels())
        self._autocast = precision(config, device)
        self.waited = 0.0  # seconds for the loader

    def learner(self, steps: int) -> Learner:
        """Return a learner at its first step, the recipe's epochs squeezed into `steps`."""
        config = self.config
        networks = [seeded_trained(config.model, config.loss, config.inputs, config.seed).to(self.device) for _ in range(2)]
        epoch = max(1, round(steps / config.train.epochs))
        return make_learner(config, *networks, steps=steps, steps_per_epoch=epoch, autocast=self._autocast)

    def step(self, learner: Learner, batches: Iterator[CropBatch], number: int) -> Tensor:
        """Take one step and return its loss."""
        start = time.perf_counter()
        batch = next(batches)
        self.waited += time.perf_counter() - start
        config, groups = self.config, learner.arrangement.groups
        views = make_views(batch, groups, config.views, seed=config.seed, channel_groups=config.channel_groups,
                           mean_C=self._mean_C, sd_C=self._sd_C)  # fmt: skip
        return learn(learner, views, number).parts["loss"]

    def scores(self, learner: Learner) -> dict[str, float]:
        """Return the scores of the teacher's [CLS ; mean patch token]."""
        network, config, vectors = learner.teacher.backbone, self.config, []
        for start in range(0, len(self._pixels), config.embed.batch):
            site_BCHW = self._pixels[start : start + config.embed.batch]
            vector_BD = site_vectors(network, site_BCHW, mean_C=self._mean_C, sd_C=self._sd_C, side=config.embed.side,
                                     views=config.views, autocast=self._autocast)  # fmt: skip
            vectors.append(vector_BD[:, : 2 * config.model.dim].float().cpu().numpy())
        return self.data.score(np.concatenate(vectors))


def train_for(trainer: Trainer, seconds: float, keep: Callable[[Curve], None]) -> Curve:
    """Train for about `seconds`, scores included; `keep` gets the curve after every point.

    Raises:
        ValueError: the loss is not finite at a point.
    """
    config, stop = trainer.config, time.monotonic() + seconds
    curve = Curve(batch=config.train.batch)
    threads, prepare = len(os.sched_getaffinity(0)), Preparation.of_run(config)
    with Crops(trainer.data.work, config.crops, channels=config.channels, batch=config.train.batch, seed=config.seed,
               device=trainer.device, threads=threads, prepare=prepare) as crops:  # fmt: skip
        batches = endless(crops)
        try:
            each, cost = _rehearse(trainer, batches)
            curve.steps = max(POINTS, int((stop - time.monotonic() - (POINTS + 1) * cost) / each))
            _run(trainer, batches, curve, stop, keep)
        finally:
            batches.close()
    return curve


def _rehearse(trainer: Trainer, batches: Iterator[CropBatch]) -> tuple[float, float]:
    """Return the seconds of a step and of a score, by a learner that is thrown away."""
    learner = trainer.learner(1000)
    for number in range(TRIAL):
        float(trainer.step(learner, batches, number))
    start = time.monotonic()
    for number in range(TRIAL, 2 * TRIAL):
        float(trainer.step(learner, batches, number))
    each, start = (time.monotonic() - start) / TRIAL, time.monotonic()
    trainer.scores(learner)
    return each, time.monotonic() - start


def _run(trainer: Trainer, batches: Iterator[CropBatch], curve: Curve, stop: float, keep: Callable[[Curve], None]) -> None:
    learner, trained, step = trainer.learner(curve.steps), 0.0, 0
    trainer.waited, last = 0.0, None
    curve.points.append({"minutes": 0.0, "step": 0, "loss": None, **trainer.scores(learner)})
    for point in range(1, POINTS + 1):
        start = time.monotonic()
        while step < round(curve.steps * point / POINTS) and (step == 0 or time.monotonic() < stop):
            last = trainer.step(learner, batches, step)
            step += 1
        if last is None or step == curve.points[-1]["step"]:
            return
        loss = float(last)  # waits for the device
        trained += time.monotonic() - start
        if not math.isfinite(loss):
            raise ValueError(f"the loss of step {step} is {loss}")
        curve.points.append({"minutes": trained / 60, "step": step, "loss": loss, **trainer.scores(learner)})
        curve.sites_per_s, curve.waited = step * curve.batch / trained, trainer.waited / trained
        keep(replace(curve))
        if time.monotonic() >= stop:
            return


def _tensor(values: np.ndarray, device: torch.device) -> Tensor:
    return torch.tensor(values, dtype=torch.float32, device=device)
