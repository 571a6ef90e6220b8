"""The tables of a trial: mean and spread over seeds of every statistic, under every post-processing."""

import statistics
from collections.abc import Callable, Sequence

import numpy as np

from kit.trials.features import TRAINED
from kit.trials.neighbours import CHOSEN, POST

Scores = dict[str, dict[str, list[dict[str, float]]]]  # feature set -> post-processing -> one {statistic: value} per seed


def score_sets(sets: dict[str, list[np.ndarray]], measure: Callable[[np.ndarray, str], dict[str, float]]) -> Scores:
    """Return `measure(features, post-processing)` of every set, seed and post-processing."""
    return {name: {how: [measure(features, how) for features in seeds] for how in POST} for name, seeds in sets.items()}


def summary(scores: Scores, chance: dict[str, float], null: dict[str, tuple[float, float]]) -> str:
    """Return the main table in %: trained at CHOSEN, every other set at its best post-processing, statistic by statistic.

    Args:
        chance: of each statistic.
        null: mean and spread of each statistic with labels shuffled.
    """
    names = list(chance)
    rows = {"chance": [f"{100 * chance[name]:.1f}" for name in names]}
    rows["labels shuffled"] = [spread(*null[name]) for name in names]
    for kind, posts in scores.items():
        rows[kind] = []
        for name in names:
            means = {how: statistics.mean(seed[name] for seed in seeds) for how, seeds in posts.items()}
            how = CHOSEN if kind == TRAINED else max(means, key=means.__getitem__)
            rows[kind].append(_cell(posts[how], name) + ("" if kind == TRAINED else f", {how}"))
    return markdown(["", *names], [[kind, *cells] for kind, cells in rows.items()])


def everything(scores: Scores, names: list[str]) -> str:
    """Return the table of every set under every post-processing, in %."""
    rows = [
        [kind, how, *(_cell(seeds, name) for name in names)] for kind, posts in scores.items() for how, seeds in posts.items()
    ]
    return markdown(["", "post-processing", *names], rows)


def spread(mean: float, sd: float) -> str:
    return f"{100 * mean:.1f} +- {100 * sd:.1f}"


def over_seeds(values: Sequence[float]) -> str:
    """Return the mean +- SD over seeds in %, the value alone of one seed."""
    return spread(statistics.mean(values), statistics.stdev(values)) if len(values) > 1 else f"{100 * values[0]:.1f}"


def _cell(seeds: list[dict[str, float]], name: str) -> str:
    return over_seeds([seed[name] for seed in seeds])


def markdown(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a table in Markdown."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
