"""Run `kit` as a user would, on plates small enough for a test."""

import io
import logging
import os
import shlex
import signal
import subprocess
import sys
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass

from kit.cli.main import main

TINY = ("plates_per_line=2", "wide_plates_per_line=1", "compounds=4", "dmso_wells=3", "side=112", "missing_wells=0.1")
SHORT = ("train.max_steps=4", "train.batch=8", "train.warmup_steps=1", "crops.global_side=56", "crops.global_area=[0.2,0.4]",
         "model.position_side=56", "embed.side=112")  # fmt: skip


@dataclass(frozen=True)
class Said:
    """What a command printed."""

    stdout: str
    stderr: str


def kit_child(*words: object, code: int = 0) -> Said:
    """Run `kit ...` in a process of its own, as a user would, and see that it ends with `code`."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "KIT_QUIET": "1"}
    command = [sys.executable, "-c", "from kit.cli.main import main; main()", *map(str, words)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == code, f"kit {' '.join(map(str, words))}: exit {done.returncode}\n{done.stdout}{done.stderr}"
    return Said(done.stdout, done.stderr)


def kit_command(*words: object, code: int = 0) -> Said:
    """Run `kit ...` in this process, which has most imports behind it, logging to stderr as it would alone."""
    stdout, stderr, logger = io.StringIO(), io.StringIO(), logging.getLogger()
    handlers, level = logger.handlers[:], logger.level
    logger.handlers.clear()  # so that the command line sets up its own
    try:
        with redirect_stdout(stdout), redirect_stderr(stderr):
            kit_here(shlex.join(map(str, words)), code)
    except AssertionError as error:
        raise AssertionError(f"{error}\n{stdout.getvalue()}{stderr.getvalue()}") from error
    finally:
        logger.handlers[:] = handlers
        logger.setLevel(level)
    return Said(stdout.getvalue(), stderr.getvalue())


def kit_here(words: str, code: int = 0) -> None:
    """Run `kit ...` in this process under pytest's capture, and see that it ends with `code`."""
    sigterm, argv = signal.getsignal(signal.SIGTERM), sys.argv
    sys.argv = ["kit", *shlex.split(words)]
    try:
        main()
        ended = 0
    except SystemExit as end:
        ended = end.code
    finally:
        signal.signal(signal.SIGTERM, sigterm)
        sys.argv = argv
    assert ended == code, f"kit {words}: exit {ended}"


def paragraph(text: str, plate: str) -> str:
    """Return the lines of an ingest report that speak of one plate."""
    return next(part for part in text.replace("\nBR", "\n\nBR").split("\n\n") if part.startswith(plate))


def settings(values) -> list[str]:
    return [word for value in values for word in ("--set", value)]
