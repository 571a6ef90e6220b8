"""The command line shared by the trials."""

import argparse
import os
import sys
from collections.abc import Callable
from pathlib import Path

from kit.errors import KitError, StoppedCleanly, UsageError


def run(name: str, purpose: str, default: str, action: Callable[..., str], **texts: str) -> None:
    """Parse, call `action(folder, out, seeds=, settings=, say=)`, print its text; end with kit's exit codes.

    Args:
        name: of the trial, and of its output folder.
        default: the data's folder within $KIT_REAL_DATA, taken where no folder is given.
        texts: options that the trial has besides, each a text, and their help.
    """
    parser = new_parser(name, purpose)
    real = os.environ.get("KIT_REAL_DATA")
    folder = Path(real) / default if real else None
    parser.add_argument(
        "folder", type=Path, nargs="?" if folder else None, default=folder, help=f"default: $KIT_REAL_DATA/{default}"
    )
    for option, about in texts.items():
        parser.add_argument(f"--{option}", default="", help=about)
    options = parser.parse_args()
    more = {option: getattr(options, option) for option in texts}
    finish(lambda: action(options.folder, options.out, seeds=options.seeds, settings=options.settings, say=say, **more))


def new_parser(name: str, purpose: str) -> argparse.ArgumentParser:
    """Return a parser of the options that every trial has: seeds (a range), out, settings."""
    parser = argparse.ArgumentParser(prog=f"python -m kit.trials.{name}", description=purpose)
    parser.add_argument("--seeds", type=_seeds, default=range(3), help="how many, or first-last: 5-7; default: 3")
    parser.add_argument("--out", type=Path, default=Path("trials") / name)
    parser.add_argument(
        "--set", dest="settings", action="append", default=[], metavar="KEY=VALUE", help="on top of the trial's own"
    )
    return parser


def _seeds(text: str) -> range:
    first, dash, last = text.partition("-")
    if not first.isdecimal() or not (last.isdecimal() if dash else int(first)):
        raise argparse.ArgumentTypeError(f"{text}: need a whole number, at least 1, or first-last")
    seeds = range(int(first), int(last) + 1) if dash else range(int(first))
    if not seeds:
        raise argparse.ArgumentTypeError(f"{text}: the last seed is below the first")
    return seeds


def finish(action: Callable[[], str]) -> None:
    """Print the text that `action` returns, or its error in one line with kit's exit code."""
    try:
        text = action()
    except StoppedCleanly as stop:
        _end(str(stop), 75)
    except KitError as error:
        _end(str(error), 2 if isinstance(error, UsageError) else 1)
    sys.stdout.write(text + "\n")


def say(line: str) -> None:
    """Report the trial's progress."""
    sys.stderr.write(line + "\n")


def _end(message: str, code: int) -> None:
    sys.stderr.write(f"kit: {message}\n")
    sys.exit(code)
