"""Pieces of messages: numbers with their nouns, the first items of a long list, words of a command, the name probably meant."""

import difflib
import shlex
from collections.abc import Iterable, Sequence
from pathlib import Path

_SHOWN = 5


def count(number: int, noun: str, plural: str | None = None) -> str:
    """Return "1 site", "2 sites"; `plural` where it is not the noun with an s."""
    return f"{number} {noun if number == 1 else plural or noun + 's'}"


def some(items: Sequence[str], shown: int = _SHOWN) -> str:
    """Return the first items of a list and the number of the rest."""
    more = f" and {len(items) - shown} more" if len(items) > shown else ""
    return ", ".join(items[:shown]) + more


def typed(argument: Path | str) -> str:
    """Return a path or a text as a shell takes it for one word, in a command that is printed to be typed."""
    return shlex.quote(str(argument))


def nearest(name: str, names: Iterable[str], *, cutoff: float = 0.5) -> str:
    """Return "; did you mean X?" with the name most like `name`, in whatever case, or nothing where none is."""
    folded: dict[str, list[str]] = {}
    for known in names:
        folded.setdefault(known.casefold(), []).append(known)
    close = difflib.get_close_matches(name.casefold(), list(folded), n=1, cutoff=cutoff)
    if not close:
        return ""
    best = max(folded[close[0]], key=lambda known: difflib.SequenceMatcher(None, name, known).ratio())
    return f"; did you mean {best}?"
