"""Train a run. Its files are in WORK/runs/RUN; step.py does one step, loop.py the loop around it."""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import torch

from kit.config import RunConfig
from kit.config.channels import by_channel, grouped
from kit.errors import KitError, UsageError
from kit.files import write_whole
from kit.images.crops.loader import Crops
from kit.images.crops.preparation import Preparation
from kit.images.store.work import Work
from kit.model import run_data
from kit.model.checkpoint import SCHEMA, newest_checkpoint
from kit.model.choices import require_attention
from kit.model.distributed import Group, join_group
from kit.model.loop import Session, TrainSummary
from kit.model.plan import out_of_memory
from kit.model.precision import precision
from kit.recipe import changed_keys, config_to_toml, load_config
from kit.words import nearest

__all__ = ["TrainSummary", "train"]

WATCHING = ("train.keep", "train.save_minutes", "train.log_steps", "train.on_collapse", "train.bad_steps", "train.tensorboard")
SAME_NUMBERS = (  # but for rounding
    "train.compile",
    "train.compile_parts",
    "train.attention",
    "train.channels_last",
    "train.checkpoint_activations",
    "train.micro_batches",
    "loss.chunk_rows",
    "loss.keep_logits_mb",
)
SAME_PIXELS = ("store.bits", "store.codec")
MAY_CHANGE = WATCHING + SAME_NUMBERS + SAME_PIXELS


def train(work: Work, run: str, config: RunConfig, *, resume: bool = False, max_hours: float | None = None) -> TrainSummary:
    """Train `config` on the crops of a work folder into its run folder, and return a summary.

    Args:
        work: an open work folder.
        run: the name of the run.
        resume: go on with an existing run, or start it if absent; without it an existing run is refused.
        max_hours: stop cleanly after this long, everything saved.

    Raises:
        UsageError: no channels; the run exists, or was made with another configuration; no such attention here.
        KitError: what the run owns of the store is gone or packed otherwise; losses that are not finite, a collapse with
            train.on_collapse = "stop", too little memory, or no compiler for train.compile = true.
        StoppedCleanly: SIGTERM or max_hours; the same call with `resume` continues, bit for bit on one CPU process with as many
            torch threads (OMP_NUM_THREADS) as before; the loader's threads do not matter.
    """
    groups = work.only(config.plates or work.plates).groups
    if not config.channels:
        raise UsageError(f"recipe {config.recipe} needs --channels {', '.join(groups)}, all, or names")
    absent = [name for name in config.channels if name not in work.channels]
    if absent:
        there = nearest(absent[0], (*work.channels, *groups))
        raise UsageError(
            f"{work.path} has no channel {absent[0]}{there}; it has: {', '.join(work.channels)} (groups: {', '.join(groups)})"
        )
    if config.model.pretrained and not config.model.weights:
        raise UsageError(
            f"recipe {config.recipe} starts from published weights: give their file, --set model.weights=FILE; or, to start from "
            "random ones, --set model.pretrained=false"
        )
    config = replace(config, store=work.settings, groups=grouped(config.channels, by_channel(groups)))
    group, folder = join_group(), work.run_folder(run)
    _check_folder(folder, run, config, resume=resume)
    found = newest_checkpoint(folder / "checkpoints")
    if found and found[0]["schema"] != SCHEMA:
        raise UsageError(
            f"run {run} was trained with the random streams of an earlier version of kit and cannot be resumed; "
            "it still embeds and scores, or start a new --run"
        )
    data = run_data.own(run, work, config, found[0] if found else None)
    work = work.only(data.plates)
    device = torch.device("cuda", torch.cuda.current_device()) if torch.cuda.is_available() else torch.device("cpu")
    require_attention(config.train.attention, device, precision(config, device), config.model.dim // config.model.heads)
    threads = len(os.sched_getaffinity(0))
    with (
        _plain_errors(config, device, group),
        Crops(work, config.crops, channels=config.channels, batch=config.train.batch, seed=config.seed,
              rank=group.rank, world=group.world, device=device, threads=threads, prepare=Preparation.of_run(config)) as crops,
        _catch_sigterm() as stopping,
    ):  # fmt: skip
        _make_folder(folder, data, config, group)  # after Crops: what it refuses leaves no run behind
        session = Session(run, work, data, config, crops, group, device)
        if found:
            session.restore(*found)
        del found  # gigabytes
        return session.run(stopping, max_hours)


@contextmanager
def _plain_errors(config: RunConfig, device: torch.device, group: Group) -> Iterator[None]:
    """Turn torch's long errors into one line: out of memory, no compiler."""
    try:
        yield
    except torch.OutOfMemoryError as error:
        raise out_of_memory(config, device, group.world) from error
    except RuntimeError as error:
        from torch._dynamo.exc import BackendCompilerFailed  # here: it takes a second to import

        if not isinstance(error, BackendCompilerFailed):
            raise
        what = str(error).splitlines()[0]
        raise KitError(f"train.compile = true, but torch cannot compile here ({what}); set train.compile = false") from error


def _check_folder(folder: Path, run: str, config: RunConfig, *, resume: bool) -> None:
    """Check that an existing run folder holds this run and may be resumed."""
    stored = folder / "run.toml"
    if not stored.is_file() and (folder / "features").is_dir():
        raise UsageError(f"{folder} holds the features of a baseline, not a run: choose another --run")
    if stored.is_file():
        if not resume:
            raise UsageError(f"run {run} exists in {folder}; continue it with --resume, or choose another --run")
        before = load_config(stored)
        before = replace(before, groups=before.groups or grouped(before.channels, {}))  # earlier runs did not record them
        different = changed_keys(before, config, ignore=MAY_CHANGE)
        if different:
            raise UsageError(f"run {run} was started with other values of {', '.join(different)}: see {stored}")


def _make_folder(folder: Path, data: run_data.RunData, config: RunConfig, group: Group) -> None:
    """Create the run folder and its files if they do not exist; no process passes before all have checked it.

    Raises:
        KitError: this process has found other plates than the first.
    """
    stored = folder / "run.toml"
    group.barrier()
    if group.rank == 0:
        (folder / "checkpoints").mkdir(parents=True, exist_ok=True)
        if not stored.is_file() or not (folder / "data.json").is_file():
            run_data.write(folder, data)
        if not stored.is_file():  # last: a run without it has not started
            write_whole(stored, config_to_toml(config))
    group.barrier()
    if group.rank and run_data.read(folder) != data:
        raise KitError(f"{folder / 'data.json'} differs from what process {group.rank} found: do not ingest while a run starts")


@contextmanager
def _catch_sigterm() -> Iterator[list[str]]:
    """Yield a list to which a SIGTERM appends its name."""
    stopping: list[str] = []
    try:
        before = signal.signal(signal.SIGTERM, lambda *_: stopping.append("SIGTERM"))
    except ValueError:  # not the main thread: signals stay with whoever owns them
        yield stopping
        return
    try:
        yield stopping
    finally:
        signal.signal(signal.SIGTERM, before)
