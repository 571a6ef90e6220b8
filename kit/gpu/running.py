"""Run a command in its time box: its output goes to a file at once, and at the end of the box it is killed with its children."""

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

GRACE = 2.0  # seconds between the request to end and the kill


@dataclass(frozen=True)
class Ended:
    """How a command ended."""

    seconds: float
    code: int | None  # None: killed at the end of its box
    said: str = ""  # why it did not start

    @property
    def word(self) -> str:
        """`done`, `failed` or `cut`."""
        return "cut" if self.code is None else "failed" if self.code else "done"


def start(command: Sequence[object], log: Path, *, folder: Path, switches: Mapping[str, str]) -> subprocess.Popen:
    """Start a command in `folder`, with `switches` in its environment, its streams to `log`; it leads a process group.

    Raises:
        OSError: it cannot be started.
    """
    words, environment = [str(word) for word in command], {**os.environ, **switches}
    with log.open("ab") as file:
        return subprocess.Popen(words, cwd=folder, env=environment, stdin=subprocess.DEVNULL, stdout=file,
                                stderr=subprocess.STDOUT, start_new_session=True)  # fmt: skip


def run_boxed(command: Sequence[object], seconds: float, log: Path, *, folder: Path, switches: Mapping[str, str]) -> Ended:
    """Run a command for at most `seconds`; arguments as `start`.

    Nothing of it is alive afterwards, unless it has left its process group.
    """
    begin = time.monotonic()
    try:
        child = start(command, log, folder=folder, switches=switches)
    except OSError as error:
        return Ended(time.monotonic() - begin, 127, str(error))
    code = None
    try:
        with contextlib.suppress(subprocess.TimeoutExpired):
            code = child.wait(timeout=max(seconds - GRACE, 0.1))
    finally:
        end_group(child)
    return Ended(time.monotonic() - begin, code)


def end_group(child: subprocess.Popen) -> None:
    """End a child that leads a process group, and the rest of the group: asked first, killed after GRACE."""
    if child.poll() is None:
        _signal(child.pid, signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            child.wait(timeout=GRACE)
    _signal(child.pid, signal.SIGKILL)
    child.wait()


def _signal(group: int, number: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):  # it has ended meanwhile
        os.killpg(group, number)
