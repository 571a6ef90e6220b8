"""Does the collapse alarm separate collapsed from healthy runs? Whole runs on made plates, two shipped recipes scaled down.

    python -m kit.trials.collapse [--out DIR] [--seeds 5]

For each recipe and seed a healthy run of 500 steps; for each way to collapse, at the first two seeds, a run of 200. An alarm
is a line in the run's metrics.jsonl, as a user would see it. DIR holds plates and runs; a finished run is read, a stopped one
resumed. DINO / ln K is the loss of the last lines over that of a network that knows nothing.
"""

import argparse
import math
import statistics
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path

import kit
from kit.config import CHANNEL_GROUPS
from kit.images.ingest.plan import IngestPlan
from kit.images.ingest.run import ingest
from kit.images.phantom.plates import PhantomConfig, make_plates
from kit.images.store.work import Work
from kit.model.arrangement import arrange
from kit.model.collapse import QUIET
from kit.model.history import read_metrics
from kit.model.train import train
from kit.recipe import load_recipe
from kit.trials.command import finish, say
from kit.trials.table import markdown

PLATES = PhantomConfig(plates_per_line=2, wide_plates_per_line=0, compounds=9, dmso_wells=6, side=112)
STEPS = {"healthy": 500, "sick": 200}
SICK_SEEDS = 2  # of the seeds, for each way to collapse
SMALL = (
    "crops.global_side=56", "crops.global_area=[0.2,0.4]", "model.position_side=56", "model.dim=48", "model.depth=2",
    "model.heads=2", "train.batch=16", "train.warmup_steps=50", "train.knn_epochs=1e6", "train.save_minutes=60", "embed.side=112",
)  # fmt: skip
SHORT = (  # what 100 epochs do with a large network at a small rate, a small one has to do in 500 steps
    "crops.local_crops=2", "crops.local_side=28", "model.layerscale=1.0", "model.drop_path=0.0", "loss.prototypes=256",
    "loss.head_hidden=128", "loss.head_bottleneck=32", "loss.teacher_temperature=[0.04,0.04]", "train.lr=1e-3",
    "train.lr_end=2e-5", "train.ema=[0.99,0.99]", "train.freeze_last_layer_epochs=0", "train.patch_embed_lr=1.0",
)  # fmt: skip
RECIPES = {"demo": SMALL, "dinov2-separate": (*SMALL, *SHORT)}
SICK = {
    "targets too soft": ("loss.teacher_temperature=[0.5,0.5]",),
    "targets never centred": ("loss.targets=centring", "loss.centre_momentum=1.0"),
    "rate of 0.3": ("train.lr=0.3",),
}
HEAD = ("recipe", "case", "seed", "DINO / ln K", "entropy", "used", "rank", "spread", "k-NN, chance", "first alarm")


@dataclass(frozen=True)
class Result:
    """What one run wrote about itself."""

    recipe: str
    case: str
    seed: int
    lines: list[dict]  # of metrics.jsonl
    uniform: float  # the DINO loss of a student and teacher that know nothing: ln K times the weights of its terms

    def alarms(self) -> list[tuple[int, str]]:
        return [(line["step"], line["what"]) for line in self.lines if line.get("event") == "collapse"]

    def row(self) -> list[str]:
        """The run as cells under HEAD: the DINO loss of the last ten lines, the range of each sign where the alarm looks."""
        losses = [line for line in self.lines if "signs" in line]
        dino = statistics.mean(line["dino"] for line in losses[-10:]) / self.uniform
        signs = [line["signs"] for line in losses if line["step"] > QUIET]
        least = {name: min(line[name] for line in signs) for name in signs[0]}
        most = max(line["entropy"] for line in signs)
        knn = next(line for line in reversed(self.lines) if line.get("event") == "knn")
        step, what = self.alarms()[0] if self.alarms() else (0, "")
        return [
            self.recipe, self.case, str(self.seed), f"{dino:.2f}",
            f"{least['entropy']:.2f} to {most:.2f}", f"{least['used']:.2f} up",
            f"{least['rank']:.2f} up", f"{least['spread']:.2g} up", f"{knn['accuracy']:.2f}, {knn['chance']:.2f}",
            f"step {step}: {what.split(': ', 1)[1].split(';')[0]}" if step else "none",
        ]  # fmt: skip


def made_work(out: Path, seed: int) -> Work:
    """Return the work folder of small made plates, created if missing."""
    plates = out / "plates"
    if not plates.is_dir():
        make_plates(plates, replace(PLATES, seed=seed))
    ingest(IngestPlan(plates / "images", out / "work", metadata=plates / "metadata", load_data=plates / "load_data"))
    return kit.open(out / "work")


def run_case(work: Work, recipe: str, case: str, seed: int, settings: Iterable[str] = ()) -> Result:
    """Train one run, or read it if it is finished."""
    kind = "sick" if case in SICK else "healthy"
    length = f"train.max_steps={STEPS[kind]}"
    values = [*RECIPES[recipe], length, *SICK.get(case, ()), *settings]
    config = load_recipe(recipe, values, channels=CHANNEL_GROUPS["fluorescence"], seed=seed)
    run = f"{recipe}-{case.replace(',', '').replace(' ', '-')}-{seed}"
    train(work, run, config, resume=True)
    table = arrange(config.loss, config.crops.local_crops)
    uniform = sum(term.weight for term in (*table.dino, *table.local)) * math.log(config.loss.prototypes)
    return Result(recipe, case, seed, read_metrics(work.run_folder(run)), uniform)


def run_trial(out: Path, seeds: range, *, plates: int, settings: Iterable[str], say: Callable[[str], None]) -> str:
    """Run every case of every recipe and seed, and return the table and the verdict."""
    work = made_work(out, plates)
    results = []
    for recipe in RECIPES:
        for case in ("healthy", *SICK):
            for seed in seeds if case == "healthy" else seeds[:SICK_SEEDS]:
                results.append(run_case(work, recipe, case, seed, settings))
                say(" | ".join(results[-1].row()))
    healthy = [result for result in results if result.case == "healthy"]
    sick = [result for result in results if result.case != "healthy"]
    false, told = (sum(bool(result.alarms()) for result in runs) for runs in (healthy, sick))
    verdict = (
        f"{false} false alarms in {len(healthy)} healthy runs of {STEPS['healthy']} steps",
        f"{told} of {len(sick)} collapses detected within {STEPS['sick']} steps",
    )
    return "\n".join([markdown(HEAD, [result.row() for result in results]), "", *verdict])


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m kit.trials.collapse", description="the collapse alarm on whole runs")
    parser.add_argument("--out", type=Path, default=Path("trials") / "collapse")
    parser.add_argument("--seeds", type=int, default=5, help="of the runs, 0 to N - 1")
    parser.add_argument("--plates", type=int, default=0, help="seed of the made plates")
    parser.add_argument(
        "--set", dest="settings", action="append", default=[], metavar="KEY=VALUE", help="on top of every run's own"
    )
    given = parser.parse_args()
    finish(lambda: run_trial(given.out, range(given.seeds), plates=given.plates, settings=given.settings, say=say))


if __name__ == "__main__":
    main()
