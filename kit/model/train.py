"""Train a run: set up, loop, log, save. Everything a run is lies in WORK/runs/RUN; the step itself is in loop.py."""

import logging
import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor

from kit.config import RunConfig, changed_keys, config_to_toml, load_config
from kit.errors import KitError, StoppedInOrder, UsageError
from kit.files import write_whole
from kit.images.crops import CropBatch, Crops
from kit.model.checkpoint import Place, drop_old, newest_checkpoint, put_tensors, save_checkpoint
from kit.model.clock import Clock
from kit.model.collapse import read_signs
from kit.model.dino import seeded_network
from kit.model.distributed import Group, join_group
from kit.model.loop import Learner, StepReport, learn, make_learner
from kit.model.metrics import Metrics
from kit.model.official import put_weights, read_weights
from kit.model.views import make_view
from kit.progress import progress

ROLES = {"v1": "first", "w": "second", "v2": "second", "local": "local"}
MAY_CHANGE = ("train.keep", "train.save_minutes", "train.log_steps", "train.on_collapse", "train.bad_steps", "train.tensorboard")
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class TrainSummary:
    """What a finished training did."""

    run: str
    folder: Path
    steps: int
    minutes: float
    last: dict = field(default_factory=dict)  # the last line of metrics.jsonl

    def text(self) -> str:
        loss = self.last.get("loss", float("nan"))
        return f"{self.run}: {self.steps} steps in {self.minutes:.1f} min, loss {loss:.3f}; {self.folder}"


def train(
    work, run: str, config: RunConfig, *, resume: bool = False, max_hours: float | None = None, plates=None
) -> TrainSummary:
    """Train `config` on the crops of a work folder into its run folder, and return a summary.

    Args:
        work: an open work folder.
        run: the name of the run.
        resume: go on with an existing run, or start it if absent; without it an existing run is refused.
        max_hours: stop in order after this long, everything saved.
        plates: train on these plates only.

    Raises:
        UsageError: the run exists, or was made with another configuration.
        KitError: the losses are not finite, or collapsed with train.on_collapse = "stop".
        StoppedInOrder: SIGTERM or max_hours; the same call with `resume` goes on, bit for bit on one CPU process.
    """
    group = join_group()
    folder = work.run_folder(run)
    _prepare_folder(folder, run, config, resume=resume, group=group)
    device = torch.device("cuda", torch.cuda.current_device()) if torch.cuda.is_available() else torch.device("cpu")
    mean_C, sd_C = (torch.as_tensor(values, dtype=torch.float32) for values in work.channel_stats(config.channels))
    threads = len(os.sched_getaffinity(0))
    with Crops(work, config.crops, channels=config.channels, batch=config.train.batch, seed=config.seed, plates=plates,
               rank=group.rank, world=group.world, device=device, threads=threads) as crops:  # fmt: skip
        session = _Session(folder, config, crops, mean_C, sd_C, group, device)
        with _catch_sigterm() as stopping:
            return session.run(run, stopping, max_hours)


def total_steps(config: RunConfig, steps_per_epoch: int) -> int:
    """Return how many steps the schedules of a run span."""
    return config.train.max_steps or max(1, round(config.train.epochs * steps_per_epoch))


def precision(config: RunConfig, device: torch.device) -> torch.dtype | None:
    """Return the dtype of mixed precision; None for plain float32."""
    name = config.train.precision
    if name == "auto":
        name = "fp32" if device.type == "cpu" else "bf16" if torch.cuda.is_bf16_supported() else "fp16"
    return {"fp32": None, "bf16": torch.bfloat16, "fp16": torch.float16}[name]


def make_views(batch: CropBatch, learner: Learner, mean_C: Tensor, sd_C: Tensor) -> dict[str, Tensor]:
    """Return the views of a batch that its loss needs, float32 and normalised."""
    config = learner.config
    names = learner.arrangement.views + (("local",) if config.crops.local_crops else ())
    views = {}
    for name in names:
        crops = batch.groups[name]
        views[name] = make_view(
            crops.pixels_BCPP, crops.sums_BC, crops.sample_B, config.views,
            seed=config.seed, role=ROLES[name], channels=config.channels, mean_C=mean_C, sd_C=sd_C,
        )  # fmt: skip
    return views


def _prepare_folder(folder: Path, run: str, config: RunConfig, *, resume: bool, group: Group) -> None:
    """Make the run folder with its run.toml, or check that an existing one is this run."""
    stored = folder / "run.toml"
    if stored.is_file():
        if not resume:
            raise UsageError(f"run {run} exists in {folder}; continue it with --resume, or choose another --run")
        different = changed_keys(load_config(stored), config, ignore=MAY_CHANGE)
        if different:
            raise UsageError(f"run {run} was started with other values of {', '.join(different)}: see {stored}")
    elif group.rank == 0:
        (folder / "checkpoints").mkdir(parents=True, exist_ok=True)
        write_whole(stored, config_to_toml(config))
    group.barrier()


@contextmanager
def _catch_sigterm() -> Iterator[list[str]]:
    """Yield a list that a SIGTERM adds its name to."""
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


class _Session:
    """One process's stay at a run: from the newest checkpoint to the end, or to the moment it is told to stop."""

    def __init__(self, folder, config, crops, mean_C, sd_C, group, device):
        self.folder, self.config, self.crops, self.group = folder, config, crops, group
        self.mean_C, self.sd_C = mean_C.to(device), sd_C.to(device)
        self.steps = total_steps(config, crops.steps_per_epoch)
        networks = [seeded_network(config.model, config.loss, len(config.channels), config.seed).to(device) for _ in range(2)]
        if config.model.weights:
            put_weights(networks[0].backbone, read_weights(Path(config.model.weights)), Path(config.model.weights))
        self.learner = make_learner(
            config,
            *networks,
            steps=self.steps,
            steps_per_epoch=crops.steps_per_epoch,
            group=group,
            autocast=precision(config, device),
        )
        self.place = Place(0, 0, 0, 0.0)
        self.bad = 0
        found = newest_checkpoint(folder / "checkpoints")
        if found:
            record, tensors = found
            put_tensors(self.learner, tensors)
            self.learner.scaler.load_state_dict(record["scaler"])
            self.place = Place(**record["place"])
        self.started, self.saved = time.monotonic(), time.monotonic()
        self.earlier = self.place.minutes

    def minutes(self) -> float:
        return self.earlier + (time.monotonic() - self.started) / 60

    def run(self, name: str, stopping: list[str], max_hours: float | None) -> TrainSummary:
        metrics = Metrics(self.folder, step=self.place.step, tensorboard=self.config.train.tensorboard) if self.first else None
        line: dict = {}
        bar = progress(total=self.steps, label=f"train {name}", unit="step")
        bar.update(self.place.step)
        clock = Clock()
        try:
            for batch in self._batches(clock):
                with clock.section("views"):
                    views = make_views(batch, self.learner, self.mean_C, self.sd_C)
                report = learn(self.learner, views, self.place.step, clock)
                self._note_bad(report, batch)
                self.place = Place(self.place.step + 1, batch.epoch, batch.position, self.minutes())
                bar.update()
                if report.skipped and metrics:
                    metrics.write(self.place.step, {"event": "skipped", "who": [list(row) for row in batch.who]})
                elif self.place.step % self.config.train.log_steps == 0 or self.place.step == self.steps:
                    line = self._line(report, clock)
                    bar.set_postfix(loss=f"{line['loss']:.3f}", wait=f"{line['data_share']:.0%}")
                    if metrics:
                        metrics.write(self.place.step, line)
                self._save_or_stop(stopping, max_hours)
        finally:
            bar.close()
            if metrics:
                metrics.close()
        return TrainSummary(name, self.folder, self.place.step, self.minutes(), line)

    @property
    def first(self) -> bool:
        return self.group.rank == 0

    def _batches(self, clock: Clock) -> Iterator[CropBatch]:
        """Yield batches from the run's place to its last step; waiting for them is timed as `data`."""
        epoch, position = self.place.epoch, self.place.position
        left = self.steps - self.place.step
        while left > 0:
            source = self.crops.epoch(epoch, start=position)
            try:
                while left > 0:
                    with clock.section("data"):
                        batch = next(source, None)
                    if batch is None:
                        break
                    left -= 1
                    yield batch
            finally:
                source.close()
            epoch, position = epoch + 1, 0

    def _note_bad(self, report: StepReport, batch: CropBatch) -> None:
        """Count steps skipped because something was not finite; too many in a row stop the run."""
        self.bad = self.bad + 1 if report.skipped else 0
        if not report.skipped:
            return
        who = ", ".join(f"{row[0]} {row[1]} site {row[2]}" for row in batch.who[:8])
        what = ", ".join(f"{name} {float(value):g}" for name, value in report.parts.items())
        log.warning("step %d is not finite and was skipped (%s)", self.place.step, what)
        if self.bad >= self.config.train.bad_steps:
            raise KitError(
                f"{self.bad} steps in a row were not finite, the last at step {self.place.step} ({what}) with {who}; "
                "lower train.lr, or set train.precision = fp32"
            )

    def _line(self, report: StepReport, clock: Clock) -> dict:
        """Return the metrics of a step."""
        seconds = clock.take()
        whole = sum(seconds.values())
        signs = read_signs(report.targets, report.teacher_cls_PBD[0], report.values.teacher_temperature)
        return {
            **{name: float(value) for name, value in report.parts.items()},
            "grad_norm": {name: float(value) for name, value in report.norms.items()},
            "signs": signs._asdict(),
            **report.values._asdict(),
            "minutes": self.minutes(),
            "seconds": seconds,
            "data_share": seconds.get("data", 0.0) / max(whole, 1e-9),
        }

    def _save_or_stop(self, stopping: list[str], max_hours: float | None) -> None:
        """Save when it is time, at the end, and before stopping in order."""
        done = self.place.step == self.steps
        late = max_hours is not None and time.monotonic() - self.started >= max_hours * 3600
        due = time.monotonic() - self.saved >= self.config.train.save_minutes * 60
        flags = torch.tensor([float(bool(stopping)), float(late), float(due)], device=self.learner.device)
        told, late, due = (bool(flag) for flag in self.group.max(flags).tolist())
        if not (done or told or late or due):
            return
        if self.first:
            extra = {"mean": self.mean_C.tolist(), "sd": self.sd_C.tolist()}
            save_checkpoint(self.folder / "checkpoints", self.learner, self.place, extra)
            drop_old(self.folder / "checkpoints", self.config.train.keep)
        self.group.barrier()
        self.saved = time.monotonic()
        if (told or late) and not done:
            reason = "SIGTERM" if told else f"--max-hours {max_hours:g}"
            raise StoppedInOrder(
                f"{reason}: stopped after step {self.place.step} of {self.steps}, everything saved; "
                "the same command line with --resume goes on"
            )
