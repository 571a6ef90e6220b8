"""Split whole plates into folds; choose training and test wells for each direction, from one group of wells to another."""

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from kit.errors import KitError

LINES = ("U2OS", "A549")  # the challenge's cell lines: its groups, in this order
ALL = "all"  # the group of all wells, where no column tells them apart


@dataclass(frozen=True, slots=True)
class Split:
    """Rows to train on and rows to test on."""

    train: np.ndarray
    test: np.ndarray


def all_directions(groups: Sequence[str]) -> list[tuple[str, str]]:
    """Return every ordered pair (train on, test on), those within a group included."""
    return [(source, target) for source in groups for target in groups]


def deal_plates(plates: np.ndarray, n_folds: int, seed: int) -> list[np.ndarray]:
    """Return n_folds groups of plates, shuffled by the seed, sizes differing by at most one (16 in 5: 4, 3, 3, 3, 3)."""
    order = np.random.default_rng(seed).permutation(np.unique(plates))
    return np.array_split(order, n_folds)


def count_folds(plates_of: Mapping[str, set[str]], direction: tuple[str, str], folds: int) -> int:
    """Return min(folds, plates of each group involved)."""
    return min(folds, *(len(plates_of[group]) for group in direction))


def why_not(plates_of: Mapping[str, set[str]], direction: tuple[str, str], cross: str, noun: str = "cell line") -> str:
    """Return why a direction cannot be scored, in words; empty if it can. `noun` is what a group is, such as cell line."""
    source, target = direction
    absent = [group for group in dict.fromkeys(direction) if not plates_of[group]]
    if absent:
        return f"no {' and no '.join(absent)} compound wells among the features"
    fewest = min(len(plates_of[group]) for group in direction)
    if source == target:
        named = "plate" if source == ALL else f"{source} plate" if noun == "cell line" else f"plate in group {source}"
        return f"only one {named}: no other is left to train on" if fewest < 2 else ""
    if fewest >= 2:
        return ""
    if plates_of[source] <= plates_of[target]:
        return f"every plate of {source} is tested in the same fold: none is left to train on"
    if cross == "holdout":
        return f"a {noun} with one plate leaves none to train on; --cross all trains on all its plates"
    return ""


def make_splits(
    plates: np.ndarray,
    groups: np.ndarray,
    direction: tuple[str, str],
    n_folds: int,
    seed: int,
    cross: str,
    labels: np.ndarray | None = None,
) -> list[Split]:
    """Return the splits of one direction for one seed, a fold each; a plate that is tested never trains.

    Within a group: test on fold f, train on the group's other plates. Across: test on the target's fold f, train on the
    source's plates that are not in its fold f (`holdout`) or on all of them (`all`). With `labels` the folds are stratified:
    scikit-learn's StratifiedGroupKFold deals the plates so that the folds' labels are as alike as can be.

    Raises:
        KitError: plates cannot be dealt so.
    """
    in_source, in_target = (groups == group for group in direction)
    if labels is None:
        dealt = _deal_both(plates[in_source], plates[in_target], n_folds, seed)
    else:
        dealt = _deal_both_alike(plates, labels, in_source, in_target, n_folds, seed)
    splits = []
    for left_out, tested in zip(*dealt, strict=True):
        barred = np.union1d(tested, left_out) if cross == "holdout" else tested
        train = in_source & ~np.isin(plates, barred)
        splits.append(Split(np.flatnonzero(train), np.flatnonzero(in_target & np.isin(plates, tested))))
    return splits


def _deal_alike(plates: np.ndarray, labels: np.ndarray, n_folds: int, seed: int) -> list[np.ndarray]:
    """Return n_folds groups of plates whose wells' labels are as alike as can be; `plates` and `labels` are those of wells."""
    from sklearn.model_selection import StratifiedGroupKFold  # slow to import

    if np.unique(labels, return_counts=True)[1].max() < n_folds:
        raise KitError(f"--stratified: no label has as many as {n_folds} wells, one for each fold; use fewer --folds")
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="The least populated class")  # a label with fewer wells than folds
        dealer = StratifiedGroupKFold(n_folds, shuffle=True, random_state=seed)
        dealt = [np.unique(plates[test]) for _, test in dealer.split(plates[:, None], labels, plates)]
    if not all(map(len, dealt)):
        raise KitError(f"--stratified: the plates are too unlike for {n_folds} folds, one stays empty; use fewer --folds")
    return dealt


def _deal_both_alike(
    plates: np.ndarray, labels: np.ndarray, in_source: np.ndarray, in_target: np.ndarray, n_folds: int, seed: int
) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Deal the plates of two groups; where they share plates, those of both together."""
    if len(np.intersect1d(plates[in_source], plates[in_target])):
        wells = in_source | in_target
        both = _deal_alike(plates[wells], labels[wells], n_folds, seed)
        return both, both
    source, target = (_deal_alike(plates[wells], labels[wells], n_folds, seed) for wells in (in_source, in_target))
    return source, target


def _deal_both(source: np.ndarray, target: np.ndarray, n_folds: int, seed: int) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Deal the plates of two groups; plates that hold wells of both are in the same fold of both."""
    shared = np.intersect1d(source, target)
    alone = [np.setdiff1d(plates, shared) for plates in (source, target)]
    if not len(shared) or not (len(alone[0]) or len(alone[1])):
        return deal_plates(source, n_folds, seed), deal_plates(target, n_folds, seed)
    dealt = []
    for rest in alone:
        order = np.concatenate([np.random.default_rng(seed).permutation(part) for part in (shared, rest)])
        dealt.append([order[fold::n_folds] for fold in range(n_folds)])
    return dealt[0], dealt[1]
