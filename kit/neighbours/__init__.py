"""k nearest neighbours from one Gram matrix: every fold, direction, k and metric is read from it. The only k-NN in kit.

    gram = Gram.of(features_MF)                        # once
    found = gram.nearest(query_Q, train_T, 5, "cosine", apart=[position_M])   # row numbers, distances; a position, say, dropped
    said_Q = vote(label_M[found.rows_Qk], "sklearn")   # other labels, such as shuffled ones, need no other neighbours
    distance_QT = gram.distances(query_Q, train_T, "cosine")

Of equal distances the first training row counts; `kit score` sorts wells by plate, then well. scikit-learn takes any of
them, so predictions equal its KNeighborsClassifier's, on float64, where no two distances of a query are equal.
"""

from kit.neighbours.products import distances, gram
from kit.neighbours.ranking import Nearest, Ranking, nearest
from kit.neighbours.search import Gram
from kit.neighbours.votes import LAST, Votes, count_votes, narrowest, vote, weights

__all__ = [
    "LAST", "Gram", "Nearest", "Ranking", "Votes", "count_votes", "distances", "gram", "narrowest", "nearest", "vote", "weights",
]  # fmt: skip
