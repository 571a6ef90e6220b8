"""Alignment on the Gram matrix of the wells: what it does to features, done to their inner products, of wells in any order.

Alignment is a linear map of the rows, T = own I + shared P, with P the mean over all plates at a row's well position, so the
Gram after it is T G T'. As P P = P, alignment with a > 0 is undone by another T: own = 1/a, shared = -(1 - a)/a.

M wells, W well positions, Q wells of a block of rows.
"""

from collections.abc import Iterator

import numpy as np

_ROWS = 32  # of the Gram, made together: a block stays in the processor's cache


class Mixed:
    """T G T' for the Gram G of wells at `position_M`, where well m has row `order_M[m]` of it; made a block of rows at a time."""

    def __init__(self, gram_MM: np.ndarray, order_M: np.ndarray, position_M: np.ndarray, own: float, shared: float) -> None:
        self.gram_MM, self.order_M = gram_MM, order_M
        sort_M = np.argsort(position_M, kind="stable")
        _, self.start_W, code_M, count_W = np.unique(
            position_M[sort_M], return_index=True, return_inverse=True, return_counts=True
        )
        self.of_M = np.empty_like(code_M)  # the number of each well's position
        self.of_M[sort_M] = code_M
        self.sorted_M = order_M[sort_M]
        self.own = gram_MM.dtype.type(own)
        self.shared_W = (shared / count_W).astype(gram_MM.dtype)
        self.mean_WM = self._sum_rows() * self.shared_W[:, None]  # shared P G

    def blocks(self) -> Iterator[tuple[slice, np.ndarray]]:
        """Yield rows of T G T' and which they are, in the dtype of G."""
        for start in range(0, len(self.of_M), _ROWS):
            rows = slice(start, start + _ROWS)
            half_QM = self.gram_MM[self.order_M[rows]]  # becomes T G: rows mixed, columns not yet
            half_QM *= self.own
            half_QM += self.mean_WM[self.of_M[rows]]
            mean_QW = np.add.reduceat(half_QM.take(self.sorted_M, axis=1), self.start_W, axis=1) * self.shared_W
            mixed_QM = half_QM.take(self.order_M, axis=1)
            mixed_QM *= self.own
            mixed_QM += mean_QW.take(self.of_M, axis=1)
            yield rows, mixed_QM

    def matrix(self) -> np.ndarray:
        """Return T G T', [M, M]."""
        return np.concatenate([block_QM for _, block_QM in self.blocks()])

    def distances(self, metric: str) -> np.ndarray:
        """Return what `neighbours.distances` gives of T G T', without holding that; a row of zeros is at 1 from all."""
        square_M = self._diagonal()
        out_MM = np.empty_like(self.gram_MM)
        length_M = np.sqrt(np.where(square_M > 0, square_M, 1))
        for rows, mixed_QM in self.blocks():
            if metric == "cosine":
                mixed_QM /= length_M
                mixed_QM /= length_M[rows, None]
                np.subtract(1, mixed_QM, out=out_MM[rows])
            else:
                mixed_QM *= -2
                mixed_QM += square_M
                np.add(mixed_QM, square_M[rows, None], out=out_MM[rows])
        return out_MM

    def _diagonal(self) -> np.ndarray:
        code_M = np.repeat(np.arange(len(self.start_W)), np.diff(np.append(self.start_W, len(self.of_M))))
        mean_W = np.add.reduceat(self.mean_WM[code_M, self.sorted_M], self.start_W) * self.shared_W
        own_M = self.gram_MM[self.order_M, self.order_M]
        return self.own**2 * own_M + 2 * self.own * self.mean_WM[self.of_M, self.order_M] + mean_W[self.of_M]

    def _sum_rows(self) -> np.ndarray:
        """Return P G times the wells at each position, [W, M], copying few rows at a time."""
        end_W = np.append(self.start_W[1:], len(self.sorted_M))
        sums_WM = np.empty((len(end_W), self.gram_MM.shape[1]), dtype=self.gram_MM.dtype)
        for sum_M, start, end in zip(sums_WM, self.start_W, end_W, strict=True):
            np.sum(self.gram_MM[self.sorted_M[start:end]], axis=0, out=sum_M)
        return sums_WM


def align_gram(gram_MM: np.ndarray, order_M: np.ndarray, position_M: np.ndarray, a: float) -> Mixed:
    """Return the Gram that `profiles.align.align` leaves where well m is given the features of row order_M[m]."""
    return Mixed(gram_MM, order_M, position_M, a, 1 - a)


def undo_align_gram(gram_MM: np.ndarray, position_M: np.ndarray, a: float) -> np.ndarray:
    """Return the Gram of the features that `align` was given; all rows that it saw must be there, and a above 0."""
    assert a > 0
    return Mixed(gram_MM, np.arange(len(gram_MM)), position_M, 1 / a, -(1 - a) / a).matrix()
