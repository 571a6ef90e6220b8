"""Split whole plates into folds; choose training and test wells for each of the four directions."""

from dataclasses import dataclass

import numpy as np

LINES = ("U2OS", "A549")
DIRECTIONS = (("U2OS", "U2OS"), ("U2OS", "A549"), ("A549", "U2OS"), ("A549", "A549"))  # train -> test


@dataclass(frozen=True, slots=True)
class Split:
    """Rows to train on and rows to test on."""

    train: np.ndarray
    test: np.ndarray


def deal_plates(plates: np.ndarray, n_folds: int, seed: int) -> list[np.ndarray]:
    """Return n_folds groups of plates, shuffled by the seed, sizes differing by at most one (16 in 5: 4, 3, 3, 3, 3)."""
    order = np.random.default_rng(seed).permutation(np.unique(plates))
    return np.array_split(order, n_folds)


def count_folds(plates_of_line: dict[str, int], direction: tuple[str, str], folds: int) -> int:
    """Return min(folds, plates of each line involved)."""
    return min(folds, *(plates_of_line[line] for line in direction))


def why_not(plates_of_line: dict[str, int], direction: tuple[str, str], cross: str) -> str:
    """Return why a direction cannot be scored, in words; empty if it can."""
    source, target = direction
    absent = [line for line in dict.fromkeys(direction) if not plates_of_line[line]]
    if absent:
        return f"no {' and no '.join(absent)} compound wells among the features"
    if source == target and plates_of_line[source] < 2:
        return f"only one {source} plate: no other is left to train on"
    if source != target and cross == "holdout" and min(plates_of_line[source], plates_of_line[target]) < 2:
        return "a cell line with one plate leaves none to train on; --cross all trains on all its plates"
    return ""


def make_splits(
    plates: np.ndarray, lines: np.ndarray, direction: tuple[str, str], n_folds: int, seed: int, cross: str
) -> list[Split]:
    """Return the splits of one direction for one seed, a fold each.

    Within a line: test on fold f, train on the line's other plates. Across: test on the target line's fold f, train on
    the source line's plates that are not in its fold f (`holdout`) or on all of them (`all`).
    """
    source, target = direction
    source_folds = deal_plates(plates[lines == source], n_folds, seed)
    target_folds = deal_plates(plates[lines == target], n_folds, seed)
    splits = []
    for left_out, tested in zip(source_folds, target_folds, strict=True):
        train = lines == source
        if source == target or cross == "holdout":
            train &= ~np.isin(plates, left_out)
        splits.append(Split(np.flatnonzero(train), np.flatnonzero((lines == target) & np.isin(plates, tested))))
    return splits
