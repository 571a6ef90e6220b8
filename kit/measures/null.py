"""What average precision is worth without any signal: every order of a query's wells equally likely.

With P positives among N ranked wells there are "N choose P" orders. One pass over the ranks gives the distribution of average
precision over all of them, for every P and N up to the largest, on a grid; where a fine grid would cost too much, orders are
drawn instead.
P positives, N ranked wells.
"""

import functools
import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from kit.errors import UsageError
from kit.streams import Stream, generator

GRID = 4096  # steps of average precision from 0 to 1
DRAWS = 100_000  # orders, where no grid is fine enough
_COARSEST, _ADDITIONS = 1024, 4e8  # of one pass: steps for each positive while sums build up, and what it may cost
_KEYS = 1 << 22  # random keys at once
_FLOOR = 1e-13  # of p: what a Fourier transform's rounding may hide

Kind = tuple[int, int]  # positives and all ranked wells of a query; queries alike in both have one null
_Block = tuple[Kind, int, int]  # a null, the number of queries that share one value of it, the number of such values


@dataclass(frozen=True, kw_only=True, slots=True)
class NullRule:
    """How a mean over queries is held against chance.

    queries: `shared`: queries with equally many positives and negatives draw one value between them, as in copairs: a
    compound's replicates find each other, so they hit or miss together. `each`: every query draws its own, which takes
    replicates for independent and calls more compounds retrieved.
    draws: 0 is the exact distribution, up to a quarter of a thousandth in average precision, which counts against the compound;
    else so many random orders of `seed`, p = (hits + 1) / (draws + 1).
    beyond: count only nulls above the mean, not those equal to it, as copairs does: too small a p where positives are few.
    """

    queries: str = "shared"
    draws: int = 0
    seed: int = 0
    beyond: bool = False

    def __post_init__(self) -> None:
        if self.queries not in ("shared", "each"):
            raise UsageError(f"null {self.queries}: need shared or each")
        if self.draws < 0:
            raise UsageError(f"null of {self.draws} draws: need 0 (exact) or more")

    def text(self) -> str:
        """Return the rule in words."""
        how = f"{self.draws:,} random orders" if self.draws else "exact"
        return f"{how}, one null {'shared by like queries' if self.queries == 'shared' else 'per query'}"


class Nulls:
    """The nulls of every kind of query in one analysis."""

    def __init__(self, kinds: Iterable[Kind], rule: NullRule) -> None:
        self.rule = rule
        self._exact, self._margin = ({}, 0.0) if rule.draws else exact_nulls(kinds)
        self._orders = functools.lru_cache(maxsize=256)(self._draw)
        self._tails = functools.lru_cache(maxsize=256)(self._tail)

    def p_value(self, mean: float, kinds: Sequence[Kind]) -> float:
        """Return the probability that queries of these kinds have a mean average precision of `mean` or more."""
        counts = Counter(kinds)
        if any(kind not in self._exact for kind in counts):
            return self._drawn(mean, counts)
        shared = self.rule.queries == "shared"
        unit = math.gcd(*counts.values()) if shared else 1
        blocks = tuple((kind, *((n // unit, 1) if shared else (1, n))) for kind, n in sorted(counts.items()))
        tail = self._tails(blocks)
        least = mean + (self._margin if self.rule.beyond else -self._margin)
        first = max(math.ceil(least * (len(tail) - 1)), 0)
        return float(tail[first]) if first < len(tail) else 0.0

    def _tail(self, blocks: tuple[_Block, ...]) -> np.ndarray:
        """Return the probability of at least 0, 1 ... in steps of the mean from 0 to 1."""
        (kind, shares, values), *others = blocks
        if not others and (shares, values) == (1, 1):
            return np.minimum(np.cumsum(self._exact[kind][::-1])[::-1], 1.0)
        steps = GRID * sum(shares * values for _, shares, values in blocks)
        size = 1 << steps.bit_length()
        product = np.ones(size // 2 + 1, complex)
        for kind, shares, values in blocks:
            stretched = np.zeros(size)
            stretched[: shares * GRID + 1 : shares] = self._exact[kind]
            product *= np.fft.rfft(stretched) ** values
        sums = np.maximum(np.fft.irfft(product, size)[: steps + 1], 0.0)
        return np.minimum(np.cumsum(sums[::-1])[::-1] + _FLOOR, 1.0)

    def _drawn(self, mean: float, counts: Counter[Kind]) -> float:
        draws = self.rule.draws or DRAWS
        total = np.zeros(draws)
        for (P, N), n in sorted(counts.items()):
            if self.rule.queries == "shared":
                total += n * self._orders(P, N, 0)
            else:
                total += sum(self._orders(P, N, query) for query in range(n))
        total /= counts.total()
        least = mean + (1e-9 if self.rule.beyond else -1e-9)  # equal means may differ by their rounding
        return (int((total >= least).sum()) + 1) / (draws + 1)

    def _draw(self, P: int, N: int, query: int) -> np.ndarray:
        """Return the average precision of random orders; a kind and query give the same ones in every analysis of a seed."""
        draws = self.rule.draws or DRAWS
        numbers = generator(self.rule.seed, Stream.ORDERS, P, N, query)
        found_P, of = np.arange(1, P + 1), np.empty(draws)
        rows = max(1, _KEYS // N)
        for start in range(0, draws, rows):
            keys = numbers.random((min(rows, draws - start), N), dtype=np.float32)
            rank_P = np.sort(np.argpartition(keys, P - 1, axis=1)[:, :P], axis=1) + 1
            of[start : start + len(keys)] = (found_P / rank_P).mean(axis=1)
        return of


def exact_nulls(kinds: Iterable[Kind]) -> tuple[dict[Kind, np.ndarray], float]:
    """Return the distribution of average precision of each kind, probabilities on GRID + 1 values from 0 to 1.

    And by how much, at most, the grid moves a mean of it. Kinds with too many positives and wells are left out.
    """
    found: dict[Kind, np.ndarray] = {}
    margin = 0.0
    waiting = sorted({kind for kind in kinds if _additions([kind], _COARSEST) <= _ADDITIONS})
    while waiting:
        together = [waiting.pop()]
        while waiting and _additions([*together, waiting[-1]], _COARSEST) <= _ADDITIONS:
            together.append(waiting.pop())
        steps = min(GRID, int(_ADDITIONS / _additions(together, 1)))
        found |= _one_pass(together, steps)
        margin = max(margin, 0.5 / steps + 0.5 / GRID)
    return found, margin


def _additions(kinds: list[Kind], steps: int) -> float:
    return max(P for P, _ in kinds) ** 2 / 2 * max(N for _, N in kinds) * steps


def _one_pass(kinds: list[Kind], steps: int) -> dict[Kind, np.ndarray]:
    """Return the distributions of kinds, each positive's precision rounded to 1 / steps.

    Of r ranks with i positives among them, the last rank holds a positive with probability i / r and then adds the precision
    i / r; the ranks before it hold i - 1 of r - 1, or all i. So all kinds with up to P positives come from one pass over N.
    """
    most_P, most_N = max(P for P, _ in kinds), max(N for _, N in kinds)
    of_sum = [np.ones(1), *(np.zeros(i * steps + 1) for i in range(1, most_P + 1))]
    found, wanted = {}, set(kinds)
    for r in range(1, most_N + 1):
        for i in range(min(r, most_P), 0, -1):
            here = round(steps * i / r)
            of_sum[i] *= 1 - i / r
            of_sum[i][here : here + len(of_sum[i - 1])] += i / r * of_sum[i - 1]
        for P in range(1, most_P + 1):
            if (P, r) in wanted:
                step = np.rint(np.arange(P * steps + 1) * (GRID / (P * steps))).astype(np.int64)
                found[P, r] = np.bincount(step, weights=of_sum[P], minlength=GRID + 1)
    return found
