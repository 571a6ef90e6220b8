"""The Gram: distances of any rows, and the nearest of them. M rows, Q queries, T training rows."""

from collections.abc import Sequence

import numpy as np

from kit.neighbours.products import Products
from kit.neighbours.ranking import Nearest, Ranking

_MORE = 20  # rows listed beyond those asked for


class Gram(Products):
    """The inner products of M rows, kept once; nearest rows and distances of any queries are read from them."""

    def nearest(
        self, query_Q: np.ndarray, train_T: np.ndarray, k: int, metric: str, *, apart: Sequence[np.ndarray] = (),
        exact: bool = False,
    ) -> Nearest:  # fmt: skip
        """Return the k nearest training rows of every query.

        Args:
            query_Q, train_T: row numbers; a query that trains is its own nearest. k: at least 1.
            metric: `cosine` or `euclidean`.
            apart: arrays [M] of codes, such as plate or position: rows that share one with the query do not count for it.
            exact: whether the distances must be those of float64, as votes by distance need them; the order always is.

        Raises:
            ValueError: a query has fewer than k rows that count.
        """
        ranking = Ranking(self, query_Q, train_T, k + _MORE, metric, apart)
        fewest = int(ranking.total_Q.min(initial=len(train_T)))
        if k > fewest:
            raise ValueError(f"a query has only {fewest} rows that count: {k} are wanted")
        return ranking.nearest(np.arange(len(query_Q)), train_T, [k], need="distances" if exact else "order")
