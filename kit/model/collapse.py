"""Signs that training has collapsed, and when they raise an alarm.

B rows, K prototypes, D embedding.
"""

import math
from typing import NamedTuple

import torch
from torch import Tensor

from kit.model.dino import Targets
from kit.model.limits import LIMITS


class Signs(NamedTuple):
    """How diverse the targets and features of one step are."""

    entropy: float | None  # mean entropy of the teacher's class targets over ln K: 1 is uniform; None without a teacher
    used: float | None  # different strongest prototypes among the targets, over the most there could be; None as above
    rank: float  # effective rank of the teacher's class tokens
    spread: float  # mean sd of the class tokens over their root mean square


ADVICE = "lower train.lr, set loss.head_batchnorm = true, or check the images with kit views"
IN_A_ROW = 4  # readings before an alarm
QUIET = 50  # steps at the start


class Alarm:
    """Raised once for each sign that stays bad: after the warm-up, or earlier if it had been good before.

    A network starts with features that hardly differ (LayerScale 1e-5), so bad signs alone say nothing during the warm-up.
    It cannot see a network that separates plates instead of compounds: only the online k-NN can.
    `state` goes into every checkpoint and comes back by `restore`, so that a resumed run raises the alarms of an unbroken one.
    """

    def __init__(self, warmup: int):
        self._warmup = warmup
        self._bad = {limit.sign: 0 for limit in LIMITS}
        self._alive: set[str] = set()
        self._said: dict[str, str] = {}

    @property
    def said(self) -> list[str]:
        """The alarms raised so far, one line each."""
        return list(self._said.values())

    def state(self) -> dict:
        """Return its state as plain values."""
        return {"bad": dict(self._bad), "alive": sorted(self._alive), "said": dict(self._said)}

    def restore(self, state: dict) -> None:
        """Restore what `state` returned."""
        self._bad |= state["bad"]
        self._alive, self._said = set(state["alive"]), dict(state["said"])

    def read(self, step: int, signs: Signs) -> list[str]:
        """Take the signs of a step and return new alarms, one line each."""
        alarms = []
        for limit in LIMITS:
            value = getattr(signs, limit.sign)
            if value is None:
                continue
            if limit.holds(value):
                self._alive.add(limit.sign)
                self._bad[limit.sign] = 0
                continue
            counts = step > QUIET and (limit.sign in self._alive or step > self._warmup)
            self._bad[limit.sign] += counts
            if self._bad[limit.sign] >= IN_A_ROW and limit.sign not in self._said:
                bound = f"above {limit.above}" if value > limit.above else f"below {limit.below}"
                self._said[limit.sign] = (
                    f"collapse at step {step}: {limit.breach(value)} ({limit.sign} {value:.3g}, {bound}); {ADVICE}"
                )
                alarms.append(self._said[limit.sign])
        return alarms


@torch.no_grad()
def read_signs(targets: Targets | None, cls_BD: Tensor, temperature: float) -> Signs:
    """Return the signs of one step from the teacher's class targets, where there is one, and class tokens of this rank."""
    entropy, used = _of_targets(targets, temperature) if targets is not None else (None, None)
    tokens = cls_BD.double()
    strength = torch.linalg.svdvals(tokens - tokens.mean(0)).square()
    share = strength / strength.sum().clamp(min=1e-300)
    rank = torch.special.entr(share).sum().exp()
    spread = tokens.std(0, correction=0).mean() / tokens.square().mean().sqrt().clamp(min=1e-300)
    return Signs(entropy, used, float(rank), float(spread))


def _of_targets(targets: Targets, temperature: float) -> tuple[float, float]:
    logits = (targets.cls_RH @ targets.cls_KH.T).float() / temperature + targets.cls_bias_K.float()
    target = torch.softmax(logits, dim=1)
    entropy = torch.special.entr(target).sum(1).mean() / math.log(target.shape[1])
    return float(entropy), len(target.argmax(1).unique()) / min(target.shape)
