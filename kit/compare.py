"""Recipes or switches side by side: same plates, same seeds, same budget, scored in the same way, beside what needs no training.

Every feature set is scored under every post-processing of POST. A baseline is shown at its best of them, a trained network under
the one named CHOSEN: whoever compares the other way round flatters the network.
"""

import json
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from kit.challenge.folds import DIRECTIONS
from kit.challenge.score import score
from kit.config import RunConfig
from kit.errors import KitError
from kit.files import write_whole
from kit.images.store import Work
from kit.profiles.embed import embed
from kit.profiles.profile import merge_runs, post_process
from kit.recipe import config_to_dict, load_recipe

NAMES = ["->".join(direction) for direction in DIRECTIONS]
POST = {
    "none": {},
    "centre": {"normalize": "centre"},
    "mad": {"normalize": "mad"},
    "sphere": {"whiten": "sphere"},
    "centre+sphere": {"normalize": "centre", "whiten": "sphere"},
}
CHOSEN = "centre+sphere"
PARTS = ("cls", "patch")
MERGE = "mean"  # sites of a made well are exchangeable: one vector each, averaged


@dataclass(frozen=True)
class Row:
    """One line of the table: a recipe with settings, trained once per seed."""

    name: str
    recipe: str
    settings: tuple[str, ...]


def compare(work: Work, recipes: Sequence[str], *, channels: tuple[str, ...], out: Path, settings: Sequence[str] = (),
            switches: Sequence[str] = (), seeds: Iterable[int] = range(3), baselines: bool = False) -> str:  # fmt: skip
    """Train, embed and score every row and seed; return the table as text and keep all numbers in `out`.

    Args:
        work: packed plates with labels.
        recipes: names; each is a row, and with `switches` each switch is a further row of each recipe.
        channels: the channels all rows use.
        out: JSON, written after every row: a row that stands in it with the same configuration is not trained again.
        settings: `key=value` laid over every row.
        switches: `key=value`, one row each.
        seeds: seeds of weights, sampling and views.
        baselines: also random weights of the first recipe, and intensity statistics of the 8-bit and the raw pixels.

    Raises:
        KitError: the work has no labels to score with.
    """
    if work.wells["Metadata_broad_sample"].eq("").all():
        raise KitError(f"{work.path} has no compound labels to score with; ingest it with --metadata")
    rows = [
        Row(" ".join((recipe, *extra)), recipe, (*settings, *extra))
        for recipe in recipes
        for extra in [(), *((s,) for s in switches)]
    ]
    results = json.loads(out.read_text()) if out.is_file() else {}
    seeds = list(seeds)
    for row in rows:
        for seed in seeds:
            config = load_recipe(row.recipe, row.settings, channels=channels, seed=seed)
            _measure(work, row.name, config, results, out)
            if baselines and row is rows[0]:
                _measure_random(work, config, results, out)
    if baselines:
        _measure_intensity(work, results, out)
    return table_text(results, classes=_classes(work), batches=_batches(work))


def table_text(results: dict, *, classes: int, batches: str) -> str:
    """Return one line per feature set: mean and spread over seeds, in %, per direction, with chance on top."""
    rows = shown_scores(results)
    width = max(map(len, rows))
    lines = [
        f"k-NN accuracy in %, k=5 cosine, folds by plate; batches: {batches}; chance {100 / classes:.1f}",
        f"{'':<{width}}  seeds  {'mean':>12}  " + "  ".join(f"{d:>10}" for d in NAMES) + "  post-processing",
    ]
    for name, scores in rows.items():
        means = [100 * score["mean"] for score in scores]
        spread = f"+-{statistics.stdev(means):4.1f}" if len(means) > 1 else "      "
        cells = [_mean_cell([score["directions"][d]["accuracy"] for score in scores]) for d in NAMES]
        entries = _entries(results, name)
        post = CHOSEN if entries[0]["trained"] else f"{_best_post(entries)} (its best)"
        lines.append(f"{name:<{width}}  {len(means):5d}  {statistics.mean(means):5.1f} {spread}  {'  '.join(cells)}  {post}")
    return "\n".join(lines)


def shown_scores(results: dict) -> dict[str, list[dict]]:
    """Return per row the scores that count, one per seed: a baseline's at its best post-processing, a network's at CHOSEN."""
    shown = {}
    for name in dict.fromkeys(entry["name"] for entry in results.values()):
        entries = _entries(results, name)
        post = CHOSEN if entries[0]["trained"] else _best_post(entries)
        shown[name] = [entry["scores"][post] for entry in entries]
    return shown


def _entries(results: dict, name: str) -> list[dict]:
    return [entry for entry in results.values() if entry["name"] == name]


def _mean_cell(values: list[float | None]) -> str:
    return f"{100 * statistics.mean(values):10.1f}" if None not in values else f"{'-':>10}"


def _best_post(entries: list[dict]) -> str:
    return max(POST, key=lambda post: statistics.mean(entry["scores"][post]["mean"] for entry in entries))


def _measure(work: Work, name: str, config: RunConfig, results: dict, out: Path) -> None:
    from kit.model.train import train

    run = run_name(name, config.seed)
    stored = config_to_dict(config)
    if results.get(run, {}).get("config") == stored:
        return
    train(work, run, config, resume=True)
    embed(work, run)
    _keep(results, out, run, {"name": name, "seed": config.seed, "trained": True, "config": stored, "scores": _score(work, run)})


def _measure_random(work: Work, config: RunConfig, results: dict, out: Path) -> None:
    run = f"{run_name(config.recipe, config.seed)}-random"
    if run not in results:
        embed(work, run.removesuffix("-random"), baseline="random")
        _keep(results, out, run, {"name": "random weights", "seed": config.seed, "trained": False, "scores": _score(work, run)})


def _measure_intensity(work: Work, results: dict, out: Path) -> None:
    first = next(run for run, entry in results.items() if entry["trained"])
    for suffix, name in (("intensity", "mean and sd, 8 bit"), ("intensity-raw", "mean and sd, raw counts")):
        run = f"{first}-{suffix}"
        if run not in results:
            embed(work, first, baseline="intensity")
            _keep(results, out, run, {"name": name, "seed": None, "trained": False, "scores": _score(work, run)})


def run_name(name: str, seed: int) -> str:
    """Return the run folder's name of a row and seed."""
    kept = "".join(letter if letter.isalnum() else "-" for letter in name)
    return f"{kept}-s{seed}"


def _score(work: Work, run: str) -> dict:
    merged = merge_runs(work, [run], parts=PARTS, sites="position", order="file", merge=MERGE)
    return {post: score(post_process(merged, **steps), work.wells) for post, steps in POST.items()}


def _keep(results: dict, out: Path, run: str, entry: dict) -> None:
    results[run] = entry
    write_whole(out, json.dumps(results, indent=1))


def _classes(work: Work) -> int:
    return work.wells.loc[~work.wells["Metadata_is_control"], "Metadata_broad_sample"].nunique()


def _batches(work: Work) -> str:
    return ", ".join(sorted(work.wells["Metadata_Batch"].unique()))
