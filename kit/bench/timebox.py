"""A bench that ends in time and loses nothing: every finding is on disk as soon as it is there."""

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path

from kit.files import write_whole
from kit.kernels.timing import FAULTS, first_line


class Timebox:
    """Runs measurements one after the other until `seconds` are over, and writes what it has after each, text and JSON.

    A measurement starts only if the longest of its kind so far would still fit. A fault ends its own measurement alone.
    """

    def __init__(self, seconds: float, path: Path | None, facts: dict):
        self._stop, self._path = time.monotonic() + seconds, path
        self._longest: dict[str, float] = {}  # seconds, by kind
        self._found = {
            "schema": 1,
            "seconds": seconds if seconds < float("inf") else None,
            **facts,
            "rows": [],
            "left_out": [],
            "finished": False,
        }
        self._save()

    @property
    def rows(self) -> list[dict]:
        """What was found so far; a row with `error` was not measured."""
        return self._found["rows"]

    def run(self, name: str, measure: Callable[[], tuple[dict, str]], *, kind: str = "") -> dict | None:
        """Take one measurement, which returns values for JSON and a line of text; None: no time left, or a fault."""
        start = time.monotonic()
        if start + self._longest.get(kind, 0.0) >= self._stop:
            self._found["left_out"].append(name)
            self._save()
            return None
        try:
            values, line = measure()
        except FAULTS as error:  # kit's own are among them
            what = first_line(error)
            values, line = {"name": name, "error": f"{type(error).__name__}: {what}"}, f"{name}: not measured: {what}"
        self._longest[kind] = max(self._longest.get(kind, 0.0), time.monotonic() - start)
        self.rows.append(values)
        self._save()
        sys.stdout.write(line + "\n")
        sys.stdout.flush()
        return None if "error" in values else values

    def finish(self) -> None:
        """Say what was left out, and mark the file as whole."""
        self._found["finished"] = True
        self._save()
        if self._found["left_out"]:
            sys.stdout.write(f"not measured, no time left: {'; '.join(self._found['left_out'])}\n")

    def _save(self) -> None:
        if self._path is not None:
            write_whole(self._path, json.dumps(self._found, indent=1) + "\n")
