"""The score under every rule that the challenge leaves open, in one pass: k, metric, votes, ties, folds, what trains across.

Q queries, k neighbours.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import product
from typing import Any

import numpy as np

from kit.challenge.directions import Plan, Rankings, mean_of, plan_directions
from kit.challenge.folds import Split
from kit.challenge.outcomes import TOP, Fold, summarise
from kit.challenge.rules import ALLOWED, KS, Rules
from kit.challenge.wells import Wells
from kit.errors import KitError
from kit.neighbours import Gram, Nearest, Votes, count_votes, narrowest, weights

_SAFE = 4  # times the relative error of a vote: a lead above this is certain
Rule = tuple[str, str, int]  # votes, ties, k


def score_all_rules(wells: Wells, gram: Gram, rules: Rules) -> dict[str, Any]:
    """Return what score.json holds under "all_rules"; folds and seeds are those of `rules`.

    rows: an object for every rule, with metric, votes, ties, cross, stratified, k, its mean and its directions.
    notes: which rules are left out, and why.
    """
    planned, notes = _plan(wells, rules)
    rows: list[dict[str, Any]] = []
    for metric in ALLOWED["metric"]:
        rankings = Rankings(wells, gram, metric, max(KS))
        done: dict[tuple[str, bool], dict[Rule, dict[str, Any]]] = {}  # within a group nothing depends on cross
        for own, plans in planned:
            ks = _ks(plans.values())
            of: dict[str, dict[Rule, dict[str, Any]]] = {}
            for name, plan in plans.items():
                within = len(set(name.split("->"))) == 1
                if not within or (name, own.stratified) not in done:
                    done[name, own.stratified] = _direction(rankings, name, plan, wells, ks, metric)
                of[name] = done[name, own.stratified]
            rows += list(_rows(of, ks, replace(own, metric=metric)))
    return {"rows": rows, "notes": list(dict.fromkeys(notes))}


def _plan(wells: Wells, rules: Rules) -> tuple[list[tuple[Rules, dict[str, Plan]]], list[str]]:
    """Return the plans of every way to deal the folds, the same for both metrics, and notes on what is left out."""
    planned, notes = [], []
    for stratified, cross in product((False, True), ALLOWED["cross"]):
        own = replace(rules, k=1, cross=cross, stratified=stratified)
        try:
            plans = plan_directions(wells, own)
        except KitError as error:
            notes.append(str(error))
            continue
        ks = _ks(plans.values())
        notes += [f"k = {k} left out: a fold has fewer training wells" for k in KS if k not in ks]
        planned.append((own, plans))
    return planned, notes


def _ks(plans: Iterable[Plan]) -> list[int]:
    fewest = min((len(split.train) for plan in plans for folds in plan.splits for split in folds), default=max(KS))
    return [k for k in KS if k <= fewest]


def _rows(of: dict[str, dict[Rule, dict[str, Any]]], ks: Sequence[int], rules: Rules) -> Iterator[dict[str, Any]]:
    for votes, ties, k in product(ALLOWED["votes"], ALLOWED["ties"], ks):
        directions = {name: found[votes, ties, k] for name, found in of.items()}
        named = {"metric": rules.metric, "votes": votes, "ties": ties, "cross": rules.cross, "stratified": rules.stratified}
        yield {**named, "k": k, "mean": mean_of(directions), "directions": directions}


def _direction(
    rankings: Rankings, name: str, plan: Plan, wells: Wells, ks: Sequence[int], metric: str
) -> dict[Rule, dict[str, Any]]:
    rules = list(product(ALLOWED["votes"], ALLOWED["ties"], ks))
    if plan.reason:
        return {rule: {"accuracy": None, "reason": plan.reason} for rule in rules}
    counted = [
        [(split.test, _count(rankings, name, split, wells.label_M, ks, metric)) for split in folds] for folds in plan.splits
    ]
    plate_M = wells.plate_code_M
    return {
        rule: summarise([[Fold(test, votes[rule]) for test, votes in folds] for folds in counted], wells.label_M, plate_M)
        for rule in rules
    }


def _count(rankings: Rankings, name: str, split: Split, label_M: np.ndarray, ks: Sequence[int], metric: str) -> dict[Rule, Votes]:
    """Return the votes of a fold under every rule."""
    near, true_Q, ties = rankings.nearest(name, split, ks, "order"), label_M[split.test], ALLOWED["ties"]
    found = {("uniform", rule, k): votes for (k, rule), votes in count_votes(label_M[near.rows_Qk], true_Q, ks, ties).items()}
    near = _sharpened(rankings, name, split, near, label_M, ks, metric)
    by_distance = count_votes(label_M[near.rows_Qk], true_Q, ks, ties, weights(near.distance_Qk, metric))
    return found | {("distance", rule, k): votes for (k, rule), votes in by_distance.items()}


def _sharpened(
    rankings: Rankings, name: str, split: Split, near: Nearest, label_M: np.ndarray, ks: Sequence[int], metric: str
) -> Nearest:
    """Return the neighbours, with exact distances where an error of rounding could change who leads a vote by distance."""
    if not near.bound_Qk.any():
        return near
    least_Qk = near.distance_Qk - near.bound_Qk
    error_Qk = np.divide(near.bound_Qk, least_Qk, out=np.full(least_Qk.shape, np.inf), where=least_Qk > 0)
    error_Q = np.where(near.bound_Qk > 0, error_Qk, 0.0).max(axis=1)
    lead_Q = narrowest(label_M[near.rows_Qk], ks, weights(np.maximum(near.distance_Qk, 0), metric), (1, TOP))
    doubtful_Q = (lead_Q <= _SAFE * error_Q) & (error_Q > 0)
    if not doubtful_Q.any():
        return near
    exact = rankings.nearest(name, Split(split.train, split.test[doubtful_Q]), ks, "distances")
    arrays = []
    for all_Qk, own in ((near.rows_Qk, exact.rows_Qk), (near.distance_Qk, exact.distance_Qk), (near.bound_Qk, exact.bound_Qk)):
        all_Qk[doubtful_Q] = own
        arrays.append(all_Qk)
    return Nearest(*arrays)
