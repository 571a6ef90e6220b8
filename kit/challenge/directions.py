"""Wells, their Gram and rules -> the accuracy of every direction. No files, no tables: numbers in, what score.json holds out.

found = Neighbourhood.of(wells, gram, rules)
found.directions()           # the accuracy of every direction
found.directions(shuffled_M) # the same wells under other labels: only the votes are counted again
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from kit.challenge.folds import Split, all_directions, count_folds, make_splits, why_not
from kit.challenge.outcomes import Fold, summarise
from kit.challenge.rules import Rules
from kit.challenge.wells import Wells
from kit.errors import KitError
from kit.neighbours import Gram, Nearest, Ranking, count_votes, weights

_DEPTH = 64  # wells listed for a query beside twice k: those that a fold leaves out are among them


@dataclass(frozen=True, slots=True)
class Plan:
    """What trains and tests in one direction: for each seed its splits, a fold each; or why there are none, in words."""

    splits: list[list[Split]]
    reason: str = ""


def plan_directions(wells: Wells, rules: Rules) -> dict[str, Plan]:
    """Return the plan of every direction, {"A->B": Plan}; rows of the splits are numbers of `wells`.

    Raises:
        KitError: the challenge's wells have a fold that trains on fewer wells than k.
    """
    plates_of, plans = wells.plates_of(), {}
    strata_M = wells.label_M if rules.stratified else None
    for direction in all_directions(wells.groups):
        reason, splits = why_not(plates_of, direction, rules.cross, wells.group_noun), []
        if not reason:
            n_folds = count_folds(plates_of, direction, rules.folds)
            splits = [
                make_splits(wells.plate_M, wells.group_M, direction, n_folds, seed, rules.cross, strata_M)
                for seed in range(rules.seeds)
            ]
            fewest = min(len(split.train) for of_seed in splits for split in of_seed)
            if not wells.is_challenge:  # of whose directions none may go missing for a small fold
                reason = _why_small(splits, wells.label_M, fewest, rules.k)
            elif rules.k > fewest:
                raise KitError(
                    f"--k {rules.k}: {'->'.join(direction)} has a fold with only {fewest} training wells; use a smaller k"
                )
        plans["->".join(direction)] = Plan([] if reason else splits, reason)
    return plans


def _why_small(splits: list[list[Split]], label_M: np.ndarray, fewest: int, k: int) -> str:
    """Return why a direction with splits says nothing: one label trains, or none that is tested, or fewer wells than k."""
    folds = [split for of_seed in splits for split in of_seed]
    if not any(np.isin(label_M[split.test], label_M[split.train]).any() for split in folds):
        return "no label of a tested well is on another plate that trains: none can be recognised"
    if all(len(np.unique(label_M[split.train])) == 1 for split in folds):
        return "all wells that train have one label: nothing to tell apart"
    return f"a fold has only {fewest} training wells: use a smaller --k than {k}" if fewest < k else ""


class Rankings:
    """The training wells of every group in order of distance, for the wells of every other: listed once, for all folds."""

    def __init__(self, wells: Wells, gram: Gram, metric: str, k: int) -> None:
        self._wells, self._gram, self._metric = wells, gram, metric
        self._depth = _DEPTH + 2 * k
        self._found: dict[str, Ranking] = {}

    def nearest(self, direction: str, split: Split, ks: Sequence[int], need: str) -> Nearest:
        """Return the nearest training wells of a split's tested wells, see `Ranking.nearest`."""
        if direction not in self._found:
            source, target = direction.split("->")
            query, train = (np.flatnonzero(self._wells.group_M == group) for group in (target, source))
            plate_M = self._wells.plate_code_M  # a plate that is tested never trains
            self._found[direction] = Ranking(self._gram, query, train, self._depth, self._metric, [plate_M])
        ranking = self._found[direction]
        return ranking.nearest(np.searchsorted(ranking.query_Q, split.test), split.train, ks, need=need)


@dataclass(frozen=True, slots=True)
class Neighbourhood:
    """The neighbours of every tested well, in every direction, seed and fold: found once, whatever the labels.

    nearest: for each direction, seed and fold, in the order of its plan's splits.
    """

    wells: Wells
    rules: Rules
    plans: dict[str, Plan]
    nearest: dict[str, list[list[Nearest]]]

    @classmethod
    def of(cls, wells: Wells, gram: Gram, rules: Rules) -> "Neighbourhood":
        """Find them; `gram` has a row a well."""
        plans, rankings = plan_directions(wells, rules), Rankings(wells, gram, rules.metric, rules.k)
        need = "distances" if rules.votes == "distance" else "order"
        nearest = {
            name: [[rankings.nearest(name, split, [rules.k], need) for split in folds] for folds in plan.splits]
            for name, plan in plans.items()
        }
        return cls(wells, rules, plans, nearest)

    def directions(self, label_M: np.ndarray | None = None) -> dict[str, dict[str, Any]]:
        """Return what score.json holds of every direction; `label_M` in place of the wells' own labels."""
        label_M = self.wells.label_M if label_M is None else label_M
        return {
            name: summarise(folds_of, label_M, self.wells.plate_code_M)
            if (folds_of := self.outcomes(name, label_M))
            else {"accuracy": None, "reason": plan.reason}
            for name, plan in self.plans.items()
        }

    def outcomes(self, direction: str, label_M: np.ndarray | None = None) -> list[list[Fold]]:
        """Return what was said of the wells of every seed and fold."""
        label_M = self.wells.label_M if label_M is None else label_M
        return [
            [self._fold(split, near, label_M) for split, near in zip(folds, found, strict=True)]
            for folds, found in zip(self.plans[direction].splits, self.nearest[direction], strict=True)
        ]

    def _fold(self, split: Split, near: Nearest, label_M: np.ndarray) -> Fold:
        k, ties = self.rules.k, self.rules.ties
        weight_Qk = weights(near.distance_Qk, self.rules.metric) if self.rules.votes == "distance" else None
        return Fold(split.test, count_votes(label_M[near.rows_Qk], label_M[split.test], [k], [ties], weight_Qk)[k, ties])


def mean_of(directions: dict[str, dict[str, Any]]) -> float | None:
    """Return the unweighted mean over the directions that have a value; None where none has."""
    found = [result["accuracy"] for result in directions.values() if result["accuracy"] is not None]
    return float(np.mean(found)) if found else None
