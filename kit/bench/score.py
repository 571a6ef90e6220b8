"""The whole of `kit score --all-rules` on made wells of the challenge's layout, beside scikit-learn on the same folds.

    python -m kit.bench.score [--columns 13824] [--wells 320] [--seeds 20] [--rival-folds 2]

Seconds are CPU seconds of all threads, then wall time. scikit-learn searches some folds of one seed only, by both metrics and for
the largest k, in float32. Its time is scaled to one search for every fold, seed and metric of the whole; the votes of every k and
rule are taken to cost it nothing more.
"""

import argparse
import resource
import time
from collections.abc import Iterator
from itertools import product

import numpy as np

from kit.challenge.all_rules import score_all_rules
from kit.challenge.directions import plan_directions
from kit.challenge.rules import ALLOWED, KS, Rules
from kit.challenge.wells import Wells
from kit.neighbours import Gram, Ranking, vote
from kit.words import count

PLATES = {"U2OS": 8, "A549": 16}


def made_wells(wells: int, columns: int, seed: int = 0) -> tuple[Wells, np.ndarray]:
    """Return the wells of 24 plates, a compound in a well, and features: compound, plate and noise, float32."""
    rng, n = np.random.default_rng(seed), sum(PLATES.values()) * wells
    line_P = np.repeat(list(PLATES), list(PLATES.values()))
    plate_M, label_M = np.repeat(np.arange(len(line_P)), wells), np.tile(np.arange(wells), len(line_P))
    features_MF = rng.standard_normal((n, columns), dtype=np.float32)
    effect_LF, plate_PF = (rng.standard_normal((k, columns), dtype=np.float32) for k in (wells, len(line_P)))
    for rows in np.array_split(np.arange(n), 64):
        features_MF[rows] += 0.1 * effect_LF[label_M[rows]] + 0.3 * plate_PF[plate_M[rows]]
    return Wells(
        row_M=np.arange(n),
        plate_M=np.array([f"P{index:02d}" for index in plate_M]),
        well_M=np.array([f"W{index:03d}" for index in label_M]),
        label_M=label_M,
        group_M=line_P[plate_M],
        is_control_M=np.zeros(n, dtype=bool),
        classes=tuple(map(str, range(wells))),
        groups=tuple(PLATES),
        group_noun="cell line",
        is_challenge=True,
    ), features_MF


def score_rows(wells: Wells, features_MF: np.ndarray, seeds: int, rival_folds: int) -> Iterator[str]:
    """Yield a line for each measurement."""
    start, began = time.process_time(), time.perf_counter()
    gram = Gram.of(features_MF, exact=True)  # as `kit score --all-rules`
    products = time.process_time() - start
    yield f"products of {len(wells)} wells x {features_MF.shape[1]} columns: {products:.1f} s of CPU"
    start = time.process_time()
    found = score_all_rules(wells, gram, Rules(seeds=seeds))
    ours = products + time.process_time() - start
    seeds_said, wall = count(seeds, "seed"), time.perf_counter() - began
    yield f"{len(found['rows'])} rules, {seeds_said}: {ours - products:.1f} s; with the products {ours:.1f} s, wall {wall:.0f} s"
    yield f"most memory so far: {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6:.2f} GB, features included"
    theirs, folds = rival_seconds(wells, features_MF, gram, rival_folds)
    searches = _searches(wells, seeds)
    whole = theirs / folds * searches
    yield f"scikit-learn's brute force: {theirs / folds:.2f} s for a fold; {searches} folds: {whole:.0f} s"
    yield f"ratio: {whole / ours:.0f}"


def rival_seconds(wells: Wells, features_MF: np.ndarray, gram: Gram, folds: int) -> tuple[float, int]:
    """Return the CPU seconds scikit-learn takes to search folds of A549 -> U2OS, and how many; its predictions equal ours."""
    from sklearn.neighbors import KNeighborsClassifier

    splits, seconds = plan_directions(wells, Rules())["A549->U2OS"].splits[0][:folds], 0.0
    for split, metric in product(splits, ALLOWED["metric"]):
        start = time.process_time()
        model = KNeighborsClassifier(max(KS), metric=metric, algorithm="brute")
        model.fit(features_MF[split.train], wells.label_M[split.train])
        column_Qk = model.kneighbors(features_MF[split.test], return_distance=False)
        seconds += time.process_time() - start
        said_Q = vote(wells.label_M[split.train][column_Qk[:, :5]], "sklearn")
        ranking = Ranking(gram, split.test, split.train, 64, metric)
        near = ranking.nearest(np.arange(len(split.test)), split.train, [5], need="set")
        differ = int((vote(wells.label_M[near.rows_Qk], "sklearn") != said_Q).sum())
        assert differ <= 1e-3 * len(said_Q), f"{differ} predictions differ"  # its float32 products may swap two neighbours
    return seconds, len(splits) * len(ALLOWED["metric"])


def _searches(wells: Wells, seeds: int) -> int:
    """Return how many folds must be searched, were the votes of all k counted from one search, as kit does."""
    plans = plan_directions(wells, Rules())
    within = sum(len(plan.splits[0]) for name, plan in plans.items() if len(set(name.split("->"))) == 1)
    across = sum(len(plan.splits[0]) for plan in plans.values()) - within
    return (within + len(ALLOWED["cross"]) * across) * seeds * 2 * len(ALLOWED["metric"])  # 2: stratified or not


def main() -> None:
    """Parse, run, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--columns", type=int, default=13824)
    parser.add_argument("--wells", type=int, default=320, help="of a plate")
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--rival-folds", type=int, default=2)
    asked = parser.parse_args()
    for line in score_rows(*made_wells(asked.wells, asked.columns), asked.seeds, asked.rival_folds):
        print(line, flush=True)  # noqa: T201


if __name__ == "__main__":
    main()
