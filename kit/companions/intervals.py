"""Bootstrap intervals of a share of hits over units that are independent: plates, or compounds."""

import numpy as np

from kit.challenge.outcomes import DRAWS, FEWEST_UNITS
from kit.challenge.outcomes import interval as interval_of
from kit.streams import Stream, generator


def interval(hit_Q: np.ndarray, unit_Q: np.ndarray) -> list[float] | None:
    """Return the 2.5th and 97.5th percentile of the share of hits over resampled units; None for fewer than three units."""
    units, code_Q = np.unique(unit_Q, return_inverse=True)
    if len(units) < FEWEST_UNITS:
        return None
    hits_U, asked_U = np.bincount(code_Q, weights=hit_Q), np.bincount(code_Q)
    drawn_DU = generator(0, Stream.INTERVALS).integers(len(units), size=(DRAWS, len(units)))
    return interval_of(hits_U[drawn_DU].sum(axis=1) / asked_U[drawn_DU].sum(axis=1))
