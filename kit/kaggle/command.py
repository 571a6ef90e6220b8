"""The kaggle package's own command line, run as a child process; answers.py reads what it prints.

Credentials stay with it: kit puts none on a command line and shows none.
"""

import contextlib
import importlib.util
import os
import re
import shutil
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from kit.errors import KitError
from kit.kaggle.answers import INTERRUPTED, UNREACHABLE, Failure, find_failure, percent_sent
from kit.kaggle.credentials import CREDENTIALS_WAYS, find_credentials, without_secrets
from kit.progress import progress

QUIET_SECONDS = 300.0  # so long without a sign of life, and the command is ended: it has no time limit of its own
_MOST_SECONDS = 48 * 3600.0
_LOOK_SECONDS = 0.1
_MEGABYTE = 1 << 20
_KEPT = 1 << 20  # characters of output: a bar that is redrawn for hours is not kept whole
_TIED = """
import ctypes, os, sys
ctypes.CDLL(None).prctl(1, 9)  # PR_SET_PDEATHSIG, SIGKILL: kept by exec
os.getppid() == int(sys.argv[1]) or os._exit(1)  # it may have died before that
os.execv(sys.argv[2], sys.argv[2:])
"""


class Refused(KitError):
    """A kaggle command failed; `failure` says why."""

    def __init__(self, failure: Failure, way_out: str = ""):
        super().__init__(failure.text(way_out))
        self.failure = failure


class NoSuchCommand(KitError):
    """The kaggle that is installed is too old for a command."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Upload:
    """What a command uploads, for the progress bar: a label, and name -> bytes of each file."""

    label: str
    sizes: dict[str, int]

    def sent(self, stdout: str, stderr: str) -> int:
        """Return how many bytes were sent, by what the command has printed: the files it began, and the bar of the last one."""
        begun = re.findall(r"^Starting upload for file (.+)$", stdout, re.MULTILINE) or list(self.sizes)[:1]
        last = self.sizes.get(begun[-1], 0) if begun else 0
        return sum(self.sizes.get(name, 0) for name in begun[:-1]) + last * (percent_sent(stderr) or 0) // 100


def check_access() -> None:
    """Check that kaggle is installed and finds credentials. Only Kaggle can tell whether they are valid.

    Raises:
        KitError: one of them is missing.
    """
    _check_installed()
    if not find_credentials():
        raise KitError(f"no Kaggle credentials: {CREDENTIALS_WAYS}")


def run(words: list[str], *, way_out: str = "", quiet_seconds: float = QUIET_SECONDS, upload: Upload | None = None) -> str:
    """Run a kaggle command to its end and return what it printed.

    Args:
        way_out: what to do when the server refuses. quiet_seconds: how long it may print nothing. upload: shows how far it is.

    Raises:
        Refused: it failed; one line with the reason, without credentials.
        NoSuchCommand: the installed kaggle does not have it.
        KitError: kaggle is not installed.
    """
    _check_installed()
    script = shutil.which("kaggle", path=str(Path(sys.executable).parent))
    command = [script] if script else [sys.executable, "-m", "kaggle"]
    own = {name: value for name, value in os.environ.items() if not name.startswith("TQDM_")}  # its bar says that an upload began
    child = subprocess.Popen(
        _tied([*command, "-W", *words]),  # -W: no word about a newer version among the answers
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**own, "PYTHONWARNINGS": "ignore", "PYTHONUNBUFFERED": "1"},
    )
    try:
        stdout, stderr, late = _follow(child, quiet_seconds, upload)
    finally:
        child.kill()
        child.wait()
    if late:
        began = percent_sent(stderr) is not None
        failure: Failure | None = Failure(kind=INTERRUPTED if began else UNREACHABLE, message=late, began=began)
    elif child.returncode == 2 and "invalid choice" in stderr:
        raise NoSuchCommand(f"the installed kaggle has no command {' '.join(words[:2])}: pip install -U kaggle")
    else:
        failure = find_failure(child.returncode, stdout, stderr)
    if failure is not None:
        raise Refused(failure, way_out)
    return stdout.strip()


def _tied(command: list[str]) -> list[str]:
    """Return a command that does not outlive this process, however it ends; on Linux alone, else it is as it was."""
    if sys.platform != "linux":
        return command
    return [sys.executable, "-I", "-S", "-c", _TIED, str(os.getpid()), *command]


class _Reader(threading.Thread):
    """Reads a pipe to its end and remembers when something last came."""

    def __init__(self, pipe: IO[bytes]):
        super().__init__(daemon=True)
        self._pipe, self._pieces, self._size = pipe, list[bytes](), 0
        self.last = time.monotonic()
        self.start()

    def run(self) -> None:
        while piece := os.read(self._pipe.fileno(), 1 << 16):
            self._pieces.append(piece)
            self._size += len(piece)
            self.last = time.monotonic()
            while self._size > _KEPT and len(self._pieces) > 1:
                self._size -= len(self._pieces.pop(0))

    def newest(self) -> str:
        """Return the last piece."""
        return self._pieces[-1].decode(errors="replace") if self._pieces else ""

    def text(self) -> str:
        """Return what came, credentials and all; the start is left out where it is too much."""
        return b"".join(self._pieces).decode(errors="replace")


def _follow(child: subprocess.Popen, quiet_seconds: float, upload: Upload | None) -> tuple[str, str, str]:
    """Return stdout, stderr, and why the child had to be ended; empty if it ended by itself."""
    assert child.stdout
    assert child.stderr
    stdout, stderr, start, late = _Reader(child.stdout), _Reader(child.stderr), time.monotonic(), ""
    total = max(1, sum(upload.sizes.values()) // _MEGABYTE) if upload else None
    with progress(total=total, label=upload.label if upload else "", unit=" MB", shown=bool(upload)) as bar:
        while child.poll() is None and not late:
            with contextlib.suppress(subprocess.TimeoutExpired):
                child.wait(_LOOK_SECONDS)
            now = time.monotonic()
            if upload and percent_sent(stderr.newest()) is not None:
                bar.update(max(0, upload.sent(stdout.text(), stderr.newest()) // _MEGABYTE - bar.n))
            if now - max(stdout.last, stderr.last) > quiet_seconds:
                late = f"no answer for {quiet_seconds:.0f} s"
            elif now - start > _MOST_SECONDS:
                late = f"not done after {_MOST_SECONDS / 3600:.0f} hours"
    if late:
        child.kill()
    for reader in (stdout, stderr):
        reader.join(5)
    return without_secrets(stdout.text()), without_secrets(stderr.text()), late


def _check_installed() -> None:
    if importlib.util.find_spec("kaggle") is None:
        raise KitError("the kaggle package is not installed: pip install kaggle")
