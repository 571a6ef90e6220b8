"""Memory of a training step: the estimate of `kit plan` against the operating system's count, on the CPU in float32.

Run it as `python -m kit.bench.memory [RECIPE ...] [--set KEY=VALUE ...] [--as-is]`. Each case runs in its own process: two
steps on random views, the second with the optimiser's moments allocated. The measurement is the peak resident memory (VmHWM)
minus what the process held before the network was built: the interpreter, torch, and whatever a step of a tiny network loads.
The plan counts tensors, so glibc returns every freed tensor at once; with --as-is it keeps some, as in a real run.
GB = 10**9 bytes.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from dataclasses import dataclass, replace

import torch

from kit.bench.resident import status_bytes
from kit.bench.step_case import STAINS, new_learner
from kit.config import RunConfig
from kit.images.crops.groups import LOCAL
from kit.model.bag import one_channel_samples
from kit.model.cost import Memory, step_memory
from kit.model.step import learn
from kit.recipe import load_recipe

RECIPES = ("dinov2-518", "sslprofiler-local")
SETTINGS = ("train.batch=2",)  # under those of --set
STEPS = 2
GIVE_BACK = {"MALLOC_MMAP_THRESHOLD_": "262144"}  # bytes; glibc's own threshold moves up to 32 MB as tensors are freed


@dataclass(frozen=True)
class Row:
    """One case."""

    name: str
    planned: Memory
    measured: float  # bytes
    before: float  # bytes of the process without a network
    seconds: float  # of both steps

    @property
    def ratio(self) -> float:
        """Measured over planned."""
        return self.measured / self.planned.total

    def text(self) -> str:
        return (
            f"{self.name:42} planned {self.planned.text()}; measured {self.measured / 1e9:.2f} GB over {self.before / 1e9:.2f}, "
            f"{self.ratio:.2f} of planned; {self.seconds:.0f} s"
        )


def run_here(config: RunConfig) -> dict:
    """Take the steps in this process and return what they took."""
    model, crops = config.model, config.crops
    small = replace(
        config,
        crops=replace(crops, global_side=model.patch, local_side=model.patch),
        model=replace(model, dim=12 * model.heads, depth=1, position_side=model.patch),
        loss=replace(config.loss, prototypes=16, head_hidden=16, head_bottleneck=16),
    )
    take_steps(small)
    before = status_bytes("VmRSS")
    start = time.perf_counter()
    take_steps(config)
    return {"before": before, "peak": status_bytes("VmHWM"), "seconds": time.perf_counter() - start}


def take_steps(config: RunConfig) -> None:
    """Train a new network for two steps on random views."""
    learner = new_learner(config, torch.device("cpu"))
    B, C, crops = config.train.batch, len(config.channels), config.crops
    views = {name: torch.randn(B, C, crops.global_side, crops.global_side) for name in learner.arrangement.views}
    if crops.local_crops:
        views[LOCAL] = torch.randn(B * crops.local_crops, C, crops.local_side, crops.local_side)
    for step in range(STEPS):
        learn(learner, one_channel_samples(views, B) if config.model.bag else views, step)


def measure(recipe: str, settings: list[str], *, as_is: bool = False) -> Row:
    """Return the planned and the measured memory of a step of a recipe, measured in a fresh process."""
    config = load_recipe(recipe, [*SETTINGS, *settings], channels=STAINS)
    command = [sys.executable, "-m", "kit.bench.memory", "--here", recipe, *[word for s in settings for word in ("--set", s)]]
    environment = dict(os.environ) if as_is else os.environ | GIVE_BACK
    found = json.loads(subprocess.run(command, env=environment, check=True, capture_output=True, text=True).stdout)
    name = f"{recipe}, {'recomputed' if config.train.checkpoint_activations else 'kept'} activations"
    planned = step_memory(config, config.view_channels, half=False)
    return Row(name, planned, found["peak"] - found["before"], found["before"], found["seconds"])


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m kit.bench.memory")
    parser.add_argument("recipes", nargs="*", default=list(RECIPES), metavar="RECIPE")
    parser.add_argument("--set", dest="settings", action="append", default=[], metavar="KEY=VALUE")
    parser.add_argument("--as-is", action="store_true", help="leave the allocator alone")
    parser.add_argument("--here", action="store_true", help=argparse.SUPPRESS)  # one case in this process, printed as JSON
    given = parser.parse_args()
    if given.here:
        config = load_recipe(given.recipes[0], [*SETTINGS, *given.settings], channels=STAINS)
        sys.stdout.write(json.dumps(run_here(config)) + "\n")
        return
    sys.stdout.write(f"training step, CPU, float32, {torch.get_num_threads()} threads, torch {torch.__version__}\n")
    sys.stdout.write(f"settings: {' '.join([*SETTINGS, *given.settings])}{', allocator as it is' * given.as_is}\n")
    for recipe in given.recipes:
        for recompute in ("true", "false"):
            row = measure(recipe, [*given.settings, f"train.checkpoint_activations={recompute}"], as_is=given.as_is)
            sys.stdout.write(row.text() + "\n")
            sys.stdout.flush()


if __name__ == "__main__":
    main()
