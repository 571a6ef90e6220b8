"""Scores of wells whose replicates lie on other plates of the same week: compound, treatment, mechanism; paired tests.

M wells, F features. A table of wells has the columns plate, week, compound, treatment and mechanism, all text.
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from kit.errors import KitError
from kit.neighbours import distances, gram, nearest

ASKED = ("compound", "treatment", "mechanism")
FLIPS = 10_000  # of signs, in a paired test
_BLOCK = 500  # of them drawn at once
_NONE = np.inf  # the distance of a well that may not be a neighbour


def standardised(features_MF: np.ndarray, fitted_M: np.ndarray | None = None) -> np.ndarray:
    """Return the columns with mean 0 and standard deviation 1, the whole with total variance 1; a constant column is 0.

    fitted_M: bool; the rows that this is true of. Default: all.
    """
    fitted_M = np.ones(len(features_MF), dtype=bool) if fitted_M is None else fitted_M
    centred_MF = features_MF.astype(np.float64) - features_MF[fitted_M].mean(axis=0)
    sd_F = centred_MF[fitted_M].std(axis=0)
    varies_F = sd_F > 1e-9 * max(sd_F.max(), 1e-300)
    return np.divide(centred_MF, sd_F, out=np.zeros_like(centred_MF), where=varies_F) / np.sqrt(max(varies_F.sum(), 1))


def correct(blocks: Sequence[np.ndarray], wells: pd.DataFrame) -> dict[str, np.ndarray]:
    """Return for each of ASKED whether the nearest eligible well (1-NN, cosine) has the label of each well: bool [M].

    Eligible are wells of other plates of the same week; for the mechanism, of other compounds as well. Within each week every
    block [M, F] is standardised, so that blocks count the same whatever their width; no label is used.
    """
    found = {name: np.zeros(len(wells), dtype=bool) for name in ASKED}
    for rows in wells.groupby("week", sort=True).indices.values():
        week = wells.iloc[rows]
        features_MF = np.hstack([standardised(block_MF[rows]) for block_MF in blocks])
        distance_MM = distances(gram(features_MF.astype(np.float32)), "cosine")
        for name in ASKED:
            label_M = week[name].to_numpy(dtype=str)
            asked_MM = np.where(eligible(week, name), distance_MM, _NONE)
            found[name][rows] = label_M[nearest(asked_MM, 1)[:, 0]] == label_M
    return found


def eligible(week: pd.DataFrame, asked: str) -> np.ndarray:
    """Return which wells of a week may be the neighbours of which, bool [M, M].

    Raises:
        KitError: a well has none.
    """
    plate_M, compound_M = week["plate"].to_numpy(dtype=str), week["compound"].to_numpy(dtype=str)
    allowed_MM = plate_M[:, None] != plate_M[None]
    if asked == "mechanism":
        allowed_MM &= compound_M[:, None] != compound_M[None]
    if not allowed_MM.any(axis=1).all():
        lone = week.iloc[int(np.flatnonzero(~allowed_MM.any(axis=1))[0])]
        of = "of another compound on another plate" if asked == "mechanism" else "on another plate"
        raise KitError(
            f"{lone['compound']} on plate {lone['plate']} has no well {of} of {lone['week']} to be named by, which the score "
            f"of the {asked} needs: score other weeks by --weeks"
        )
    return allowed_MM


def guess(wells: pd.DataFrame) -> dict[str, np.ndarray]:
    """Return for each of ASKED what drawing any eligible well would score, per well: float64 [M]. It knows the week alone."""
    found = {name: np.zeros(len(wells)) for name in ASKED}
    for rows in wells.groupby("week", sort=True).indices.values():
        week = wells.iloc[rows]
        for name in ASKED:
            label_M, allowed_MM = week[name].to_numpy(dtype=str), eligible(week, name)
            found[name][rows] = ((label_M[:, None] == label_M[None]) & allowed_MM).sum(axis=1) / allowed_MM.sum(axis=1)
    return found


def shuffled_rows(group_M: np.ndarray, seed: int) -> np.ndarray:
    """Return the rows in an order that leaves each in its group, int64 [M]; groups of one row alone count as one group."""
    names, group_M = np.unique(group_M, return_inverse=True)
    group_M = np.zeros_like(group_M) if len(names) == len(group_M) else group_M
    return np.lexsort((np.random.default_rng(seed).random(len(group_M)), group_M))[np.argsort(np.argsort(group_M, kind="stable"))]


def paired_p(better_M: np.ndarray, worse_M: np.ndarray, group_M: np.ndarray | None = None, *, seed: int = 0) -> float:
    """Return the one-sided p of a mean difference over wells at least this large, the sign of each well's difference being free.

    Args:
        better_M, worse_M: scores of the same wells, means over seeds.
        group_M: names; wells of a group share their sign. Default: each has its own.
    """
    difference_M = np.asarray(better_M, dtype=np.float64) - worse_M
    if group_M is not None:
        difference_M = np.bincount(np.unique(group_M, return_inverse=True)[1], weights=difference_M)
    rng, at_least = np.random.default_rng(seed), difference_M.sum() - 1e-9
    found = 0
    for start in range(0, FLIPS, _BLOCK):
        signs_FM = rng.choice([-1.0, 1.0], size=(min(_BLOCK, FLIPS - start), len(difference_M)))
        found += int((signs_FM @ difference_M >= at_least).sum())
    return (1 + found) / (1 + FLIPS)
