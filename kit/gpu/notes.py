"""What a part has found so far, on disk after every finding: a kill loses nothing. And the command line that the parts share."""

import argparse
import json
import sys
import time
from pathlib import Path
from typing import Any

from kit.files import write_whole


class Notes:
    """A dictionary that is written as JSON at every change; `lines` are for the summary."""

    def __init__(self, path: Path | None):
        self._path = path
        self.found: dict[str, Any] = {"lines": []}

    def put(self, **values: Any) -> None:
        """Keep values by name."""
        self.found.update(values)
        self._write()

    def add(self, name: str, value: Any) -> None:
        """Append a value to the list `name`."""
        self.found.setdefault(name, []).append(value)
        self._write()

    def line(self, text: str) -> None:
        """Print a line of text and keep it for the summary."""
        sys.stdout.write(text + "\n")
        sys.stdout.flush()
        self.add("lines", text)

    def _write(self) -> None:
        if self._path is not None:
            write_whole(self._path, json.dumps(self.found) + "\n")


class Options:
    """What every part is told: until when, where its JSON goes, and whether it is a rehearsal on the CPU."""

    def __init__(self, module: str, purpose: str, words: list[str] | None = None):
        parser = argparse.ArgumentParser(prog=f"python -m {module}", description=purpose)
        parser.add_argument("--seconds", type=float, default=60, help="end by itself in this time (60)")
        parser.add_argument("--json", type=Path, metavar="FILE", help="also write what is found here, after each finding")
        parser.add_argument("--prepare", action="store_true", help="only what needs no GPU, ahead of the part itself")
        parser.add_argument("--rehearse", action="store_true", help="on the CPU and small: walks the lines, measures nothing")
        given = parser.parse_args(words)
        self.stop = time.monotonic() + given.seconds
        self.notes = Notes(given.json)
        self.json: Path | None = given.json
        self.prepare: bool = given.prepare
        self.rehearse: bool = given.rehearse

    @property
    def left(self) -> float:
        """Seconds that are left."""
        return self.stop - time.monotonic()
