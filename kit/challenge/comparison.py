"""Two feature sets on the same wells: the difference in accuracy, its interval over plates, and a paired test over wells.

P plates.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from kit.challenge.directions import Neighbourhood
from kit.challenge.outcomes import FEWEST_UNITS, drawn_ratios, interval
from kit.profiles.table import PLATE, WELL

Tested = dict[str, pd.DataFrame]


def tested_wells(found: Neighbourhood) -> Tested:
    """Return for each direction that has a value its tested wells, by plate and well.

    right: how often, over seeds, the label was recognised, 0 to 1. upper, lower: what a well adds to the accuracy, and what it
    would add were it always right; the accuracy is the sum of the one over that of the other.
    """
    tables, wells = {}, found.wells
    for name, plan in found.plans.items():
        right_M, upper_M, lower_M = (np.zeros(len(wells)) for _ in range(3))
        for folds in found.outcomes(name):
            for fold in folds:
                hit_Q, weight = fold.votes.place_Q == 0, 1 / (len(folds) * len(fold.test_Q))
                right_M[fold.test_Q] += hit_Q / found.rules.seeds
                upper_M[fold.test_Q] += hit_Q * weight
                lower_M[fold.test_Q] += weight
        if not plan.reason:
            rows = np.flatnonzero(lower_M)
            index = pd.MultiIndex.from_arrays([wells.plate_M[rows], wells.well_M[rows]], names=[PLATE, WELL])
            tables[name] = pd.DataFrame({"right": right_M[rows], "upper": upper_M[rows], "lower": lower_M[rows]}, index=index)
    return tables


def compare(sets: Mapping[str, Tested]) -> dict[str, Any]:
    """Return what score.json holds under "comparison": every set but the first, less the first.

    difference, interval: of accuracies, fractions, on the wells that both test; the interval holds 95 % of draws of plates, null
    of fewer than three plates. better, worse: wells recognised more, and less, often. p: two-sided, of a sign test over these;
    null where there are none.
    """
    (first, base), *others = sets.items()
    targets = sorted({direction.split("->")[1] for direction in base})
    rows: dict[str, Any] = {}
    for name, own in others:
        directions, drawn = {}, []
        for direction in [direction for direction in base if direction in own]:
            stream = targets.index(direction.split("->")[1])  # the same wells are tested in it: the same draws
            if found := _pair(base[direction], own[direction], stream):
                directions[direction], draws = found
                drawn.append(draws)
        differences = [result["difference"] for result in directions.values()]
        known = [draws for draws in drawn if draws is not None]
        whole = np.mean(known, axis=0) if known and len(known) == len(drawn) else None
        mean = {"difference": float(np.mean(differences)) if differences else None, "interval": interval(whole)}
        rows[name] = {"directions": directions, "mean": mean}
    return {"less": first, "files": rows}


def _pair(base: pd.DataFrame, own: pd.DataFrame, stream: int) -> tuple[dict[str, Any], np.ndarray | None] | None:
    """Return the comparison in one direction and the drawn differences; None where no well is tested in both."""
    both = base.add_suffix("_base").join(own.add_suffix("_own"), how="inner")
    if both.empty:
        return None
    from scipy.stats import binomtest  # slow to import

    better, worse = int((both["right_own"] > both["right_base"]).sum()), int((both["right_own"] < both["right_base"]).sum())
    sums = both.groupby(level=PLATE)[["upper_own", "lower_own", "upper_base", "lower_base"]].sum().to_numpy()
    upper_own, lower_own, upper_base, lower_base = sums.T
    drawn = None
    if len(sums) >= FEWEST_UNITS:
        drawn = drawn_ratios(upper_own, lower_own, stream) - drawn_ratios(upper_base, lower_base, stream)
    difference = upper_own.sum() / lower_own.sum() - upper_base.sum() / lower_base.sum()
    return {
        "difference": float(difference),
        "interval": interval(drawn),
        "n_wells": len(both),
        "better": better,
        "worse": worse,
        "p": float(binomtest(better, better + worse).pvalue) if better + worse else None,
    }, drawn
