"""Train a head, or a whole network: AdamW under a one-cycle schedule; rate, decay and dropout from a grid by held-out images.

N images, L classes. Labels are yes or no for each class, [N, L]; `exclusive`: each image has exactly one.
"""

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from kit.probes.classify import macro_f1
from kit.streams import Stream, torch_seed

Batches = Callable[[np.ndarray, int], Tensor]  # images and the epoch -> what the model is shown of them


@dataclass(frozen=True, kw_only=True, slots=True)
class Schedule:
    """How a head is trained: AdamW (.9, .999) under torch's one cycle; the paper gives no numbers, these are ours."""

    epochs: int = 30
    least_steps: int = 60  # more epochs, where so few images are labelled
    batch: int = 64
    rates: tuple[float, ...] = (1e-3, 1e-2)
    decays: tuple[float, ...] = (1e-4, 1e-1)
    drops: tuple[float, ...] = (0.0,)  # shares of dropout, of models that have it


def loss_of(logit_BL: Tensor, said_BL: Tensor, exclusive: bool) -> Tensor:
    """Return the softmax cross-entropy of images of one class, or the mean of yes or no over classes."""
    if exclusive:
        return F.cross_entropy(logit_BL, said_BL.argmax(dim=1))
    return F.binary_cross_entropy_with_logits(logit_BL, said_BL.to(logit_BL.dtype))


def fit(
    model: nn.Module, batches: Batches, said_NL: Tensor, rows: np.ndarray, schedule: Schedule,
    *, rate: float, decay: float, exclusive: bool, seed: int,
) -> nn.Module:  # fmt: skip
    """Train the model on these rows of the images, and return it in evaluation mode."""
    size = min(schedule.batch, len(rows))
    steps = len(rows) // size
    epochs = max(schedule.epochs, -(-schedule.least_steps // steps))
    optimiser = torch.optim.AdamW(model.parameters(), lr=rate, weight_decay=decay)
    cycle = torch.optim.lr_scheduler.OneCycleLR(optimiser, max_lr=rate, total_steps=epochs * steps + 1, cycle_momentum=False)
    rng = np.random.default_rng(seed)
    model.train()
    with torch.random.fork_rng(devices=[]):  # of dropout
        torch.manual_seed(torch_seed(seed, Stream.PROBES))
        for epoch in range(epochs):
            order = rng.permutation(rows)
            for some in np.split(order[: steps * size], steps):
                optimiser.zero_grad()
                loss_of(model(batches(some, epoch)), said_NL[some], exclusive).backward()
                optimiser.step()
                cycle.step()
    return model.eval()


def of_grid(
    make: Callable[[], nn.Module], batches: Batches, shown: Callable[[np.ndarray], Tensor], said_NL: Tensor,
    train: np.ndarray, held: np.ndarray, schedule: Schedule, *, exclusive: bool, seed: int,
) -> tuple[nn.Module, Schedule]:  # fmt: skip
    """Return the model whose F1 on the held-out rows is best, of equals the first, and the schedule of its choice alone.

    make: a new model, the same every time. batches: what trains. shown: the middle of images, which scores.
    """
    best, found, chosen = -1.0, make(), schedule
    for rate, decay, drop in itertools.product(schedule.rates, schedule.decays, schedule.drops):
        model = fit(
            _dropping(make(), drop), batches, said_NL, train, schedule, rate=rate, decay=decay, exclusive=exclusive, seed=seed
        )
        f1 = macro_f1(said_NL[held].numpy(), named(probabilities(model, shown, held, exclusive), exclusive))
        if f1 > best:
            best, found, chosen = f1, model, replace(schedule, rates=(rate,), decays=(decay,), drops=(drop,))
    return found, chosen


def _dropping(model: nn.Module, share: float) -> nn.Module:
    for module in model.modules():
        if isinstance(module, nn.Dropout):
            module.p = share
    return model


@torch.inference_mode()
def probabilities(
    model: nn.Module, shown: Callable[[np.ndarray], Tensor], rows: np.ndarray, exclusive: bool, batch: int = 256
) -> np.ndarray:
    """Return the probability of each class for these images, float32 [rows, L]."""
    parts = [model(shown(some)) for some in np.array_split(rows, -(-len(rows) // batch))]
    logit_NL = torch.cat(parts).float()
    return (logit_NL.softmax(dim=1) if exclusive else logit_NL.sigmoid()).numpy()


def named(probability_NL: np.ndarray, exclusive: bool) -> np.ndarray:
    """Return yes or no for each class, int64: the most probable one, or those of at least .5."""
    if exclusive:
        return np.eye(probability_NL.shape[1], dtype=np.int64)[probability_NL.argmax(axis=1)]
    return (probability_NL >= 0.5).astype(np.int64)


def share_of(said_NL: np.ndarray, rows: np.ndarray, share: float, seed: int) -> np.ndarray:
    """Return a share of the rows, at least one of every class that they have."""
    order = np.random.default_rng(seed).permutation(rows)
    chosen = list(order[: round(share * len(order))])
    for label in np.flatnonzero(said_NL[rows].any(axis=0)):
        if not said_NL[chosen, label].any():
            chosen.append(next(row for row in order if said_NL[row, label]))
    return np.sort(np.array(chosen))


def seeded(make: Callable[[], nn.Module], seed: int) -> Callable[[], nn.Module]:
    """Return a maker whose models all start alike."""

    def made() -> nn.Module:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(torch_seed(seed, Stream.PROBES))
            return make()

    return made


def chance_f1(said_NL: Sequence[Sequence[int]] | np.ndarray) -> float:
    """Return the macro-F1 that naming each class as often as it occurs, by chance, is expected to have: the mean share."""
    shares_L = np.asarray(said_NL).mean(axis=0)
    return float(shares_L[shares_L > 0].mean())
