"""The permutation null: wells shuffled within each plate, the post-processing repeated, everything asked again. M wells.

No features are touched. What commutes with the shuffle (see `recorded`) is in the Gram already: without alignment a shuffle
only renames its rows. With alignment, the Gram before it is shuffled and aligned again.
"""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from kit.challenge.rules import Rules
from kit.challenge.wells import Wells
from kit.companions.asked import Asked, Near, Nearest, Questions, positions
from kit.companions.grams import align_gram, undo_align_gram
from kit.companions.recorded import Repeat
from kit.neighbours import Gram, nearest, weights
from kit.profiles.normalise import lengths_before_l2
from kit.streams import Stream, generator

SHUFFLES = 20
_ROWS = 512  # of the Gram, read together


def shuffled_wells(wells: Wells, shuffle: int) -> np.ndarray:
    """Return for every well the row whose features it gets: another scored well of its plate and group, or another control."""
    draw, order_M = generator(shuffle, Stream.WELL_SHUFFLE), np.arange(len(wells))
    for plate in np.unique(wells.plate_M):
        here_M = wells.plate_M == plate
        pools = [here_M & wells.is_control_M]
        pools += [here_M & wells.scored_M & (wells.group_M == group) for group in np.unique(wells.group_M[here_M])]
        for rows in map(np.flatnonzero, pools):
            order_M[rows] = draw.permutation(rows)
    return order_M


def ask_shuffled(
    gram: Gram, wells: Wells, questions: Mapping[str, Questions], rules: Rules, repeat: Repeat, shuffles: int = SHUFFLES
) -> Iterator[dict[str, Asked]]:
    """Yield the answers of every direction to each shuffle, which takes the folds of one seed, the seeds in turn.

    gram: of the features as they are, a row for each of `wells`.
    """
    if repeat.align is None:
        near = by_gram(gram, rules)
        found = {name: one.find(near) for name, one in questions.items()}
        for shuffle in range(shuffles):
            stands_M = np.argsort(shuffled_wells(wells, shuffle))
            yield {
                name: one.ask([found[name][shuffle % rules.seeds]], near, stands_M) for name, one in questions.items()
            }  # fmt: skip
        return
    position_M = positions(wells)
    products_MM, metric = _matrix(gram), rules.metric
    if repeat.l2 is not None:
        products_MM *= np.multiply.outer(*[_lengths(repeat.l2, wells)] * 2)
        metric = "cosine"  # of rows of length 1 the squared Euclidean distance is twice the cosine's: the same neighbours
    before_MM = undo_align_gram(products_MM, position_M, repeat.align)
    for shuffle in range(shuffles):
        aligned = align_gram(before_MM, shuffled_wells(wells, shuffle), position_M, repeat.align)
        near = by_distance(aligned.distances(metric), rules)
        yield {name: one.ask(one.find(near, [shuffle % rules.seeds]), near) for name, one in questions.items()}


def _lengths(l2: Mapping[str, Any], wells: Wells) -> np.ndarray:
    """Return the lengths of the rows before l2, in the order of `wells`."""
    length_M = lengths_before_l2(l2)
    assert length_M is not None
    return length_M[wells.row_M]


def _matrix(gram: Gram) -> np.ndarray:
    """Return all inner products, float32 [M, M], a block of rows at a time."""
    everyone, out_MM = np.arange(len(gram)), np.empty((len(gram), len(gram)), dtype=np.float32)
    for start in range(0, len(gram), _ROWS):
        out_MM[start : start + _ROWS] = gram.products(everyone[start : start + _ROWS], everyone)
    return out_MM


def by_gram(gram: Gram, rules: Rules) -> Nearest:
    """Return how neighbours are found in a Gram."""

    def find(query_Q: np.ndarray, train_T: np.ndarray, apart_M: np.ndarray | None) -> Near:
        apart = [] if apart_M is None else [apart_M]
        found = gram.nearest(query_Q, train_T, rules.k, rules.metric, apart=apart, exact=rules.votes == "distance")
        return Near(found.rows_Qk, _weights(found.distance_Qk, rules))

    return find


def by_distance(distance_MM: np.ndarray, rules: Rules) -> Nearest:
    """Return how neighbours are found where all distances are known."""

    def find(query_Q: np.ndarray, train_T: np.ndarray, apart_M: np.ndarray | None) -> Near:
        distance_QT = distance_MM[np.ix_(query_Q, train_T)]
        if apart_M is not None:
            distance_QT[apart_M[query_Q][:, None] == apart_M[train_T]] = np.inf
        column_Qk = nearest(distance_QT, rules.k)
        return Near(train_T[column_Qk], _weights(np.take_along_axis(distance_QT, column_Qk, axis=1), rules))

    return find


def _weights(distance_Qk: np.ndarray, rules: Rules) -> np.ndarray | None:
    return weights(np.maximum(distance_Qk, 0), rules.metric) if rules.votes == "distance" else None
