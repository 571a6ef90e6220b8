"""Exact Poisson counts from one table look-up: superposition and Walker's alias method. L = lambda, the mean count.

Poisson(L) = Poisson(10 A) + Poisson(q / 25.6) + Poisson(rest): sums of independent Poisson counts are Poisson. The first
two come from tables (A, q whole numbers), the rest (below 0.04) from three comparisons. For L <= 10 the first part is zero.
A table word holds the alias outcome in its high bits and the threshold of the coin in its low bits.
"""

import functools

import numpy as np
import torch
from torch import Tensor

FINE_ROWS, FINE_BITS = 256, 5  # rows of L = q / 25.6; 2**5 outcomes: P(more than 31 | L = 10) = 2.5e-8, counted as 31
COARSE_ROWS, COARSE_BITS = 32, 8  # rows of L = 10 A; 2**8 outcomes from `coarse_low(A)` on
FINE_STEP = 10 / FINE_ROWS  # 5 * 2**-7, exact in float32
LAMBDA_FINE, LAMBDA_MOST = 10.0, 320.0


def poisson_counts(rate: Tensor, words: tuple[Tensor, Tensor], coarse_word: Tensor | None = None) -> Tensor:
    """Return Poisson counts (float32) of `rate`, float32, 0 to 10 (0 to 320 with a third random word)."""
    count = torch.zeros_like(rate)
    if coarse_word is not None:
        tens = (rate * 0.1).floor().clamp(0, COARSE_ROWS - 1)
        count = (tens * 10 - 120).clamp(min=0) + _look_up(coarse_table(rate.device), tens, coarse_word, COARSE_BITS)
        rate = (rate - tens * 10).clamp(min=0)
    row = (rate * (1 / FINE_STEP)).floor().clamp(0, FINE_ROWS - 1)
    count = count + _look_up(fine_table(rate.device), row, words[0], FINE_BITS)
    rest = rate - row * FINE_STEP
    coin = (words[1] >> 1).float() * 2.0**-31  # finest near 0, where the probabilities are
    for least in _survival(rest):
        count = count + (coin < least)
    return count


def _survival(rest: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """P(count >= 1, 2, 3) for a mean below 0.04, to 1e-8; P(>= 4) < 1e-7 is left out."""
    one = rest * (1 - rest * (1 / 2 - rest * (1 / 6 - rest * (1 / 24))))
    two = rest * rest * (1 / 2 - rest * (1 / 3 - rest * (1 / 8)))
    three = rest * rest * rest * (1 / 6 - rest * (1 / 8))
    return one, two, three


def _look_up(table: Tensor, row: Tensor, word: Tensor, bits: int) -> Tensor:
    shift = 32 - bits
    column, coin = word >> shift, word & (1 << shift) - 1
    entry = table[(row.long() << bits) + column].long() & 0xFFFFFFFF
    return torch.where(coin < (entry & (1 << shift) - 1), column, entry >> shift).float()


@functools.cache
def fine_table(device: torch.device | str) -> Tensor:
    """Return the table of L = 0 to 255 / 25.6, int32 [256 * 32] (bit patterns of uint32), on the device."""
    rows = [alias_row(poisson_pmf(row * FINE_STEP, 0, 1 << FINE_BITS), FINE_BITS) for row in range(FINE_ROWS)]
    return torch.from_numpy(np.concatenate(rows).view(np.int32)).to(device)


@functools.cache
def coarse_table(device: torch.device | str) -> Tensor:
    """Return the table of L = 0, 10 ... 310, int32 [32 * 256], on the device."""
    rows = [alias_row(poisson_pmf(10.0 * a, coarse_low(a), 1 << COARSE_BITS), COARSE_BITS) for a in range(COARSE_ROWS)]
    return torch.from_numpy(np.concatenate(rows).view(np.int32)).to(device)


def coarse_low(tens: int) -> int:
    """Return the least outcome that the coarse row of L = 10 * tens can give: at least 6.8 SD below the mean."""
    return max(0, 10 * tens - 120)


def poisson_pmf(rate: float, least: int, outcomes: int) -> np.ndarray:
    """Return P(count = least ... least + outcomes - 1), float64; the mass outside is added to the two ends."""
    far = least + outcomes + int(12 * np.sqrt(rate)) + 60
    log_factorial = np.concatenate([[0.0], np.cumsum(np.log(np.arange(1, far)))])
    count = np.arange(far)
    pmf = np.exp(count * np.log(rate) - rate - log_factorial) if rate > 0 else (count == 0).astype(float)
    inside = pmf[least : least + outcomes].copy()
    inside[0] += pmf[:least].sum()
    inside[-1] += pmf[least + outcomes :].sum()
    return inside / inside.sum()


def alias_row(pmf: np.ndarray, bits: int) -> np.ndarray:
    """Return Vose's alias table of one distribution over 2**bits outcomes, uint32."""
    outcomes, whole = 1 << bits, 1 << (32 - bits)
    share = pmf * outcomes
    alias = np.arange(outcomes)
    small = [k for k in range(outcomes) if share[k] < 1]
    large = [k for k in range(outcomes) if share[k] >= 1]
    keep = np.ones(outcomes)
    while small and large:
        poor, rich = small.pop(), large[-1]
        keep[poor], alias[poor] = share[poor], rich
        share[rich] -= 1 - share[poor]
        if share[rich] < 1:
            small.append(large.pop())
    threshold = np.minimum(np.rint(keep * whole), whole - 1).astype(np.uint64)  # a column that keeps all has itself as alias
    return (alias.astype(np.uint64) << np.uint64(32 - bits) | threshold).astype(np.uint32)
