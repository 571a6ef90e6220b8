"""Wells, their Gram and rules -> the accuracy of every direction. No files, no tables: numbers in, what score.json holds out.

found = Neighbourhood.of(wells, gram, rules)
found.directions()           # the accuracy of every direction
found.directions(shuffled_M) # the same wells under other labels: only the votes are counted again
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from kit.challenge.folds import Split, all_directions, count_folds, make_splits, why_not
from kit.challenge.rules import Rules
from kit.challenge.wells import Wells
from kit.errors import KitError
from kit.neighbours import Gram, Nearest, vote


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
    for direction in all_directions(wells.groups):
        reason, splits = why_not(plates_of, direction, rules.cross, wells.group_noun), []
        if not reason:
            n_folds = count_folds(plates_of, direction, rules.folds)
            splits = [
                make_splits(wells.plate_M, wells.group_M, direction, n_folds, seed, rules.cross) for seed in range(rules.seeds)
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
        plans = plan_directions(wells, rules)
        nearest = {
            name: [[gram.nearest(split.test, split.train, rules.k, rules.metric) for split in folds] for folds in plan.splits]
            for name, plan in plans.items()
        }
        return cls(wells, rules, plans, nearest)

    def directions(self, label_M: np.ndarray | None = None) -> dict[str, dict[str, Any]]:
        """Return what score.json holds of every direction; `label_M` in place of the wells' own labels."""
        label_M = self.wells.label_M if label_M is None else label_M
        return {name: self._direction(name, plan, label_M) for name, plan in self.plans.items()}

    def _direction(self, name: str, plan: Plan, label_M: np.ndarray) -> dict[str, Any]:
        if plan.reason:
            return {"accuracy": None, "reason": plan.reason}
        per_seed = [
            [self._accuracy(split, near, label_M) for split, near in zip(folds, found, strict=True)]
            for folds, found in zip(plan.splits, self.nearest[name], strict=True)
        ]
        of_seed = [float(np.mean(accuracies)) for accuracies in per_seed]
        return {
            "accuracy": float(np.mean(of_seed)),
            "sd": float(np.std(of_seed, ddof=1)) if len(of_seed) > 1 else None,
            "n_test": sum(len(split.test) for split in plan.splits[-1]),
            "n_folds": len(plan.splits[-1]),
            "folds": per_seed,
        }

    def _accuracy(self, split: Split, near: Nearest, label_M: np.ndarray) -> float:
        return float((vote(label_M[near.rows_Qk], self.rules.ties) == label_M[split.test]).mean())


def mean_of(directions: dict[str, dict[str, Any]]) -> float | None:
    """Return the unweighted mean over the directions that have a value; None where none has."""
    found = [result["accuracy"] for result in directions.values() if result["accuracy"] is not None]
    return float(np.mean(found)) if found else None
