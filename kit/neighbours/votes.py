"""What the labels of the nearest rows say of a query. Q queries."""

import numpy as np


def vote(labels_Qk: np.ndarray, ties: str) -> np.ndarray:
    """Return the label most frequent among each row's neighbours (nearest first), every neighbour counting one.

    Equal counts: `sklearn`: the smallest label, as scikit-learn's KNeighborsClassifier; `nearest`: the label whose
    nearest member comes first.
    """
    count_Qk = (labels_Qk[:, :, None] == labels_Qk[:, None, :]).sum(axis=2)
    if ties == "nearest":
        return np.take_along_axis(labels_Qk, count_Qk.argmax(axis=1)[:, None], axis=1)[:, 0]
    assert ties == "sklearn", ties
    leading_Qk = count_Qk == count_Qk.max(axis=1, keepdims=True)
    return np.where(leading_Qk, labels_Qk, np.iinfo(labels_Qk.dtype).max).min(axis=1)
