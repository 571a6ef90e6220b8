"""The training loop of one process: from the newest checkpoint to the end of the run, or until it is told to stop."""

import json
import logging
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor

from kit.config import RunConfig
from kit.errors import KitError, StoppedCleanly
from kit.files import write_whole
from kit.images.crops.loader import CropBatch, Crops, Who
from kit.images.store.work import Work
from kit.model.bag import one_channel_samples
from kit.model.checkpoint import Place, best_step, drop_old, put_tensors, save_checkpoint
from kit.model.clock import Clock
from kit.model.collapse import Alarm, read_signs
from kit.model.distributed import Group
from kit.model.knn import validate
from kit.model.learner import Learner, make_learner
from kit.model.metrics import Metrics, memory_gb
from kit.model.official import put_weights, read_weights
from kit.model.precision import precision
from kit.model.run_data import RunData, to_dict
from kit.model.schedules import total_steps
from kit.model.seeded import seeded_trained
from kit.model.stalled import Stalled
from kit.model.step import StepReport, learn
from kit.model.transfer import Lagged, upload
from kit.model.views import make_views
from kit.model.views_figure import draw_views_figure
from kit.progress import progress
from kit.words import count

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class TrainSummary:
    """The result of a finished training."""

    run: str
    folder: Path
    steps: int
    minutes: float
    last: dict = field(default_factory=dict)  # the last line of losses in metrics.jsonl

    def text(self) -> str:
        loss = f", loss {self.last['loss']:.3f}" if "loss" in self.last else ""  # a finished run, resumed, takes no step
        return f"{self.run}: {count(self.steps, 'step')} in {self.minutes:.1f} min{loss}; {self.folder}"


@dataclass(frozen=True)
class _Unread:
    """What a step has left on the device for the host to read once the next step is on its way."""

    step: int
    flags: Lagged  # skipped, rescaled
    parts: dict[str, Tensor]
    who: list[Who]


class Session:
    """Trains, logs, watches and saves. `work` holds the plates of `data` alone, and `crops` are of these."""

    def __init__(self, name: str, work: Work, data: RunData, config: RunConfig, crops: Crops, group: Group, device: torch.device):
        self.name, self.work, self.folder, self.data = name, work, work.run_folder(name), data
        self.config, self.crops, self.group = config, crops, group
        self.mean_C, self.sd_C = (torch.tensor(values, dtype=torch.float32, device=device) for values in (data.mean, data.sd))
        self.steps = total_steps(config.train, crops.steps_per_epoch)
        self.learner = self._make_learner(device)
        self.place = Place(0, 0, 0, 0.0)
        self.alarm = Alarm(self.learner.schedules.warmup)
        self.stalled = Stalled(self.learner.schedules.warmup, config.loss.prototypes)
        self.bad = 0  # steps in a row that were not finite, as far as they were read
        self.unread: _Unread | None = None
        self.wishes: Lagged | None = None  # of the last step's processes: see `_agree`
        self.validation = data.validation() if group.rank == 0 else None
        self.started, self.saved = time.monotonic(), time.monotonic()
        self.earlier = 0.0  # minutes
        self.clock = Clock()
        self.metrics: Metrics | None = None

    def restore(self, record: dict, tensors: dict[str, Tensor]) -> None:
        """Continue from a checkpoint."""
        put_tensors(self.learner, tensors)
        self.learner.scaler.load_state_dict(record["scaler"])
        self.place = Place(**record["place"])
        self.earlier = self.place.minutes
        if "alarm" in record:  # an older checkpoint has none: the alarm starts afresh
            self.alarm.restore(record["alarm"])
            self.bad = record["bad"]
        if "stalled" in record:
            self.stalled.restore(record["stalled"])

    def _make_learner(self, device: torch.device) -> Learner:
        config = self.config
        networks = [seeded_trained(config.model, config.loss, config.inputs, config.seed).to(device) for _ in range(2)]
        if config.model.weights:
            path = Path(config.model.weights)
            put_weights(networks[0].backbone, read_weights(path), path)
        per_epoch, autocast = self.crops.steps_per_epoch, precision(config, device)
        return make_learner(config, *networks, steps=self.steps, steps_per_epoch=per_epoch, group=self.group, autocast=autocast)

    @property
    def first(self) -> bool:
        """Whether this process is the one that writes."""
        return self.group.rank == 0

    def minutes(self) -> float:
        return self.earlier + (time.monotonic() - self.started) / 60

    def run(self, stopping: list[str], max_hours: float | None) -> TrainSummary:
        """Train to the end; `stopping` is checked after every step."""
        if self.alarm.said and self.config.train.on_collapse == "stop" and self.place.step < self.steps:
            raise KitError("; ".join(self.alarm.said) + "; or continue anyway: train.on_collapse = warn")
        if self.first:
            self.metrics = Metrics(self.folder, step=self.place.step, tensorboard=self.config.train.tensorboard)
        line: dict = {}
        bar = progress(total=self.steps, label=f"train {self.name}", unit="step")
        bar.update(self.place.step)
        try:
            for batch in self._batches():
                with self.clock.section("views"):
                    views = self._make_views(batch)
                report = learn(self.learner, views, self.place.step, self.clock)
                self.place = Place(self.place.step + 1, batch.epoch, batch.position, self.minutes())
                bar.update()
                self._read()  # the step before this one: the device has this one to do
                self.unread = _Unread(self.place.step, Lagged(report.flags), report.parts, batch.who)
                due = self.place.step % self.config.train.log_steps == 0 or self.place.step == self.steps
                if due and self._read():
                    line = self._log(report)
                    bar.set_postfix(loss=f"{line['loss']:.3f}", sites=f"{line['sites_per_s']:.1f}/s",
                                    wait=f"{line['data_share']:.0%}", gb=f"{line['memory_gb']:.1f}")  # fmt: skip
                self._save_or_stop(stopping, max_hours)
        finally:
            bar.close()
            if self.metrics:
                self.metrics.close()
        return TrainSummary(self.name, self.folder, self.place.step, self.minutes(), line)

    def _make_views(self, batch: CropBatch) -> dict[str, Tensor]:
        config, names = self.config, self.learner.arrangement.groups
        views = make_views(
            batch, names, config.views, seed=config.seed, channel_groups=config.channel_groups, channels=config.channels,
            mean_C=self.mean_C, sd_C=self.sd_C,
        )  # fmt: skip
        return one_channel_samples(views, len(batch.who)) if config.model.bag else views

    def _batches(self) -> Iterator[CropBatch]:
        """Yield batches from the run's place to its last step; waiting for them is timed as `data`."""
        epoch, position = self.place.epoch, self.place.position
        left = self.steps - self.place.step
        while left > 0:
            source = self.crops.epoch(epoch, start=position)
            try:
                while left > 0:
                    with self.clock.section("data"):
                        batch = next(source, None)
                    if batch is None:
                        break
                    left -= 1
                    yield batch
            finally:
                source.close()
            epoch, position = epoch + 1, 0

    def _read(self) -> bool:
        """Read how the step before went, if that has not been done; return whether its values are finite."""
        if self.unread is None:
            return True
        unread, self.unread = self.unread, None
        with self.clock.section("device"):
            skipped, rescaled = unread.flags.read()
        failed = skipped and not rescaled
        if failed:
            self._count_bad(unread)
        self.bad = self.bad + 1 if failed else 0
        return not failed

    def _count_bad(self, unread: _Unread) -> None:
        """Count a step skipped for a non-finite value; too many in a row stop the run."""
        who = ", ".join(f"{row[0]} {row[1]} site {row[2]}" for row in unread.who[:8])
        what = ", ".join(f"{name} {float(value):g}" for name, value in unread.parts.items())
        log.warning("step %d is not finite and was skipped (%s)", unread.step, what)
        if self.metrics:
            self.metrics.write(unread.step, {"event": "skipped", "who": [list(row) for row in unread.who]})
        if self.bad + 1 >= self.config.train.bad_steps:
            raise KitError(
                f"{self.bad + 1} steps in a row were not finite, the last at step {unread.step} ({what}) with {who}; "
                "lower train.lr, or set train.precision = fp32"
            )

    def _log(self, report: StepReport) -> dict:
        """Write the metrics of a step and look for signs of collapse; return the metrics."""
        seconds = self.clock.take()
        whole = max(sum(seconds.values()), 1e-9)
        signs = read_signs(report.targets, report.watched_PBD[0], report.values.teacher_temperature)
        steps = self.place.step % self.config.train.log_steps or self.config.train.log_steps
        line = {
            **{name: float(value) for name, value in report.parts.items()},
            "grad_norm": {} if report.skipped else {name: float(value) for name, value in report.norms.items()},
            "signs": {sign: value for sign, value in signs._asdict().items() if value is not None},
            **report.values._asdict(),
            "minutes": self.minutes(),
            "seconds": seconds,
            "data_share": seconds.get("data", 0.0) / whole,
            "sites_per_s": steps * self.config.train.batch / whole,
            "memory_gb": memory_gb(self.learner.device),
            "sites_skipped": self.crops.skipped,
        }
        if self.metrics:
            self.metrics.write(self.place.step, line)
        for alarm in self.alarm.read(self.place.step, signs):
            log.warning("%s", alarm)
            if self.metrics:
                self.metrics.write(self.place.step, {"event": "collapse", "what": alarm})
        for warning in self.stalled.read(self.place.step, line):
            log.warning("%s", warning)
            if self.metrics:
                self.metrics.write(self.place.step, {"event": "stalled", "what": warning})
        return line

    def _validates(self) -> bool:
        """Whether the k-NN is due after this step; the same in every process."""
        every = round(self.config.train.knn_epochs * self.crops.steps_per_epoch)
        return self.data.knn is not None and (self.place.step % max(every, 1) == 0 or self.place.step == self.steps)

    def _validate(self) -> bool:
        """Every train.knn_epochs: k-NN over the validation wells and a figure of views; return whether it is the best so far."""
        if self.validation is None or self.metrics is None or not self._validates():
            return False
        with self.clock.section("validation"):
            backbone, statistics = self.learner.teacher.backbone, (self.mean_C, self.sd_C)
            score = validate(backbone, self.work, self.validation, self.config, *statistics, self.learner.autocast)
        facts = {"accuracy": score, "chance": self.validation.chance, "wells": len(self.validation.wells)}
        self.metrics.write(self.place.step, {"event": "knn", **facts})
        figure = self.folder / "figures" / f"views_{self.place.step:08d}.png"
        figure.parent.mkdir(exist_ok=True)
        draw_views_figure(self.work, self.config.views, figure, seed=self.place.step, channels=self.config.channels)
        best = self.folder / "checkpoints" / "best.json"
        before = json.loads(best.read_text())["score"] if best_step(best.parent) >= 0 else -1.0
        if score > before:
            write_whole(best, json.dumps({"step": self.place.step, "score": score}) + "\n")
        return score > before

    def _agree(self, wishes: list[bool], *, now: bool) -> list[bool]:
        """Return what any process wishes: of several the wishes of the step before, so that none waits for its device.

        Where the checkpoint has to be of this step, they wait: at the end, after a validation, with one after every step.
        """
        if self.group.world == 1:
            return wishes
        before, self.wishes = self.wishes, Lagged(self.group.max(upload(torch.tensor(wishes).float(), self.learner.device)))
        read = self.wishes if now or self._validates() or self.config.train.save_minutes == 0 else before
        told = [bool(wish) for wish in read.read()] if read else [False] * len(wishes)
        if any(told):
            self.wishes = None  # they are heeded now, in every process
        return told

    def _save_or_stop(self, stopping: list[str], max_hours: float | None) -> None:
        """Save when it is time, at the end, after the best validation, and before stopping."""
        best = self._validate() if self.first else False
        done = self.place.step == self.steps
        late = max_hours is not None and time.monotonic() - self.started >= max_hours * 3600
        due = best or time.monotonic() - self.saved >= self.config.train.save_minutes * 60
        failed = bool(self.alarm.said) and self.config.train.on_collapse == "stop"
        told, late, due, failed = self._agree([bool(stopping), late, due, failed], now=done)
        if not (done or told or late or due or failed):
            return
        self._read()  # no checkpoint before it is known that the last step was finite
        if self.first:
            statistics = {"mean": self.mean_C.tolist(), "sd": self.sd_C.tolist()}
            watched = {"alarm": self.alarm.state(), "stalled": self.stalled.state(), "bad": self.bad}
            extra = {**statistics, "data": to_dict(self.data), **watched}
            save_checkpoint(self.folder / "checkpoints", self.learner, self.place, extra)
            drop_old(self.folder / "checkpoints", self.config.train.keep)
        self.group.barrier()
        self.saved = time.monotonic()
        if failed:
            raise KitError("; ".join(self.alarm.said) or "another process reported a collapse")
        if (told or late) and not done:
            reason = "SIGTERM" if told else f"--max-hours {max_hours:g}"
            raise StoppedCleanly(
                f"{reason}: stopped cleanly after step {self.place.step} of {self.steps}, everything saved; "
                "the same command with --resume continues"
            )
