"""The allowed ranges of configuration values, written next to the field's type: `lr: Annotated[float, POSITIVE]`."""

import functools
import typing
from collections.abc import Callable
from dataclasses import dataclass

from kit.errors import UsageError


@dataclass(frozen=True, slots=True)
class Need:
    """A range: its wording in messages, and whether a value is in it."""

    words: str
    holds: Callable[[typing.Any], bool]

    def checked(self, value: typing.Any) -> typing.Any:
        """Return the value. Raises ValueError: it is out of range; the message starts with the value."""
        if not self.holds(value):
            raise ValueError(f"{value}: need {self.words}")
        return value


POSITIVE = Need("more than 0", lambda value: value > 0)
AT_LEAST_1 = Need("at least 1", lambda value: value >= 1)
ZERO_OR_MORE = Need("0 or more", lambda value: value >= 0)
PIXELS = Need("at least 1 pixel", lambda value: value >= 1)
PROBABILITY = Need("a probability, 0 to 1", lambda value: 0 <= value <= 1)
SHARE = Need("a share, 0 to 1", lambda value: 0 <= value <= 1)
MOMENTUM = Need("a momentum, 0 to 1", lambda value: 0 <= value <= 1)
MOMENTA = Need("momenta, 0 to 1", lambda values: all(0 <= value <= 1 for value in values))
PROBABILITIES = Need("probabilities", lambda values: all(0 <= value <= 1 for value in values))
POSITIVE_PAIR = Need("more than 0", lambda values: min(values) > 0)
ASPECTS = Need("0 < min <= max", lambda pair: 0 < pair[0] <= pair[1])
AREAS = Need("0 < min <= max <= 1", lambda pair: 0 < pair[0] <= pair[1] <= 1)
SHARES = Need("0 <= min <= max <= 1", lambda pair: 0 <= pair[0] <= pair[1] <= 1)


def one_of(*words: str) -> Need:
    """Return the range of a few words."""
    return Need(" or ".join([", ".join(words[:-1]), words[-1]]), lambda value: value in words)


def check_ranges(config: typing.Any, table: str = "") -> None:
    """Check that every field of a configuration dataclass is in its range.

    Raises:
        UsageError: naming every field of `table` that is not.
    """
    prefix = f"{table}." if table else ""
    values = [(key, need, getattr(config, key)) for key, need in _needs(config.__class__)]
    wrong = [f"{prefix}{key} = {value}: need {need.words}" for key, need, value in values if not need.holds(value)]
    if wrong:
        raise UsageError("; ".join(wrong))


@functools.cache
def _needs(cls: type) -> tuple[tuple[str, Need], ...]:
    hints = typing.get_type_hints(cls, include_extras=True)
    return tuple((key, need) for key, hint in hints.items() for need in getattr(hint, "__metadata__", ()))
