"""Average precision: how far up the wells that belong with a query stand, when all others are ranked by distance from it.

Of equal distances the wells that do not belong come first, so features that tell nothing apart retrieve nothing. (copairs puts
those that belong first: the same wherever no distance to one equals a distance to the other.)
M wells, Q queries, P positives, N negatives, R and C rows and columns of a block of distances.
"""

from collections.abc import Callable

import numpy as np

Between = Callable[[np.ndarray, np.ndarray], np.ndarray]  # rows [R], rows [C] -> their distances [R, C], such as those of a Gram


def average_precision(positive_P: np.ndarray, negative_N: np.ndarray) -> float:
    """Return the mean, over a query's positives, of the share of positives among all wells up to each: 0 to 1.

    Args:
        positive_P, negative_N: distances from the query, both ascending; at least one positive.
    """
    found_P = np.arange(1, len(positive_P) + 1)
    return float(np.mean(found_P / (found_P + np.searchsorted(negative_N, positive_P, side="right"))))
