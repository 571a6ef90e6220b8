"""Recipes or variants side by side: same plates, seeds, budget and scoring, next to baselines that need no training.

Every feature set is scored under every post-processing of POST. A baseline is shown under its best one, a trained network under
CHOSEN: the other way round would flatter the network.
"""

import itertools
import json
from collections.abc import Iterable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np

from kit.challenge.score import score
from kit.challenge.score_text import why_nothing
from kit.config import RunConfig
from kit.errors import KitError, UsageError
from kit.files import write_whole
from kit.images.store.work import Work
from kit.profiles.embed import embed
from kit.profiles.merge import merge_runs
from kit.profiles.post_processing import Steps, post_process
from kit.profiles.table import PLATE, WELL, Profiles
from kit.recipe import config_to_dict
from kit.trials.compare_budget import cost_text, timed, with_images
from kit.trials.compare_rows import Merge, Models, Row, canonical, make_rows, run_name
from kit.trials.compare_table import CHOSEN, table_text

POST: dict[str, Steps] = {
    "none": {},
    "centre": {"normalize": "centre"},
    "mad": {"normalize": "mad"},
    "sphere": {"whiten": "sphere"},
    CHOSEN: {"normalize": "centre", "whiten": "sphere"},
}
PERMUTATIONS = 5


def compare(work: Work, recipes: Sequence[str], *, models: Models, out: Path, settings: Sequence[str] = (),
            switches: Sequence[str] = (), seeds: Iterable[int] = range(3), baselines: bool = False,
            images: int = 0) -> str:  # fmt: skip
    """Train, embed and score every row and seed; return the table as text and keep all numbers in `out`.

    Args:
        work: packed plates with labels.
        recipes: names; each is a row, and with `switches` each switch is a further row of each recipe.
        models: channels of each network of a row.
        out: JSON, written after every row: a row already in it with the same configuration is not trained again, and
            rows that train the same network share it.
        settings: `key=value` applied to every row.
        switches: one row each, see `make_rows`.
        seeds: seeds of weights, sampling and views.
        baselines: also random weights of each recipe's networks, intensity statistics of the 8-bit and the raw pixels,
            texture, and the networks of each row with texture, equal shares of the variance. A row of other channels than the
            first has none.
        images: sites that every network draws, so that all rows see as many; 0: each recipe's own steps.

    Raises:
        KitError: the work has no labels to score with, or no other plate to train on.
    """
    classes = _classes(work)
    rows, seeds = make_rows(recipes, models, settings, switches, work.groups), list(seeds)
    if not seeds:
        raise UsageError("--seeds 0: need at least 1")
    measure = _Measure(work, out, images)
    for row in rows:
        measure.configs(row, 0)  # a wrong key is refused before hours of training
    for row in rows:
        for seed in seeds:
            measure.trained(row, seed)
            if baselines and row.name == row.recipe:
                measure.random(row, seed, "random weights" if row is rows[0] else f"{row.name}, random weights")
    measure.null(rows[0], seeds[0])
    if baselines:
        measure.by_hand(rows, seeds)
    return "\n\n".join(filter(None, [table_text(measure.results, classes=classes, batches=_batches(work)), measure.cost_text()]))


class _Measure:
    """Trains and scores what `out` does not hold yet."""

    def __init__(self, work: Work, out: Path, images: int):
        self.work, self.out, self.images = work, out, images
        self.results = _read_results(out)

    def configs(self, row: Row, seed: int) -> list[RunConfig]:
        """Return the configuration of each network of a row, at the budget of all rows."""
        return [with_images(config, self.images, self.work) for config in row.configs(seed)]

    def runs(self, row: Row, seed: int) -> list[str]:
        """Return the run of each network of a row."""
        return [run_name(config) for config in self.configs(row, seed)]

    def cost_text(self) -> str:
        """Return what the trained rows cost."""
        names = dict.fromkeys(entry["name"] for entry in self.results.values())
        return cost_text({name: [entry for entry in self.results.values() if entry["name"] == name] for name in names})

    def trained(self, row: Row, seed: int) -> None:
        from kit.model.train import train

        configs = self.configs(row, seed)
        key, stored = f"{row.name} s{seed}", [config_to_dict(config) for config in configs]
        if self.results.get(key, {}).get("configs") == stored:
            return
        cost = []
        for config in configs:
            name, ready = run_name(config), canonical(config)
            cost.append(timed(partial(train, self.work, name, ready, resume=True), ready))
            embed(self.work, name)
        runs = [run_name(config) for config in configs]
        self._keep(key, row.name, seed, True, _score(self.work, runs, row.merge), runs=runs, configs=stored, cost=cost)

    def random(self, row: Row, seed: int, name: str) -> None:
        self._baseline(name, self.runs(row, seed), "random", "random", seed)

    def by_hand(self, rows: Sequence[Row], seeds: Sequence[int]) -> None:
        """Score what needs no training, of the first row's channels; and every row of these with texture, seed by seed."""
        runs = self.runs(rows[0], seeds[0])
        self._baseline("mean and sd, 8 bit", runs, "intensity", "intensity", None)
        self._baseline("mean and sd, raw counts", runs, "intensity", "intensity-raw", None)
        self._baseline("texture", runs, "texture", "texture", None)
        texture = [f"{run}-texture" for run in runs]
        for row, seed in itertools.product([row for row in rows if row.models == rows[0].models], seeds):
            both = [*self.runs(row, seed), *texture]
            name = f"{row.name} + texture"
            if self.results.get(f"{name} s{seed}", {}).get("runs") != both:
                scores = _score(self.work, both, row.merge, weights=dict.fromkeys(both, 1.0))
                self._keep(f"{name} s{seed}", name, seed, True, scores, runs=both)

    def null(self, row: Row, seed: int) -> None:
        """Score the first row's features with the wells of each plate in random order, compounds where they were."""
        if "permuted wells" not in self.results:
            runs = self.runs(row, seed)
            merged = post_process(_merge(self.work, runs, row.merge), **POST[CHOSEN])
            means = [_score_wells(permuted(merged, number), self.work)["mean"] for number in range(PERMUTATIONS)]
            self.results["permuted wells"] = {"name": "permuted wells", "runs": runs, "means": means}
            self._write()

    def _baseline(self, name: str, runs: list[str], baseline: str, ending: str, seed: int | None) -> None:
        key = name if seed is None else f"{name} s{seed}"
        if self.results.get(key, {}).get("runs") == runs:
            return
        for run in runs:
            embed(self.work, run, baseline=baseline)
        self._keep(key, name, seed, False, _score(self.work, [f"{run}-{ending}" for run in runs], Merge()), runs=runs)

    def _keep(self, key: str, name: str, seed: int | None, trained: bool, scores: dict, **more: list) -> None:
        self.results[key] = {"name": name, "seed": seed, "trained": trained, "scores": scores, **more}
        self._write()

    def _write(self) -> None:
        """Write all results, a row a line."""
        rows = [f"{json.dumps(key)}:{json.dumps(row, separators=(',', ':'))}" for key, row in self.results.items()]
        write_whole(self.out, "{" + ",\n".join(rows) + "}\n")


def _read_results(out: Path) -> dict[str, dict]:
    """Return what an earlier call kept in `out`.

    Raises:
        UsageError: something else is there.
    """
    if not out.exists():
        return {}
    try:
        results = json.loads(out.read_text())
    except (OSError, ValueError):  # a folder; no text, no JSON
        results = None
    if isinstance(results, dict) and all(isinstance(entry, dict) and "name" in entry for entry in results.values()):
        return results
    raise UsageError(f"--out {out} exists and was not written by kit compare: use another name")


def permuted(profiles: Profiles, seed: int) -> Profiles:
    """Return profiles whose vectors are permuted among the wells of each plate."""
    rng = np.random.default_rng(seed)
    order = np.arange(len(profiles.who))
    for rows in profiles.who.groupby(PLATE).indices.values():
        order[rows] = rng.permutation(rows)
    return replace(profiles, features_MF=profiles.features_MF[order])


def _merge(work: Work, runs: list[str], how: Merge) -> Profiles:
    return merge_runs(work, runs, parts=how.parts, merge=how.merge, sites=how.sites or None)


def _score(work: Work, runs: list[str], how: Merge, weights: dict[str, float] | None = None) -> dict:
    """Return the score under every post-processing; with `weights` the runs are balanced in each of them."""
    merged = _merge(work, runs, how)
    balanced: dict[str, Steps] = {post: {**steps, "weights": weights} for post, steps in POST.items()}
    return {post: _score_wells(post_process(merged, **steps), work) for post, steps in balanced.items()}


def _score_wells(profiles: Profiles, work: Work) -> dict:
    return score(profiles, work.wells, label=work.perturbation)


def _classes(work: Work) -> int:
    """Return how many labels there are, and see that they can be scored, before anything is trained."""
    wells = work.wells
    if work.perturbation not in wells or wells[work.perturbation].fillna("").eq("").all():
        raise KitError(f"{work.path} has no labels to score with; give it kit ingest --metadata or --labels")
    blank = Profiles(features_MF=np.ones((len(wells), 1), np.float32), who=wells[[PLATE, WELL]], names=("none",))
    found = _score_wells(blank, work)
    if reason := why_nothing(found):
        raise KitError(f"{work.path} cannot be scored: {reason}")
    return found["n_classes"]


def _batches(work: Work) -> str:
    return ", ".join(sorted(set(work.wells.get("Metadata_Batch", ())) - {""})) or "none"
