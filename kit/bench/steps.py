"""Benchmark the training step: ViT-S/14 and ViT-B/14 at 224 and 518 px, kit's against plain PyTorch, and each choice alone.

    python -m kit.bench.steps --seconds 120 --json steps.json [--part sizes|choices] [--device cuda|cpu] [--tiny]

The most important rows come first, and the file is whole after each: a kill loses nothing. Rows of one run are comparable, also
with the rates of a matrix product and of a copy, which are measured first. `--tiny` shrinks every network, to try the command.
"""

import argparse
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import torch

from kit.bench.step_case import KIT, PLAIN, STAINS, Row, at_largest_batch, free, matmul_rate, measure
from kit.bench.step_ops import copy_rate, ops
from kit.bench.timebox import Timebox
from kit.config import RunConfig
from kit.model.cost import step_memory
from kit.model.machines import SPARE
from kit.model.plan import total_memory
from kit.model.precision import precision
from kit.recipe import load_recipe

TINY = ("model.dim=48", "model.depth=2", "model.heads=2", "loss.prototypes=64", "loss.head_hidden=32", "loss.head_bottleneck=16")
TINY_SIDES = {224: 28, 518: 42}


@dataclass(frozen=True)
class Case:
    """A configuration to measure: a recipe at a side, of ViT-S or ViT-B, with one choice switched or none."""

    size: str  # ViT-S or ViT-B
    recipe: str
    side: int
    choice: str = ""  # settings, separated by blanks

    @property
    def name(self) -> str:
        short = "SSLProfiler" if self.recipe.startswith("sslprofiler") else "DINOv2"
        return f"{self.size}/14 {self.side} px {short}" + f", {self.choice}" * bool(self.choice)

    def config(self, batch: int, *, tiny: bool) -> RunConfig:
        recipe = self.recipe + "-base" * (self.size == "ViT-B")
        settings = [f"crops.global_side={TINY_SIDES[self.side] if tiny else self.side}", f"train.batch={batch}"]
        settings += [*TINY, "crops.local_side=14"] if tiny else []
        return load_recipe(recipe, [*settings, *self.choice.split()], channels=STAINS)


SIZES = (
    Case("ViT-S", "sslprofiler-local", 518),
    Case("ViT-S", "dinov2-separate", 224),
    Case("ViT-B", "sslprofiler-local", 518),
    Case("ViT-B", "dinov2-separate", 224),
    Case("ViT-S", "sslprofiler-local", 224),
    Case("ViT-S", "dinov2-separate", 518),
    Case("ViT-B", "sslprofiler-local", 224),
    Case("ViT-B", "dinov2-separate", 518),
)
CHOICES = (  # each alone, on both of the first two cases
    "train.compile=true",
    "train.compile=true train.compile_parts=networks",
    "train.attention=cudnn",
    "train.attention=flash",
    "train.attention=efficient",
    "train.channels_last=true",
    "loss.keep_logits_mb=0",
    "loss.keep_logits_mb=4096",
    "loss.chunk_rows=4096",
    "train.checkpoint_activations=true",
)


def measure_case(
    case: Case, contestant: str, device: torch.device, *, rate: float, seconds: float, most: int, tiny: bool
) -> tuple[dict, str]:
    """Return the row of a case at the largest batch that fits, from `most` down by halves."""
    batch = most
    while batch > 1 and not tiny and not _planned_to_fit(case.config(batch, tiny=tiny), device):
        batch //= 2

    def take(batch: int) -> Row:
        return measure(case.name, contestant, case.config(batch, tiny=tiny), device, rate=rate, seconds=seconds)

    row = at_largest_batch(batch, device, take)
    return row.as_dict(), row.text()


def _planned_to_fit(config: RunConfig, device: torch.device) -> bool:
    half = precision(config, device) is not None
    return step_memory(config, config.view_channels, half=half).total < total_memory(device) * SPARE


def plan_of(part: str) -> Iterator[tuple[Case, str]]:
    """Yield what to measure, the most important first: two sizes and what is most likely to speed them up, then the rest."""
    first = SIZES[:2]
    choices = [(replace(base, choice=choice), KIT) for choice in CHOICES for base in first]
    likely = len(first)  # of the first choice
    if part == "choices":
        yield from ((case, KIT) for case in first)
    else:
        yield from ((case, who) for case in first for who in (KIT, PLAIN))
    if part != "sizes":
        yield from choices[:likely]
    if part != "choices":
        yield from ((case, who) for case in SIZES[2:] for who in (KIT, PLAIN))
    if part != "sizes":
        yield from choices[likely:]


def ratios(rows: list[dict]) -> list[str]:
    """Return, for every row that has its opposite, how many times as fast kit is, per image; and what each choice changes."""
    rate = {(row["name"], row["contestant"]): row["images_per_s"] for row in rows if "images_per_s" in row}
    lines = []
    for (name, who), found in rate.items():
        if who == KIT and (name, PLAIN) in rate:
            lines.append(f"{name}: kit is {found / rate[name, PLAIN]:.2f} x plain PyTorch")
        base, _, choice = name.partition(", ")
        if choice and (base, KIT) in rate:
            lines.append(f"{base}: {choice} is {found / rate[base, KIT]:.2f} x kit as it is")
    return lines


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m kit.bench.steps", description=__doc__.partition("\n")[0])
    parser.add_argument("--seconds", type=float, default=300, help="start no row that would not end in this time (300)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write everything here, after each row")
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--part", choices=("all", "sizes", "choices"), default="all")
    parser.add_argument("--batch", type=int, default=128, help="most samples of a step; halved until it fits (128)")
    parser.add_argument("--each", type=float, default=3.0, help="seconds of measuring a row, at least three steps (3)")
    parser.add_argument("--only", default="", help="rows whose name contains this")
    parser.add_argument("--tiny", action="store_true", help="tiny networks, to try the command")
    given = parser.parse_args(argv)
    if given.device == "cuda" and not torch.cuda.is_available():
        parser.error("--device cuda: torch sees no GPU here; --device cpu measures on the CPU")
    run(given)


def run(given: argparse.Namespace) -> None:
    """Measure the machine, then every op and row that is asked for and fits the time."""
    device = torch.device(given.device)
    dtype = precision(load_recipe("sslprofiler-local", channels=STAINS), device) or torch.float32
    rate = matmul_rate(device, dtype)
    facts = {**machine(device), "dtype": str(dtype).removeprefix("torch."), "tiny": given.tiny}
    facts |= {"matmul_tflops": rate / 1e12, "copy_gb_s": copy_rate(device) / 1e9}
    sys.stdout.write(
        ", ".join(f"{name} {value:.4g}" if isinstance(value, float) else f"{name} {value}" for name, value in facts.items())
    )
    sys.stdout.write("\n")
    box = Timebox(given.seconds, given.json, facts)
    for name, op in ops(device, dtype, tiny=given.tiny) if given.part != "sizes" else ():
        if given.only in name:
            box.run(name, op, kind="op")
            free(device)
    row = partial(measure_case, device=device, rate=rate, seconds=given.each, most=given.batch, tiny=given.tiny)
    for case, who in plan_of(given.part):
        if given.only in f"{case.name}, {who}":
            box.run(f"{case.name}, {who}", partial(row, case, who), kind="compiled" if "compile" in case.choice else "row")
    sys.stdout.writelines(line + "\n" for line in ratios(box.rows))
    box.finish()


def machine(device: torch.device) -> dict:
    """Return what numbers depend on: the card, its memory, the versions."""
    facts: dict[str, object] = {"torch": torch.__version__, "cuda": torch.version.cuda, "threads": torch.get_num_threads()}
    if device.type == "cuda":
        facts = {"card": torch.cuda.get_device_name(device), "card_gb": total_memory(device) / 1e9, **facts}
    return facts


if __name__ == "__main__":
    main()
