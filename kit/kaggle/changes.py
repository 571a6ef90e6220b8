"""What differs between the steps that made two submissions, in a few words."""

from collections import Counter
from typing import Any

from kit.words import some

_PLAIN = ("runs", "config")  # levels of a step that say nothing by themselves
_SHOWN = 6


def changes(before: list[dict[str, Any]], after: list[dict[str, Any]]) -> str:
    """Return what changed from one list of steps to the next: "align.a 0.9 -> 0.7, with whiten, without l2".

    A step that only one of them has is named, not spelled out; empty where nothing changed.
    """
    old, new = _named(before), _named(after)
    said = [f"with {name}{_brief(new[name])}" for name in new if name not in old]
    said += [f"without {name}" for name in old if name not in new]
    for name in new:
        if name in old:
            said += _different(name, _flat(old[name]), _flat(new[name]))
    return some(said, _SHOWN)


def _named(steps: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Return the steps by name, a second one of the same name as name#2."""
    seen: Counter[str] = Counter()
    named = {}
    for step in steps:
        name = str(step.get("step", "step"))
        seen[name] += 1
        key = name if seen[name] == 1 else f"{name}#{seen[name]}"
        named[key] = {field: value for field, value in step.items() if field != "step"}
    return named


def _brief(fields: dict[str, Any]) -> str:
    """Return a step's plain values in brackets."""
    plain = [f"{key} {_short(value)}" for key, value in fields.items() if isinstance(value, str | int | float)]
    return f" ({some(plain, 3)})" if plain else ""


def _different(name: str, old: dict[str, Any], new: dict[str, Any]) -> list[str]:
    keys = [key for key in {**old, **new} if old.get(key) != new.get(key)]
    return [f"{f'{name}.' if name not in _PLAIN else ''}{key} {_short(old.get(key))} -> {_short(new.get(key))}" for key in keys]


def _flat(value: Any, path: str = "") -> dict[str, Any]:
    """Return a nested table as {"a.b": value}, levels that say nothing left out."""
    if not isinstance(value, dict):
        return {path: value}
    flat: dict[str, Any] = {}
    for key, item in value.items():
        flat |= _flat(item, path if key in _PLAIN else f"{path}.{key}" if path else key)
    return flat


def _short(value: Any) -> str:
    text = "none" if value is None else str(value)
    return text if len(text) <= 40 else f"{text[:37]}..."
