"""The configuration a run was made with."""

from typing import TYPE_CHECKING

from kit.config import RunConfig
from kit.errors import KitError
from kit.recipe import load_config

if TYPE_CHECKING:
    from kit.images.store import Work


def run_config(work: "Work", run: str) -> RunConfig:
    """Return the configuration of a run.

    Raises:
        KitError: there is no such run.
    """
    path = work.run_folder(run) / "run.toml"
    if not path.is_file():
        there = sorted(path.parent.name for path in (work.path / "runs").glob("*/run.toml"))
        raise KitError(f"no run {run} in {work.path}; there are: {', '.join(there) or 'none, train one first'}")
    return load_config(path)
