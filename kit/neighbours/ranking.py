"""Training rows in order of distance. Where rounding could change what is asked, distances are taken again, exactly.

A `Ranking` is made once for many questions: the folds of all seeds take the rows that train from the same list.

M rows, Q queries, D rows listed, K rows taken.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from kit.neighbours.products import Products

_AT_ONCE = 256  # queries whose distances are held at once
_MORE = 12  # rows looked at beyond those asked for
_DEEPER = 4  # times as many rows, where a list is too short


@dataclass(frozen=True, slots=True)
class Nearest:
    """The nearest training rows of Q queries, nearest first, of equal distances the first row.

    rows_Qk: row numbers of the Gram, int64. distance_Qk: cosine distances, or Euclidean ones squared, float64, each within
    bound_Qk of the exact one; the order is that of the exact ones.
    """

    rows_Qk: np.ndarray
    distance_Qk: np.ndarray
    bound_Qk: np.ndarray


class Ranking:
    """For each query the D nearest of its training rows, by distances as the Gram has them, and how many are surely these.

    The first `sure_Q` of a list have no unlisted row before them. apart: see `Gram.nearest`. total_Q: how many rows there are
    for a query.
    """

    def __init__(
        self, gram: Products, query_Q: np.ndarray, train_T: np.ndarray, depth: int, metric: str, apart: Sequence[np.ndarray] = ()
    ) -> None:
        self.gram, self.metric, self.query_Q, self.apart = gram, metric, query_Q, apart
        depth, Q = min(depth, len(train_T)), len(query_Q)
        self.rows_QD = np.empty((Q, depth), dtype=np.int64)
        self.distance_QD, self.bound_QD = np.empty((Q, depth)), np.zeros((Q, depth))
        self.edge_Q, self.sure_Q = np.full(Q, np.inf), np.full(Q, depth)  # no unlisted row is nearer than the edge
        self.total_Q = np.empty(Q, dtype=np.int64)
        for start in range(0, Q, _AT_ONCE):
            self._list(slice(start, start + _AT_ONCE), np.sort(train_T))

    def _list(self, part: slice, train_T: np.ndarray) -> None:
        query_Q, depth = self.query_Q[part], self.rows_QD.shape[1]
        distance_QT = self.gram.distances(query_Q, train_T, self.metric)
        bound_QT = np.broadcast_to(self.gram.bounds(query_Q, train_T, self.metric), distance_QT.shape)
        for code_M in self.apart:
            distance_QT[code_M[query_Q][:, None] == code_M[train_T][None, :]] = np.inf
        self.total_Q[part] = np.isfinite(distance_QT).sum(axis=1)
        least_QT = distance_QT if self.gram.exact else distance_QT - bound_QT
        if depth < len(train_T):
            column_QD = np.argpartition(least_QT, depth - 1, axis=1)[:, :depth]
            column_QD.sort(axis=1)  # so that a stable sort leaves equal distances in the order of rows
            self.edge_Q[part] = np.take_along_axis(least_QT, column_QD, axis=1).max(axis=1)
        else:
            column_QD = np.tile(np.arange(depth), (len(query_Q), 1))
        near_QD = np.take_along_axis(distance_QT, column_QD, axis=1)
        order_QD = np.argsort(near_QD, axis=1, kind="stable")
        column_QD, near_QD = (np.take_along_axis(array, order_QD, axis=1) for array in (column_QD, near_QD))
        self.rows_QD[part], self.distance_QD[part] = train_T[column_QD], near_QD
        self.bound_QD[part] = np.where(np.isinf(near_QD), 0.0, np.take_along_axis(bound_QT, column_QD, axis=1))
        self._count_sure(np.arange(len(self.query_Q))[part])

    def _count_sure(self, lists_Q: np.ndarray) -> None:
        ends_Q = lists_Q[np.isfinite(self.edge_Q[lists_Q])]  # the others hold every row
        most_QD = np.maximum.accumulate(self.distance_QD[ends_Q] + self.bound_QD[ends_Q], axis=1)
        self.sure_Q[ends_Q] = (most_QD < self.edge_Q[ends_Q][:, None]).sum(axis=1)

    def take(self, at_Q: np.ndarray, trains_M: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
        """Return where the first k rows that train stand in the lists `at_Q`, int64 [len(at_Q), k], and which lists have k."""
        D = self.rows_QD.shape[1]
        counts_QD = trains_M[self.rows_QD[at_Q]] & (np.arange(D) < self.sure_Q[at_Q][:, None])
        place_QD = np.cumsum(counts_QD, axis=1)
        enough_Q = place_QD[:, -1] >= k
        found_Qk = np.zeros((len(at_Q), k), dtype=np.int64)
        chosen_QD = counts_QD & (place_QD <= k) & enough_Q[:, None]
        found_Qk[enough_Q] = np.nonzero(chosen_QD)[1].reshape(-1, k)
        return found_Qk, enough_Q

    def sharpen(self, at_P: np.ndarray, column_P: np.ndarray) -> None:
        """Take the distances at these places of these lists again, exactly, and sort the lists anew."""
        rows_P = self.rows_QD[at_P, column_P]
        self.distance_QD[at_P, column_P] = self.gram.pair_distances(self.query_Q[at_P], rows_P, self.metric)
        self.bound_QD[at_P, column_P] = 0.0
        lists = np.unique(at_P)
        order_QD = np.lexsort((self.rows_QD[lists], self.distance_QD[lists]), axis=-1)
        for array in (self.rows_QD, self.distance_QD, self.bound_QD):
            array[lists] = np.take_along_axis(array[lists], order_QD, axis=1)
        self._count_sure(lists)

    def nearest(self, at_Q: np.ndarray, train_T: np.ndarray, ks: Sequence[int], *, need: str = "order") -> Nearest:
        """Return the nearest of the rows `train_T` for the queries `at_Q`, as many as the largest of `ks`.

        need: what must be exact: the `set` of the first k, for each of `ks`; their `order`; or their `distances` too.
        """
        trains_M = np.zeros(len(self.gram), dtype=bool)
        trains_M[train_T] = True
        return self._nearest(at_Q, trains_M, train_T, sorted(set(ks)), need, _MORE)

    def _nearest(
        self, at_Q: np.ndarray, trains_M: np.ndarray, train_T: np.ndarray, ks: list[int], need: str, more: int
    ) -> Nearest:
        k, wide = ks[-1], min(ks[-1] + more, len(train_T))
        column_Qk, settled_Q = self.take(at_Q, trains_M, wide)
        self._settle(at_Q, trains_M, column_Qk, settled_Q, ks, need, complete=wide == len(train_T))
        column_Qk = column_Qk[:, :k]
        found = [np.take_along_axis(array[at_Q], column_Qk, axis=1) for array in (self.rows_QD, self.distance_QD, self.bound_QD)]
        if not settled_Q.all():
            left_Q = at_Q[~settled_Q]
            depth = max(_DEEPER * self.rows_QD.shape[1], 2 * wide)
            deeper = Ranking(self.gram, self.query_Q[left_Q], train_T, depth, self.metric, self.apart)
            other = deeper._nearest(np.arange(len(left_Q)), trains_M, train_T, ks, need, _DEEPER * more)
            for array, own in zip(found, (other.rows_Qk, other.distance_Qk, other.bound_Qk), strict=True):
                array[~settled_Q] = own
        return Nearest(*found)

    def _settle(
        self, at_Q: np.ndarray, trains_M: np.ndarray, column_Qk: np.ndarray, settled_Q: np.ndarray, ks: list[int],
        need: str, complete: bool,
    ) -> None:  # fmt: skip
        """Sharpen what must be. In place: `column_Qk`, places in the lists sorted anew; `settled_Q`, whose order is certain."""
        todo = np.flatnonzero(settled_Q)
        while len(todo):
            lists, column = at_Q[todo], column_Qk[todo]
            distance, bound = (np.take_along_axis(array[lists], column, axis=1) for array in (self.distance_QD, self.bound_QD))
            unclear, open_Q = unclear_places(distance, bound, ks, need)
            if not complete:
                settled_Q[todo[open_Q]] = False
                unclear[open_Q] = False
            some_Q = unclear.any(axis=1)
            todo, lists, unclear = (array[some_Q] for array in (todo, lists, unclear))
            at, place = np.nonzero(unclear)
            self.sharpen(lists[at], column_Qk[todo][at, place])
            column_Qk[todo], settled_Q[todo] = self.take(lists, trains_M, column_Qk.shape[1])
            todo = todo[settled_Q[todo]]


def unclear_places(distance_Qk: np.ndarray, bound_Qk: np.ndarray, ks: Sequence[int], need: str) -> tuple[np.ndarray, np.ndarray]:
    """Return which rows must be looked at exactly, bool [Q, k], since rounding may have changed what is needed.

    need: a `set`: which are the first k, for one of `ks`; the `order` of all up to the last of them; or their `distances`.
    Also return for which queries, bool [Q], this may be so of rows beyond those given as well.
    """
    Q, wide = distance_Qk.shape
    if not bound_Qk.any():
        return np.zeros((Q, wide), dtype=bool), np.zeros(Q, dtype=bool)
    most_Qk = np.maximum.accumulate(distance_Qk + bound_Qk, axis=1)
    least_Qk = np.minimum.accumulate((distance_Qk - bound_Qk)[:, ::-1], axis=1)[:, ::-1]
    joined_Qk = np.zeros((Q, wide), dtype=bool)  # a row and one before it may stand the other way round
    joined_Qk[:, 1:] = least_Qk[:, 1:] <= most_Qk[:, :-1]
    run_Qk, at_Q = np.cumsum(~joined_Qk, axis=1) - 1, np.arange(Q)
    matters_Qk = np.zeros((Q, wide), dtype=bool)  # by run
    for place in ks if need == "set" else range(1, ks[-1] + 1):
        if place < wide:
            matters_Qk[at_Q, run_Qk[:, place]] |= joined_Qk[:, place]
    matters_Qk = np.take_along_axis(matters_Qk, run_Qk, axis=1)
    beyond_Q = matters_Qk[:, -1].copy()
    if need == "distances":
        matters_Qk[:, : ks[-1]] = True
    return matters_Qk & (bound_Qk > 0), beyond_Q


def nearest(distance_QT: np.ndarray, k: int) -> np.ndarray:
    """Return the k nearest columns of every row, nearest first; of equal distances the first column, int64 [Q, k]."""
    T = distance_QT.shape[1]
    assert 1 <= k <= T
    found_Qk = np.argpartition(distance_QT, k - 1, axis=1)[:, :k] if k < T else np.tile(np.arange(T), (len(distance_QT), 1))
    found_Qk.sort(axis=1)  # by column, so that the stable sort below breaks ties by column
    near_Qk = np.take_along_axis(distance_QT, found_Qk, axis=1)
    found_Qk = np.take_along_axis(found_Qk, np.argsort(near_Qk, axis=1, kind="stable"), axis=1)
    tied_Q = (distance_QT <= near_Qk.max(axis=1, keepdims=True)).sum(axis=1) > k  # the k-th distance has several columns
    if tied_Q.any():
        found_Qk[tied_Q] = np.argsort(distance_QT[tied_Q], axis=1, kind="stable")[:, :k]
    return found_Qk
