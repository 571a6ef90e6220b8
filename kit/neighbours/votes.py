"""What the labels of the nearest rows say of a query. Q queries, K rows taken, of which the first k vote."""

from collections.abc import Iterator, Sequence
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
    votes_Qk = (same_Qkk if weight_Qk is None else same_Qkk * weight_Qk[:, None, :]).sum(axis=2)
    return _leader(labels_Qk.T, votes_Qk.T, ties)


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
    order_K1 = np.arange(labels_QK.shape[1])[:, None]
    for start in range(0, len(true_Q), _AT_ONCE):
        part = slice(start, start + _AT_ONCE)
        labels_KQ, true = np.ascontiguousarray(labels_QK[part].T), true_Q[part]
        first_KQ = _first_of_label(labels_KQ)
        leads_KQ = first_KQ == order_K1
        at_Q = _first_place((labels_KQ == true) & leads_KQ)
        sooner = {rule: leads_KQ & (order_K1 < at_Q if rule == "nearest" else labels_KQ < true) for rule in ties}
        for k, votes_kQ in _totals(first_KQ, ks, None if weight_QK is None else weight_QK[part]):
            for rule in ties:
                found[k, rule].said_Q[part] = _leader(labels_KQ[:k], votes_kQ, rule)
                found[k, rule].place_Q[part] = _place(votes_kQ, leads_KQ[:k], sooner[rule][:k], at_Q)
    return found


def narrowest(labels_QK: np.ndarray, ks: Sequence[int], weight_QK: np.ndarray, places: Sequence[int]) -> np.ndarray:
    """Return by how much of its votes a label leads the next one, at the closest of these places and ks: float64 [Q], 0 to 1."""
    lead_Q = np.ones(len(labels_QK))
    for start in range(0, len(labels_QK), _AT_ONCE):
        part = slice(start, start + _AT_ONCE)
        first_KQ = _first_of_label(np.ascontiguousarray(labels_QK[part].T))
        for k, votes_kQ in _totals(first_KQ, ks, weight_QK[part]):
            sorted_Qk = np.sort(votes_kQ.T, axis=1)
            for place in places:
                if place < k:
                    ahead, after = sorted_Qk[:, k - place], sorted_Qk[:, k - place - 1]
                    lead = 1 - np.divide(after, ahead, out=np.zeros_like(after), where=ahead > 0)
                    lead_Q[part] = np.minimum(lead_Q[part], np.where(after > 0, lead, 1.0))
    return lead_Q


def _first_of_label(labels_KQ: np.ndarray) -> np.ndarray:
    """Return for every neighbour the place of the nearest one with its label, [K, Q]."""
    first_KQ = np.tile(np.arange(len(labels_KQ))[:, None], labels_KQ.shape[1])
    for place in range(len(labels_KQ) - 2, -1, -1):
        np.copyto(first_KQ[place + 1 :], place, where=labels_KQ[place + 1 :] == labels_KQ[place])
    return first_KQ


def _totals(first_KQ: np.ndarray, ks: Sequence[int], weight_QK: np.ndarray | None) -> Iterator[tuple[int, np.ndarray]]:
    """Yield each k and the votes of the first k neighbours, [k, Q]: a label's stand at its nearest one, 0 at the others.

    Read them before the next k: the array is the same.
    """
    K, Q = first_KQ.shape
    votes_KQ = np.zeros((K, Q), dtype=np.min_scalar_type(K) if weight_QK is None else np.float64)
    flat, at_KQ, counted = votes_KQ.reshape(-1), first_KQ * Q + np.arange(Q), 0
    for k in sorted(ks):
        for place in range(counted, k):  # one by one: sums are rounded in the order of the neighbours
            flat[at_KQ[place]] += 1 if weight_QK is None else weight_QK[:, place]
        counted = k
        yield k, votes_KQ[:k]


def _first_place(holds_kQ: np.ndarray) -> np.ndarray:
    """Return the first place of each query that holds, int64 [Q]; k where none does."""
    k = len(holds_kQ)
    return np.where(holds_kQ, np.arange(k)[:, None], k).min(axis=0)


def _leader(labels_kQ: np.ndarray, votes_kQ: np.ndarray, ties: str) -> np.ndarray:
    leading_kQ = votes_kQ == votes_kQ.max(axis=0)
    if ties == "nearest":
        return np.take_along_axis(labels_kQ, _first_place(leading_kQ)[None], axis=0)[0]
    assert ties == "sklearn", ties
    return np.where(leading_kQ, labels_kQ, np.iinfo(labels_kQ.dtype).max).min(axis=0)


def _place(votes_kQ: np.ndarray, leads_kQ: np.ndarray, sooner_kQ: np.ndarray, at_Q: np.ndarray) -> np.ndarray:
    """Return how many labels stand before the true one, which stands at `at_Q`: by votes, then those that are `sooner`."""
    k = len(votes_kQ)
    own_1Q = np.take_along_axis(votes_kQ, np.minimum(at_Q, k - 1)[None], axis=0)
    ahead_kQ = (leads_kQ & (votes_kQ > own_1Q)) | (sooner_kQ & (votes_kQ == own_1Q))
    ahead_Q = ahead_kQ.sum(axis=0, dtype=np.min_scalar_type(k))
    return np.where((at_Q < k) & (own_1Q[0] > 0), ahead_Q.astype(np.int64), LAST)
