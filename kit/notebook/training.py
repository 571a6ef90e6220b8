"""Train one network after the other within the hours of a session; the next session goes on."""

import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from kit.config.channels import channel_names
from kit.errors import KitError, StoppedCleanly
from kit.images.store.work import open_work
from kit.recipe import load_recipe

_KIT = (sys.executable, "-c", "from kit.cli.main import main; main()")
_TORCHRUN = (sys.executable, "-m", "torch.distributed.run", "--standalone", "--no-python", "--nproc-per-node")
_STOPPED = "stopped cleanly after step"  # torchrun hides the exit code 75 behind its own
_SHOWN = 20  # lines of a process that failed


def train_networks(
    work: Path,
    networks: Mapping[str, str],
    recipe: str,
    *,
    settings: Sequence[str] = (),
    hours: float,
    processes: int = 1,
    say: Callable[[str], None],
) -> bool:
    """Train the runs of a work folder, new or begun in an earlier session, and return whether all are finished.

    Args:
        work: the work folder.
        networks: run -> channels, as `kit train --run RUN --channels CHANNELS`; trained in this order.
        recipe: a recipe's name or file; `settings`: KEY=VALUE, as of `kit train --set`.
        hours: of this session, for all of them; a run is stopped in order after a step when they are over.
        processes: one for each GPU, by torchrun; with 1 it is trained in this process, on a CPU bit for bit the same over any
            number of sessions.
        say: takes what is to be printed.

    Raises:
        UsageError: as `kit train`.
        KitError: a training failed.
    """
    end = time.monotonic() + hours * 3600
    for run, channels in networks.items():
        left = max((end - time.monotonic()) / 3600, 1e-9)  # a step at least: a session without one would never end the run
        network = _Network(work, run, channels, recipe, settings, left)
        if not (network.train_here(say) if processes == 1 else network.train_by_torchrun(processes, say)):
            say("This session is over. Save this version, attach its output to the notebook, run it again: it goes on from here.")
            return False
    return True


@dataclass(frozen=True)
class _Network:
    """A run of this session."""

    work: Path
    run: str
    channels: str
    recipe: str
    settings: Sequence[str]
    hours: float

    def train_here(self, say: Callable[[str], None]) -> bool:
        """Train in this process; return whether the run is finished."""
        from kit.model.train import train

        work = open_work(self.work)
        config = load_recipe(self.recipe, self.settings, channels=channel_names(self.channels, groups=work.groups))
        try:
            say(train(work, self.run, config, resume=True, max_hours=self.hours).text())
        except StoppedCleanly as stop:
            say(f"{self.run}: {stop}")
            return False
        return True

    def train_by_torchrun(self, processes: int, say: Callable[[str], None]) -> bool:
        """Train in several processes; return whether the run is finished.

        Raises:
            KitError: one of them failed.
        """
        given = {"work": self.work, "recipe": self.recipe, "channels": self.channels, "run": self.run, "max-hours": self.hours}
        words = ["train", "--resume", *(f"--{name}={value}" for name, value in given.items())]
        words += [f"--set={value}" for value in self.settings]
        lines: list[str] = []
        stopped = ""
        command = [str(word) for word in (*_TORCHRUN, processes, "--", *_KIT, *words)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace") as process:
            try:
                for line in process.stdout or ():
                    lines.append(line.rstrip())
                    stopped = stopped or (lines[-1].removeprefix("kit: ") if _STOPPED in line else "")
                    if not stopped:  # after it torchrun reports at length that its processes ended
                        say(lines[-1])
            except BaseException:  # the notebook is interrupted: the run is saved and stops
                process.terminate()
                raise
        if stopped:
            say(f"{self.run}: {stopped}")
        elif process.returncode:
            told = [line.removeprefix("kit: ") for line in lines if line.startswith("kit: ")]
            reason = told[0] if told else f"exit {process.returncode}"
            raise KitError(f"training {self.run} failed: {reason}", tuple(lines[-_SHOWN:]))
        return not stopped
