"""--plane and --time: which image of a z-stack or time series a plate was packed from, kept in its container."""

import json
from pathlib import Path

from kit.errors import KitError
from kit.images.source.plates import Pick


def attributes(pick: Pick) -> dict[str, int]:
    """Return what the container says of it: nothing where neither option was given."""
    return {name: value for name, value in (("plane", pick.plane), ("time", pick.time)) if value is not None}


def check_picked(container: Path, pick: Pick) -> None:
    """Check that a container, begun or complete, holds the same plane and time point.

    Raises:
        KitError: it holds others.
    """
    path = container / "zarr.json"
    if not path.is_file():
        return
    try:
        there = json.loads(path.read_text())["attributes"]
    except (json.JSONDecodeError, UnicodeDecodeError, KeyError):
        return  # a damaged container is reported when it is opened
    before = Pick(there.get("plane"), there.get("time"))
    if before != pick:
        raise KitError(f"packing began {_said(before)}, not {_said(pick)}; delete {container} to start over")


def _said(pick: Pick) -> str:
    return (
        "with " + " ".join(f"--{name} {value}" for name, value in attributes(pick).items())
        if pick != Pick()
        else "without --plane"
    )
