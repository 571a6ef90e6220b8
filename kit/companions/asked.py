"""What is asked of held-out wells by their nearest neighbours: the label, the position of a control, the plate of a control.

Q queries, T training wells, M wells.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from kit.challenge.directions import Plan
from kit.challenge.folds import Split
from kit.challenge.rules import Rules
from kit.challenge.wells import Wells
from kit.neighbours import vote


@dataclass(frozen=True, slots=True)
class Near:
    """rows_Qk: the nearest training rows of every query. weight_Qk: of their votes, None where each counts one."""

    rows_Qk: np.ndarray
    weight_Qk: np.ndarray | None


Nearest = Callable[[np.ndarray, np.ndarray, np.ndarray | None], Near]
"""(query_Q, train_T, apart_M) -> the k nearest training rows of every query; rows that share its apart_M do not count."""


@dataclass(frozen=True, slots=True)
class Hits:
    """rows_Q: the wells that were asked. hit_Q: bool, whether the vote named them."""

    rows_Q: np.ndarray
    hit_Q: np.ndarray

    def only(self, keep_Q: np.ndarray) -> "Hits":
        """Return the hits of some of the wells, bool [Q]."""
        return Hits(self.rows_Q[keep_Q], self.hit_Q[keep_Q])

    @property
    def share(self) -> float | None:
        return float(self.hit_Q.mean()) if len(self.hit_Q) else None

    @staticmethod
    def joined(parts: Sequence["Hits"]) -> "Hits":
        """Return the hits of several folds as one."""
        return Hits(np.concatenate([part.rows_Q for part in parts]), np.concatenate([part.hit_Q for part in parts]))


NOBODY = Hits(np.empty(0, dtype=np.int64), np.empty(0, dtype=bool))


@dataclass(frozen=True, slots=True)
class Asked:
    """accuracy: mean over folds, then over seeds, as in score.json. The hits are of all folds and seeds.

    labels: of all tested wells. apart, kept: of those whose label trains at another position, without the training wells at
    their own, and with them. controls: the position of control wells.
    """

    accuracy: float
    labels: Hits
    apart: Hits
    kept: Hits
    controls: Hits


@dataclass(frozen=True, slots=True)
class Fold:
    """A fold and the control wells of its plates, with the neighbours of each: None where fewer than k train."""

    labels: Split
    controls: Split
    label_near: Near
    control_near: Near | None


class Questions:
    """The questions of one direction to wells in whatever place: `find` their neighbours, then `ask`."""

    def __init__(self, wells: Wells, plan: Plan, rules: Rules) -> None:
        self.rules, self.label_M = rules, wells.label_M
        self.position_M = positions(wells)
        self.seeds = [[(split, _controls_of(wells, split)) for split in splits] for splits in plan.splits]

    def find(self, nearest: Nearest, seeds: Sequence[int] | None = None) -> list[list[Fold]]:
        """Return the neighbours of all tested wells for some seeds of the splits, all by default."""
        k, found = self.rules.k, []
        for seed in range(len(self.seeds)) if seeds is None else seeds:
            folds = []
            for labels, controls in self.seeds[seed]:
                enough = len(controls.train) >= k and len(controls.test)
                control_near = nearest(controls.test, controls.train, None) if enough else None
                folds.append(Fold(labels, controls, nearest(labels.test, labels.train, None), control_near))
            found.append(folds)
        return found

    def ask(self, found: list[list[Fold]], nearest: Nearest, stands_M: np.ndarray | None = None) -> Asked:
        """Ask everything; `stands_M`: the well as which each row counts, None: itself."""
        here = slice(None) if stands_M is None else stands_M
        label_M, position_M = self.label_M[here], self.position_M[here]
        accuracies, labels, apart, kept, controls = [], [], [], [], []
        for folds in found:
            of_seed = [self._vote(label_M, fold.labels, fold.label_near) for fold in folds]
            accuracies.append(np.mean([hits.share for hits in of_seed]))
            for fold, hits in zip(folds, of_seed, strict=True):
                labels.append(hits)
                apart.append(self._ask_apart(nearest, label_M, position_M, fold.labels))
                kept.append(hits.only(np.isin(hits.rows_Q, apart[-1].rows_Q)))
                if fold.control_near is not None:
                    told = self._vote(position_M, fold.controls, fold.control_near)
                    controls.append(told.only(np.isin(position_M[told.rows_Q], position_M[fold.controls.train])))
        return Asked(float(np.mean(accuracies)), *(Hits.joined(parts or [NOBODY]) for parts in (labels, apart, kept, controls)))

    def _ask_apart(self, nearest: Nearest, label_M: np.ndarray, position_M: np.ndarray, split: Split) -> Hits:
        test = split.test[known_elsewhere(label_M, position_M, split)]
        test = test[can_answer(test, split.train, position_M, self.rules.k)]
        if not len(test):
            return NOBODY
        return self._vote(label_M, Split(split.train, test), nearest(test, split.train, position_M))

    def _vote(self, name_M: np.ndarray, split: Split, near: Near) -> Hits:
        return Hits(split.test, vote(name_M[near.rows_Qk], self.rules.ties, near.weight_Qk) == name_M[split.test])


def ask_plate(wells: Wells, group: str, nearest: Nearest, rules: Rules) -> Hits:
    """Ask the plate of every control well of the plates of a group, of those at other positions."""
    position_M, plate_M = positions(wells), np.unique(wells.plate_M, return_inverse=True)[1]
    rows = np.flatnonzero(wells.is_control_M & np.isin(wells.plate_M, sorted(wells.plates_of()[group])))
    test = rows[can_answer(rows, rows, position_M, rules.k)]
    if not len(test):
        return NOBODY
    near = nearest(test, rows, position_M)
    return Hits(test, vote(plate_M[near.rows_Qk], rules.ties, near.weight_Qk) == plate_M[test])


def positions(wells: Wells) -> np.ndarray:
    """Return the position of each well on its plate as a number, int64 [M]."""
    return np.unique(wells.well_M, return_inverse=True)[1]


def known_elsewhere(label_M: np.ndarray, position_M: np.ndarray, split: Split) -> np.ndarray:
    """Return which tested wells have a label that trains at another position than their own, bool [Q]."""
    size = int(position_M.max()) + 1
    pair_T = np.unique(label_M[split.train] * size + position_M[split.train])
    places_L = np.bincount(pair_T // size, minlength=int(label_M.max()) + 1)  # of every label that trains
    own_Q = np.isin(label_M[split.test] * size + position_M[split.test], pair_T)
    return places_L[label_M[split.test]] - own_Q > 0


def can_answer(test: np.ndarray, train: np.ndarray, position_M: np.ndarray, k: int) -> np.ndarray:
    """Return which tested wells have at least k training wells at other positions, bool [Q]."""
    if not len(train):
        return np.zeros(len(test), dtype=bool)
    at_W = np.bincount(position_M[train], minlength=int(position_M.max()) + 1)
    return len(train) - at_W[position_M[test]] >= k


def _controls_of(wells: Wells, split: Split) -> Split:
    """Return the control wells of a split's plates."""
    train, test = (np.isin(wells.plate_M, np.unique(wells.plate_M[rows])) for rows in (split.train, split.test))
    return Split(np.flatnonzero(wells.is_control_M & train), np.flatnonzero(wells.is_control_M & test))
