"""A work folder that can be written to, over plates and runs that cannot."""

import re
import shutil
from collections.abc import Iterable, Sequence
from pathlib import Path

from kit.errors import UsageError
from kit.images.ingest.plan import IngestPlan
from kit.images.ingest.run import ingest
from kit.images.store.parts import find_parts, link_store
from kit.images.store.work import Work, open_work

_STEP = re.compile(r"step_(\d+)\.json")


def open_plates(sources: Sequence[Path], work: Path, metadata: Path | None = None) -> Work:
    """Return the work folder `work` over packed plates, which are linked, or over TIFFs, which are packed into it.

    Args:
        sources: a packed store, in one folder or in parts, or one folder of plates.
        metadata: the folder of the official tables, for TIFFs.

    Raises:
        UsageError: several folders, and one of them holds no packed plates.
        KitError: the parts are not of one store.
    """
    packed = [source for source in sources if find_parts(source)]
    if len(sources) > 1 and packed != list(sources):
        other = next(source for source in sources if source not in packed)
        raise UsageError(f"{other} holds no store.toml: only a packed store may lie in several folders")
    if not packed:
        ingest(IngestPlan(sources[0], work, metadata=metadata))
    for source in packed:
        link_store(source, work)
    return open_work(work)


def link_runs(folder: Path, work: Path) -> list[str]:
    """Let trained runs below a read-only folder be runs of a work folder, and return their names: their checkpoints are linked.

    Raises:
        UsageError: there is none.
    """
    runs = _runs([folder])
    if not runs:
        raise UsageError(f"{folder} holds no run: need RUN/run.toml with its checkpoints, as kit train leaves them in WORK/runs")
    for name, run in runs.items():
        target = work / "runs" / name
        target.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(run / "run.toml", target / "run.toml")
        if not (target / "checkpoints").exists():
            (target / "checkpoints").symlink_to(run / "checkpoints")
    return list(runs)


def copy_runs(folders: Iterable[Path], work: Path) -> list[str]:
    """Copy the runs that an earlier session left, so that they can be continued, and say what was found.

    Of a run in several of the folders the one that got furthest counts; one that got as far in `work` stays.
    """
    said = []
    for name, run in _runs(folders).items():
        target = work / "runs" / name
        if _step(run) > _step(target):
            shutil.rmtree(target, ignore_errors=True)
            for path in run.rglob("*"):
                if path.is_file():
                    copy = target / path.relative_to(run)
                    copy.parent.mkdir(parents=True, exist_ok=True)
                    shutil.copyfile(path, copy)
            said.append(f"{name}: step {_step(run)}, from {run}")
    return said


def _runs(folders: Iterable[Path]) -> dict[str, Path]:
    """Return the runs by name: FOLDER/RUN and FOLDER/runs/RUN."""
    found: dict[str, Path] = {}
    for folder in folders:
        for file in sorted([*folder.glob("*/run.toml"), *folder.glob("runs/*/run.toml")]):
            run = file.parent
            if run.name not in found or _step(run) > _step(found[run.name]):
                found[run.name] = run
    return dict(sorted(found.items()))


def _step(run: Path) -> int:
    """Return the step of a run's newest checkpoint, -1 if there is none."""
    steps = [_STEP.fullmatch(path.name) for path in (run / "checkpoints").glob("step_*.json")]
    return max((int(found[1]) for found in steps if found), default=-1)
