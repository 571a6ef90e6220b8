"""What the labels of the nearest rows say of a query. Q queries, K rows taken, of which the first k vote."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

_AT_ONCE = 512  # queries whose votes are counted at once
LAST = np.iinfo(np.int64).max  # the place of a label without a vote


def vote(labels_Qk: np.ndarray, ties: str, weight_Qk: np.ndarray | None = None) -> np.ndarray:
    """Return the label with most votes among each row's neighbours (nearest first), every neighbour counting one or its weight.

    Equal counts: `sklearn`: the smallest label, as scikit-learn's KNeighborsClassifier; `nearest`: the label whose
    nearest member comes first.
    """
    same_Qkk = labels_Qk[:, :, None] == labels_Qk[:, None, :]
    return _leader(labels_Qk, (same_Qkk if weight_Qk is None else same_Qkk * weight_Qk[:, None, :]).sum(axis=2), ties)


def weights(distance_Qk: np.ndarray, metric: str) -> np.ndarray:
    """Return one over each distance (Euclidean ones are given squared); where some are 0, these alone count, one each."""
    distance_Qk = np.sqrt(distance_Qk) if metric == "euclidean" else distance_Qk
    zero_Qk = distance_Qk <= 0
    weight_Qk = 1 / np.where(zero_Qk, 1.0, distance_Qk)
    return np.where(zero_Qk.any(axis=1, keepdims=True), zero_Qk, weight_Qk)


@dataclass(frozen=True, slots=True)
class Votes:
    """said_Q: the label with most votes. place_Q: how many labels stand before the true one, LAST if none voted for it."""

    said_Q: np.ndarray
    place_Q: np.ndarray


def count_votes(
    labels_QK: np.ndarray, true_Q: np.ndarray, ks: Sequence[int], ties: Sequence[str], weight_QK: np.ndarray | None = None
) -> dict[tuple[int, str], Votes]:
    """Return the votes of the first k neighbours by each rule of ties (see `vote`), for every k at once: {(k, ties): Votes}."""
    found: dict[tuple[int, str], Votes] = {
        (k, rule): Votes(np.empty_like(true_Q), np.empty_like(true_Q)) for k in ks for rule in ties
    }
    before_KK = np.tri(labels_QK.shape[1], k=-1, dtype=bool)
    for start in range(0, len(true_Q), _AT_ONCE):
        part = slice(start, start + _AT_ONCE)
        labels, true = labels_QK[part], true_Q[part]
        same = labels[:, :, None] == labels[:, None, :]
        first = ~(same & before_KK).any(axis=2)  # a label counts where its nearest member stands
        total = np.cumsum(same, axis=2, dtype=np.uint8) if weight_QK is None else np.cumsum(same * weight_QK[part, None], axis=2)
        for k in ks:
            for rule in ties:
                own, votes = labels[:, :k], total[:, :k, k - 1]
                found[k, rule].said_Q[part] = _leader(own, votes, rule)
                found[k, rule].place_Q[part] = _place(own, votes, first[:, :k], true, rule)
    return found


def narrowest(labels_QK: np.ndarray, ks: Sequence[int], weight_QK: np.ndarray, places: Sequence[int]) -> np.ndarray:
    """Return by how much of its votes a label leads the next one, at the closest of these places and ks: float64 [Q], 0 to 1."""
    lead_Q = np.ones(len(labels_QK))
    before_KK = np.tri(labels_QK.shape[1], k=-1, dtype=bool)
    for start in range(0, len(labels_QK), _AT_ONCE):
        part = slice(start, start + _AT_ONCE)
        labels = labels_QK[part]
        same = labels[:, :, None] == labels[:, None, :]
        first = ~(same & before_KK).any(axis=2)
        total = np.cumsum(same * weight_QK[part, None], axis=2)
        for k in ks:
            votes = -np.sort(-np.where(first[:, :k], total[:, :k, k - 1], 0.0), axis=1)
            for place in places:
                if place < k:
                    ahead, after = votes[:, place - 1], votes[:, place]
                    lead = 1 - np.divide(after, ahead, out=np.zeros_like(after), where=ahead > 0)
                    lead_Q[part] = np.minimum(lead_Q[part], np.where(after > 0, lead, 1.0))
    return lead_Q


def _leader(labels_Qk: np.ndarray, votes_Qk: np.ndarray, ties: str) -> np.ndarray:
    if ties == "nearest":
        return np.take_along_axis(labels_Qk, votes_Qk.argmax(axis=1)[:, None], axis=1)[:, 0]
    assert ties == "sklearn", ties
    leading_Qk = votes_Qk == votes_Qk.max(axis=1, keepdims=True)
    return np.where(leading_Qk, labels_Qk, np.iinfo(labels_Qk.dtype).max).min(axis=1)


def _place(labels_Qk: np.ndarray, votes_Qk: np.ndarray, first_Qk: np.ndarray, true_Q: np.ndarray, ties: str) -> np.ndarray:
    """Return how many labels stand before the true one, by votes, then by the rule of ties."""
    true_Qk = (labels_Qk == true_Q[:, None]) & first_Qk
    found_Q, at_Q = true_Qk.any(axis=1), true_Qk.argmax(axis=1)
    own_Q1 = np.take_along_axis(votes_Qk, at_Q[:, None], axis=1)
    sooner_Qk = np.arange(labels_Qk.shape[1]) < at_Q[:, None] if ties == "nearest" else labels_Qk < true_Q[:, None]
    ahead_Qk = first_Qk & ((votes_Qk > own_Q1) | ((votes_Qk == own_Q1) & sooner_Qk))
    return np.where(found_Q & (own_Q1[:, 0] > 0), ahead_Qk.sum(axis=1), LAST)
