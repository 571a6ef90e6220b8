"""Building blocks of the configuration tables."""

from dataclasses import field
from typing import TypeVar

from kit.errors import UsageError

T = TypeVar("T")


def setting(default: T, meaning: str) -> T:
    """Return a dataclass field with its default and its meaning, which `kit recipes` and docs/settings.md show."""
    return field(default=default, metadata={"meaning": meaning})


def refuse(table: str, key: str, value: object, need: str) -> UsageError:
    """Return the error of a value that contradicts another one."""
    return UsageError(f"{table}.{key} = {value}: need {need}")
