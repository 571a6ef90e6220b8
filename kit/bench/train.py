"""Race kit's training step on the CPU against the same step in plain PyTorch: CPU time by part, the ratio, and the losses.

    python -m kit.bench.train [RECIPE] [--set KEY=VALUE ...] [--rounds 5] [--json FILE]

Both contestants live in one process and take turns, step by step, on the same views, from the same weights and with the same
masks; a first step of each is not counted. Times are CPU time of all threads: on a busy machine it is steadier than the clock
on the wall, but a thread that waits for another counts as busy. Steps on a GPU: `python -m kit.bench.steps`.
"""

import argparse
import json
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import torch

from kit.bench.step_case import KIT, PLAIN, STAINS, Views, contender, new_learner
from kit.config import RunConfig
from kit.files import write_whole
from kit.model.clock import Clock
from kit.recipe import load_recipe

PARTS = ("views", "teacher", "student", "losses", "optimiser")


@dataclass(frozen=True)
class Race:
    """Of each contestant, per step: CPU seconds by part, seconds on the wall, the loss."""

    parts: dict[str, list[dict[str, float]]]
    wall: dict[str, list[float]]
    losses: dict[str, list[float]]

    def cpu(self, who: str) -> list[float]:
        """Return the CPU seconds of each step, views apart: they are the same work for both."""
        return [sum(step.values()) - step["views"] for step in self.parts[who]]

    @property
    def ratio(self) -> float:
        """The median over the rounds of kit's CPU time over plain PyTorch's."""
        return median(ours / theirs for ours, theirs in zip(self.cpu(KIT), self.cpu(PLAIN), strict=True))

    @property
    def gap(self) -> float:
        """The largest relative difference of the losses."""
        pairs = zip(self.losses[KIT], self.losses[PLAIN], strict=True)
        return max(abs(ours - theirs) / abs(theirs) for ours, theirs in pairs)

    def text(self) -> str:
        lines = ["CPU ms of a step, medians" + "".join(f"{part:>11}" for part in (*PARTS, "whole")) + "   each step, s"]
        for who in (KIT, PLAIN):
            each = [1e3 * median(step[part] for step in self.parts[who]) for part in PARTS]
            steps = ", ".join(f"{seconds:.3g}" for seconds in self.cpu(who))
            whole = 1e3 * median(self.cpu(who))
            lines.append(f"  {who:23}" + "".join(f"{ms:11.0f}" for ms in (*each, whole)) + f"   {steps}")
        lines.append(
            f"kit takes {self.ratio:.3f} of plain PyTorch's CPU time, median of the rounds; losses agree to {self.gap:.0e}"
        )
        return "\n".join(lines)


def race(config: RunConfig, rounds: int) -> Race:
    """Let both contestants take `rounds` steps in turn after a first one."""
    device = torch.device("cpu")
    found = Race({KIT: [], PLAIN: []}, {KIT: [], PLAIN: []}, {KIT: [], PLAIN: []})
    learners = {who: new_learner(config, device) for who in (KIT, PLAIN)}
    views = Views(config, learners[KIT])
    steps = {who: contender(who, learner) for who, learner in learners.items()}
    for step in range(rounds + 1):
        for who, take in steps.items():
            clock, start = Clock(timer=time.process_time), time.perf_counter()
            with clock.section("views"):
                made = views.make(step)
            loss = float(take(made, step, clock))
            found.losses[who].append(loss)
            if step:
                found.wall[who].append(time.perf_counter() - start)
                found.parts[who].append(clock.take())
    return found


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m kit.bench.train", description=__doc__.partition("\n")[0])
    parser.add_argument("recipe", nargs="?", default="demo", metavar="RECIPE")
    parser.add_argument("--set", dest="settings", action="append", default=[], metavar="KEY=VALUE")
    parser.add_argument("--rounds", type=int, default=5, help="counted steps of each (5)")
    parser.add_argument("--json", type=Path, metavar="FILE")
    given = parser.parse_args(argv)
    if given.rounds < 1:
        parser.error(f"--rounds {given.rounds}: need 1 or more")
    config = load_recipe(given.recipe, given.settings, channels=STAINS)
    head = f"{given.recipe} {' '.join(given.settings)}".strip()
    sys.stdout.write(f"training step, {head}, CPU, {torch.get_num_threads()} threads, torch {torch.__version__}\n")
    found = race(config, given.rounds)
    sys.stdout.write(found.text() + "\n")
    if given.json:
        facts = {
            "recipe": given.recipe,
            "settings": given.settings,
            "threads": torch.get_num_threads(),
            "torch": torch.__version__,
        }
        results = {"parts": found.parts, "wall_s": found.wall, "losses": found.losses, "ratio": found.ratio}
        write_whole(given.json, json.dumps({"schema": 1, **facts, **results}, indent=1) + "\n")


if __name__ == "__main__":
    main()
