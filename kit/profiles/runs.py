"""The runs of a work folder, and the configuration a run was made with."""

from pathlib import Path
from typing import TYPE_CHECKING

from kit.config import RunConfig
from kit.errors import UsageError
from kit.recipe import load_config
from kit.words import nearest, some

if TYPE_CHECKING:
    from kit.images.store.work import Work


def run_config(work: "Work", run: str) -> RunConfig:
    """Return the configuration of a run.

    Raises:
        UsageError: there is no such run, or it was never trained (a baseline has no configuration).
    """
    path = existing_run(work, run) / "run.toml"
    if not path.is_file():
        raise UsageError(f"run {run} of {work.path} has no run.toml: it was not trained")
    return load_config(path)


def existing_run(work: "Work", run: str, *, or_else: str = "") -> Path:
    """Return the folder of an existing run; `or_else` is another way out for the message.

    Raises:
        UsageError: it does not exist; the message lists those that do.
    """
    folder = work.run_folder(run)
    if not folder.is_dir():
        there = sorted(path.name for path in folder.parent.glob("*") if path.is_dir())
        listed = f"; available: {some(there)}" if there else "; it has no runs yet: train one with kit train"
        raise UsageError(f"no run {run} in {work.path}{nearest(run, there)}{listed}{f'; or {or_else}' if or_else else ''}")
    return folder
