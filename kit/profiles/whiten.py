"""Whitening fitted on the control wells of all plates pooled. M wells, N control wells, F features, R rank (at most N - 1).

With many features and few controls the F x F covariance is never formed: its R eigenvectors come from the N x N Gram of
the controls, and a matrix function f of (covariance + ridge) is f(ridge) I plus a correction of rank R.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from kit.errors import KitError
from kit.profiles.controls import Controls, choose_controls
from kit.profiles.table import PLATE, Profiles

RIDGE = 0.1  # of the mean eigenvalue of the controls' covariance (its trace over F)
CORAL_RIDGE = 1.0  # added to both covariances of the whitened controls; deep CORAL's value for unit variances
_RANK = 1e-10  # eigenvalues below this share of the largest are rounding


@dataclass(frozen=True, slots=True)
class Covariance:
    """A covariance by its eigenvectors: V diag(variance) V'; every other direction has none."""

    vectors_FR: np.ndarray
    variance_R: np.ndarray

    def apply(self, function: Callable, rows_MF: np.ndarray) -> np.ndarray:
        """Return rows times function(covariance), the function of the eigenvalues taken over all F directions."""
        gain_R, rest = function(self.variance_R), float(function(np.zeros(1))[0])
        whole = len(gain_R) == len(self.vectors_FR)  # then no direction is left over, and no cancellation either
        vectors_FR = self.vectors_FR.astype(rows_MF.dtype, copy=False)
        out_MF = (rows_MF @ vectors_FR * (gain_R if whole else gain_R - rest).astype(rows_MF.dtype)) @ vectors_FR.T
        if not whole:
            out_MF += rest * rows_MF
        return out_MF


def covariance(rows_NF: np.ndarray) -> Covariance:
    """Return the covariance (ddof 1) of rows whose mean was removed, from whichever Gram is smaller."""
    rows_NF = rows_NF.astype(np.float64)
    N, F = rows_NF.shape
    if F <= N:
        variance_R, vectors_FR = np.linalg.eigh(rows_NF.T @ rows_NF / (N - 1))
        keep_R = variance_R > _RANK * variance_R[-1]
        return Covariance(vectors_FR[:, keep_R], variance_R[keep_R])
    variance_R, rotation_NR = np.linalg.eigh(rows_NF @ rows_NF.T / (N - 1))
    keep_R = variance_R > _RANK * variance_R[-1]
    variance_R = variance_R[keep_R]
    return Covariance(rows_NF.T @ (rotation_NR[:, keep_R] / np.sqrt((N - 1) * variance_R)), variance_R)


def whiten(profiles: Profiles, how: str, *, ridge: float = RIDGE, controls: str = "labelled") -> Profiles:
    """Remove the variation of the control wells.

    how: `none`; `sphere`: minus the mean of all control wells, then times (covariance + ridge)^-1/2, not rotated (ZCA);
    `tvn`: the same, then each plate minus the mean of its control wells and its covariance on them turned into the pooled
    one (CORAL). `ridge` is in units of the mean eigenvalue.
    controls: see `controls.choose_controls`.

    Sources: sphering, Cell-DINO, section on post-processing; typical variation normalisation, Ando et al. 2017
    (doi:10.1101/161422).

    Raises:
        KitError: fewer than two control wells, or control wells that do not vary.
    """
    if how == "none":
        return profiles
    assert how in ("sphere", "tvn"), how
    chosen = choose_controls(profiles, controls)
    control_M, name = chosen.wells_M, chosen.name
    if control_M.sum() < 2:
        raise KitError(
            f"--whiten {how} needs at least two {name}, and these profiles have {control_M.sum()}: "
            f"{chosen.way_out}{'or' if chosen.way_out else 'use'} --whiten none"
        )
    mean_F = profiles.features_MF[control_M].mean(axis=0, dtype=np.float64)
    centred_MF = profiles.features_MF - mean_F.astype(np.float32)
    pooled = covariance(centred_MF[control_M])
    if not len(pooled.variance_R):
        raise KitError(f"--whiten {how}: the {control_M.sum()} {name} are identical: no covariance to whiten by")
    floor = ridge * pooled.variance_R.sum() / profiles.features_MF.shape[1]
    white_MF = pooled.apply(lambda variance: (variance + floor) ** -0.5, centred_MF)
    facts = {"fitted_on": f"{control_M.sum()} {name} of all plates", "ridge_of_mean_eigenvalue": ridge, **chosen.step}
    if how == "tvn":
        white_MF = _match_plates(white_MF, chosen, profiles.who[PLATE].to_numpy())
        facts["coral_ridge"] = CORAL_RIDGE
    return profiles.after(white_MF, step="whiten", how=how, **facts)


def _match_plates(white_MF: np.ndarray, chosen: Controls, plates: np.ndarray) -> np.ndarray:
    """Give every plate's control wells the mean 0 and the covariance of all control wells (CORAL, Sun et al. 2016)."""
    control_M = chosen.wells_M
    pooled = covariance(white_MF[control_M])
    out_MF = np.empty_like(white_MF)
    for plate in np.unique(plates):
        here_M = plates == plate
        if (here_M & control_M).sum() < 2:
            raise KitError(
                f"plate {plate} has fewer than two {chosen.name} and --whiten tvn needs them: "
                f"{chosen.way_out}drop the plate or use sphere"
            )
        centred = white_MF[here_M] - white_MF[here_M & control_M].mean(axis=0)
        own = covariance(centred[control_M[here_M]])
        centred = own.apply(lambda variance: (variance + CORAL_RIDGE) ** -0.5, centred)
        out_MF[here_M] = pooled.apply(lambda variance: (variance + CORAL_RIDGE) ** 0.5, centred)
    return out_MF
