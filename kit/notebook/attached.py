"""Find what is attached to a notebook, by its name alone, wherever Kaggle mounts it."""

import re
from pathlib import Path

from kit.errors import UsageError
from kit.words import nearest, some

# Below the input folder: data sets and outputs at first; later each kind in a folder of its own, most below their owner's name.
_PLACES = ("{name}", "competitions/{name}", "datasets/*/{name}", "notebooks/*/{name}", "models/*/{name}")
_SPLIT = re.compile(r"-\d+")


def attached(inputs: Path, name: str) -> Path:
    """Return the file or folder NAME or NAME/PATH, NAME being a data set, a notebook's output or the competition.

    Raises:
        UsageError: nothing, or more than one thing, of this name is attached, or it holds no such path.
    """
    first, _, rest = name.partition("/")
    found = _matches(inputs, first)
    if not found:
        there = sorted({path.name for path in _matches(inputs, "*")} - {"competitions", "datasets", "notebooks", "models"})
        holds = f"{nearest(first, there)}; there: {some(there)}" if there else ", nothing is"
        raise UsageError(f"{first} is not attached below {inputs}{holds}")
    if len(found) > 1:
        raise UsageError(f"two things of the name {first} are attached: {found[0]} and {found[1]}; remove one")
    path = found[0] / rest
    if not path.exists():
        inside = sorted(other.name for other in found[0].iterdir()) if found[0].is_dir() else []
        raise UsageError(f"{found[0]} holds no {rest}{nearest(rest, inside)}; it holds: {some(inside) or 'nothing'}")
    return path


def attached_parts(inputs: Path, name: str) -> list[Path]:
    """Return the folders NAME, NAME-2, NAME-3 ...: one thing in as many data sets as it takes.

    Raises:
        UsageError: none is attached.
    """
    parts = [path for path in _matches(inputs, f"{name}-*") if _SPLIT.fullmatch(path.name.removeprefix(name))]
    parts.sort(key=lambda path: int(path.name.rpartition("-")[2]))
    whole = _matches(inputs, name)
    return [*whole, *parts] or [attached(inputs, name)]  # the latter tells what is there


def _matches(inputs: Path, name: str) -> list[Path]:
    found = {path: None for place in _PLACES for path in sorted(inputs.glob(place.format(name=name)))}
    return list(found)
