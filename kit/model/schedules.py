"""Learning rate, weight decay, teacher momentum and temperature at every step, as DINOv2 schedules them."""

from typing import NamedTuple

import numpy as np

from kit.config import LossConfig, TrainConfig


def cosine(first: float, last: float, steps: int, *, warmup: int = 0, start: float = 0.0) -> np.ndarray:
    """Return `steps` values: `warmup` of them linear from `start` to `first` (both reached), then half a cosine towards `last`.

    `last` itself is first reached one step after the end, as in DINOv2.
    """
    warmup = min(warmup, steps)
    rest = np.arange(steps - warmup)
    falling = last + 0.5 * (first - last) * (1 + np.cos(np.pi * rest / max(len(rest), 1)))
    return np.concatenate((np.linspace(start, first, warmup), falling))


def total_steps(train: TrainConfig, steps_per_epoch: int) -> int:
    """Return how many steps the schedules of a run span."""
    return train.max_steps or max(1, round(train.epochs * steps_per_epoch))


class Values(NamedTuple):
    """What the schedules say at one step."""

    lr: float
    last_layer_lr: float
    weight_decay: float
    momentum: float
    teacher_temperature: float


class Schedules:
    """The schedules of a run of `steps` steps, `steps_per_epoch` of them an epoch."""

    def __init__(self, train: TrainConfig, loss: LossConfig, *, steps: int, steps_per_epoch: int):
        def count(epochs: float) -> int:
            return min(steps, int(epochs * steps_per_epoch))

        warmup = min(train.warmup_steps, steps) if train.warmup_steps else count(train.warmup_epochs)
        self.steps, self.warmup = steps, warmup
        self._lr = cosine(train.peak_lr, train.lr_end, steps, warmup=warmup)
        self._last_layer_lr = self._lr.copy()
        self._last_layer_lr[: count(train.freeze_last_layer_epochs)] = 0
        self._weight_decay = cosine(*train.weight_decay, steps)
        self._momentum = cosine(*(train.ema if loss.objective == "dino" else (0.0, 0.0)), steps)  # 0: no teacher of its own
        first, last = loss.teacher_temperature
        rising = np.linspace(first, last, count(loss.teacher_temperature_epochs))
        self._temperature = np.concatenate((rising, np.full(steps - len(rising), last)))

    def at(self, step: int) -> Values:
        """Return the values of a step counted from 0."""
        tables = (self._lr, self._last_layer_lr, self._weight_decay, self._momentum, self._temperature)
        return Values(*(float(table[step]) for table in tables))
