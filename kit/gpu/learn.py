"""Do the recipes learn on a GPU within minutes? The score over time, beside random weights, intensity and texture.

    python -m kit.gpu.learn --seconds 240 --json FILE

On made plates of 256 px and, where build/gpu-fields holds them, on real fields. One seed, and no setting is chosen by a score: a
first look, not a result.
"""

import sys
import time
from collections.abc import Callable
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path

import torch

from kit.bench.steps import TINY
from kit.config import RunConfig
from kit.gpu.learn_data import Data, made_plates, real_fields
from kit.gpu.learn_run import Curve, Trainer, train_for
from kit.gpu.notes import Options
from kit.kernels.timing import FAULTS, first_line
from kit.recipe import load_recipe

ROOT = Path(__file__).parents[2]
RECIPES = ("sslprofiler-local", "dinov2-separate")
FIELDS = ROOT / "build" / "gpu-fields"
AT_END = 4.0  # seconds that are left over
LEAST = 8.0  # seconds: a trial with less does not start
SMALL = (*TINY, "crops.global_side=28", "crops.local_side=14", "model.position_side=28", "embed.side=28", "train.batch=4")


def configuration(recipe: str, data: Data, *, rehearse: bool) -> RunConfig:
    """Return a recipe for a data set: its own values, but a batch of no more samples than there are wells."""
    config = load_recipe(recipe, SMALL if rehearse else (), channels=data.channels)
    config = replace(config, groups={name: of for name, of in data.work.groups.items() if set(of) & set(data.channels)})
    return replace(config, train=replace(config.train, batch=min(config.train.batch, len(data.wells))))


def data_sets(given: Options, folder: Path) -> list[Data]:
    """Return the data sets that are there, and say why one is not."""
    found = []
    sources: dict[str, Callable[[], Data]] = {"made plates": partial(made_plates, folder / "made", small=given.rehearse)}
    if (FIELDS / "images.csv").is_file():
        sources["real fields"] = partial(real_fields, folder / "fields", FIELDS)
    else:
        given.notes.line(
            f"real fields: skipped, there is no {FIELDS.relative_to(ROOT)}/images.csv (FIELDS=FOLDER copies them there)"
        )
    for name, source in sources.items():
        start = time.monotonic()
        try:
            data = source()
        except FAULTS as error:
            given.notes.line(f"{name}: skipped, {error}")
            continue
        found.append(data)
        facts = f"{len(data.wells)} wells of {len(data.work.plates)} plates, {len(data.channels)} channels"
        given.notes.line(f"{name}: {facts}, packed in {time.monotonic() - start:.0f} s")
    return found


def main() -> int:
    given = Options("kit.gpu.learn", __doc__.partition("\n")[0])
    device = torch.device("cpu" if given.rehearse else "cuda")
    folder = ROOT / "build" / "gpu" / ("learn-rehearsed" if given.rehearse else "learn")
    sets, failed = data_sets(given, folder), 0
    for data in sets:
        given.notes.line(f"{data.name}: guess {percents(data.guessed())}")
        for baseline in ("intensity", "texture"):
            try:
                scores = data.by_hand(baseline)
            except FAULTS as error:
                given.notes.line(f"{data.name}: {baseline} not measured, {error}")
                continue
            given.notes.add("by_hand", {"data": data.name, "baseline": baseline, **scores})
            given.notes.line(f"{data.name}: {baseline} {percents(scores)}")
    if given.prepare:
        return int(not sets)
    pairs = [(data, recipe) for recipe in RECIPES for data in sets]
    for place, (data, recipe) in enumerate(pairs):
        seconds = (given.left - AT_END) / (len(pairs) - place)
        if seconds < LEAST:
            given.notes.line(f"{data.name}, {recipe}: no time left")
            continue
        try:
            one(given, data, recipe, device, seconds)
        except FAULTS as error:  # the other trials go on
            failed += 1
            given.notes.line(f"{data.name}, {recipe}: {type(error).__name__}: {first_line(error)}")
    return int(failed > 0 or not sets)


def one(given: Options, data: Data, recipe: str, device: torch.device, seconds: float) -> None:
    """Train one recipe on one data set for so long, and keep its curve after every point."""
    config = configuration(recipe, data, rehearse=given.rehearse)
    curves = given.notes.found.setdefault("curves", {})

    def keep(curve: Curve) -> None:
        curves[f"{data.name}, {recipe}"] = asdict(curve)
        given.notes.put(curves=curves)

    curve = train_for(Trainer(data, config, device), seconds, keep)
    first, last = curve.points[0], curve.points[-1]
    before, after = ({name: point[name] for name in data.asked} for point in (first, last))
    steps = f"{last['step']} of {curve.steps} steps of {curve.batch}, loss {last['loss']:.3f}, {curve.sites_per_s:.0f} sites/s, "
    steps += f"{curve.waited:.1%} waiting"
    given.notes.line(f"{data.name}, {recipe}: {steps}: {percents(after)} (random weights {percents(before)})")
    asked = data.asked[0]
    over_time = "; ".join(f"{point['minutes']:.2f} min {100 * point[asked]:.1f}" for point in curve.points)
    given.notes.line(f"  {asked} over training minutes: {over_time}")


def percents(scores: dict[str, float]) -> str:
    """Return scores in per cent, the question before each."""
    return ", ".join(f"{name} {100 * value:.1f} %" for name, value in scores.items())


if __name__ == "__main__":
    sys.exit(main())
