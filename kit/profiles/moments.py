"""Mean and scatter of rows that come in blocks, in float64: the rows are never in memory together. N rows, F features."""

import numpy as np


class Moments:
    """The number, mean and scatter (the sum of squares and products about the mean) of all rows added so far.

    full: scatter_FF of every pair of columns; otherwise scatter_F of each column alone.
    """

    def __init__(self, features: int, *, full: bool) -> None:
        self.rows = 0
        self.mean_F = np.zeros(features)
        self.full = full
        self.scatter = np.zeros((features, features) if full else features)

    def add(self, rows_NF: np.ndarray) -> None:
        """Take in more rows (Chan, Golub and LeVeque 1979: exact up to rounding, however far the mean is from zero)."""
        N = len(rows_NF)
        if not N:
            return
        rows_NF = rows_NF.astype(np.float64)
        mean_F = rows_NF.mean(axis=0)
        rows_NF -= mean_F
        away_F, total = mean_F - self.mean_F, self.rows + N
        between = np.outer(away_F, away_F) if self.full else away_F**2
        within = rows_NF.T @ rows_NF if self.full else np.einsum("nf,nf->f", rows_NF, rows_NF)
        self.scatter += within + between * (self.rows * N / total)
        self.mean_F += away_F * (N / total)
        self.rows = total

    @property
    def covariance(self) -> np.ndarray:
        """The covariance [F, F], or the variances [F] (ddof 1); 0 of a single row."""
        return self.scatter / max(self.rows - 1, 1)
