"""A recipe that fits a machine: what costs nothing of the result first, then the length, then the size of the views.

The winners' table weighs the last two: 518 px instead of 224 gave 9.3 points, 400 epochs instead of 100 gave 1.2. So the epochs
go first, to a quarter at most, and then pixels.
"""

import functools
import json
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from kit.config import RunConfig
from kit.errors import KitError
from kit.model.cost import step_memory, ways_to_fit
from kit.model.machines import Machine
from kit.model.networks import Network, hours_of, networks_of

if TYPE_CHECKING:
    from kit.images.store.work import Work

LEAST_SHARE = 0.25  # of the epochs, before views become smaller
ERROR = 1.1  # of planned memory; docs/results/2026-11-21-memory.md: to within a tenth
LEAST_SIDE = 224  # pixels, DINOv2's own; views become no smaller
_SHOWN_SIDES = 6

Rebuild = Callable[[Sequence[str]], RunConfig]
Networks = Callable[[RunConfig], list[Network]]


@dataclass(frozen=True)
class _Candidate:
    """A side of the global views: the settings that make it fit the memory, and the share of the length that fits the hours."""

    side: int
    settings: tuple[str, ...]
    config: RunConfig
    share: float

    @property
    def length(self) -> int:
        """Epochs, or steps where the recipe counts these."""
        return math.floor(self.share * _length(self.config) * (1 + 1e-12))


@dataclass(frozen=True)
class Fitted:
    """A recipe that fits. settings: what was changed, for --set. others: (side, epochs or steps) that would fit as well."""

    config: RunConfig
    settings: tuple[str, ...]
    hours: float  # of all networks, embedding included
    others: tuple[tuple[int, int], ...]


def fit(
    rebuild: Rebuild, kept: frozenset[str], machine: Machine, work: "Work | None", *, hours: float = math.inf,
    by_cell: bool | None = None,
) -> Fitted:  # fmt: skip
    """Return the recipe with what has to be changed so that all its networks fit the machine's memory and the hours.

    Args:
        rebuild: returns the recipe with further `key=value` settings. kept: keys that must stay as they are.
        work, by_cell: as `networks_of`.
        hours: of the whole machine, for training all networks one after the other and embedding with them.

    Raises:
        KitError: nothing fits; the message says what is too much.
    """
    networks = functools.partial(networks_of, work=work, by_cell=by_cell)
    found = list(_candidates(rebuild, kept, machine, networks, hours))
    if not found:
        raise KitError(
            f"no step of {rebuild(()).recipe} fits {machine.usable / ERROR / 1e9:.1f} GB a process, whatever its micro-batches: "
            "lower train.batch, or take a smaller backbone"
        )
    least = 1.0 if kept & {"train.epochs", "train.max_steps"} else LEAST_SHARE
    chosen = next((one for one in found if one.share >= least), found[-1])
    if chosen.length < 1 or (least == 1 and chosen.share < 1):
        raise KitError(_too_short(chosen, networks(chosen.config), machine, hours))
    config = rebuild(settings := (*chosen.settings, *_shorter(chosen, kept)))
    taken = hours_of(networks(config), machine.rate)
    assert taken <= hours, (taken, hours)
    shown = found[:: max(1, math.ceil(len(found) / _SHOWN_SIDES))] if chosen.share < 1 or chosen.side < found[0].side else []
    return Fitted(config, settings, taken, tuple((one.side, one.length) for one in shown if one.length >= 1))


def _candidates(
    rebuild: Rebuild, kept: frozenset[str], machine: Machine, networks_of: Networks, hours: float
) -> Iterator[_Candidate]:
    """Yield what fits the memory, the largest views first."""
    base = rebuild(())
    side, patch = base.crops.global_side, base.model.patch
    for less in range(side, min(side, LEAST_SIDE) - 1, -patch):
        settings = [] if less == side else [f"crops.global_side={less}"]
        if settings and base.embed.side == side and "embed.side" not in kept:
            settings.append(f"embed.side={less}")
        memory = _memory_settings(networks_of(rebuild(settings)), machine, kept)
        if memory is not None:
            config = rebuild(both := (*settings, *memory))
            networks = networks_of(config)
            embedding = sum(one.embed_flops for one in networks) / machine.rate / 3600
            training = hours_of(networks, machine.rate) - embedding
            yield _Candidate(less, both, config, min(1.0, max(0.0, (hours - embedding) / training)))
        if "crops.global_side" in kept:
            return


def _memory_settings(networks: Sequence[Network], machine: Machine, kept: frozenset[str]) -> tuple[str, ...] | None:
    """Return what makes a step of each network fit, the cheapest in time; None where nothing does."""
    largest = max(networks, key=lambda one: _memory(one.config, machine))
    limit = machine.usable / ERROR
    if _memory(largest.config, machine) < limit:
        return ()
    ways = ways_to_fit(largest.config, largest.config.view_channels, limit, world=machine.cards)
    allowed = [text.split() for text, _ in ways if not {word.partition("=")[0] for word in text.split()} & kept]
    return tuple(allowed[0]) if allowed else None


def _memory(config: RunConfig, machine: Machine) -> float:
    return step_memory(config, config.view_channels, world=machine.cards).total


def _length(config: RunConfig) -> float:
    return config.train.max_steps or config.train.epochs


def _shorter(chosen: _Candidate, kept: frozenset[str]) -> list[str]:
    """Return settings that shorten a run; warm-up and the rise of the temperature keep their share of it."""
    if chosen.share >= 1:
        return []
    train, loss, ratio = chosen.config.train, chosen.config.loss, chosen.length / _length(chosen.config)
    values: dict[str, float]
    if train.max_steps:
        values = {"train.max_steps": chosen.length, "train.warmup_steps": math.ceil(train.warmup_steps * ratio)}
    else:
        values = {"train.epochs": chosen.length}
    if not train.warmup_steps:
        values["train.warmup_epochs"] = float(f"{train.warmup_epochs * ratio:.3g}")
    values["loss.teacher_temperature_epochs"] = float(f"{loss.teacher_temperature_epochs * ratio:.3g}")
    return [f"{key}={json.dumps(value)}" for key, value in values.items() if key not in kept]


def _too_short(chosen: _Candidate, networks: Sequence[Network], machine: Machine, hours: float) -> str:
    whole = hours_of(networks, machine.rate)
    length = _length(chosen.config)
    unit = "steps" if chosen.config.train.max_steps else "epochs"
    return (
        f"{chosen.config.recipe} does not fit {hours:g} hours: at {chosen.side} px {length:g} {unit} take {whole:.1f} hours on "
        f"{machine.text}; give more with --hours, or fewer {unit} with --set"
    )
