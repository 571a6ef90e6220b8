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
        return eigenvectors(rows_NF.T @ rows_NF / (N - 1))
    variance_R, rotation_NR = np.linalg.eigh(rows_NF @ rows_NF.T / (N - 1))
    keep_R = variance_R > _RANK * variance_R[-1]
    variance_R = variance_R[keep_R]
    return Covariance(rows_NF.T @ (rotation_NR[:, keep_R] / np.sqrt((N - 1) * variance_R)), variance_R)


def eigenvectors(covariance_FF: np.ndarray) -> Covariance:
    """Return a covariance by its eigenvectors, without those whose variance is rounding."""
    variance_R, vectors_FR = np.linalg.eigh(covariance_FF)
    keep_R = variance_R > _RANK * variance_R[-1]
    return Covariance(vectors_FR[:, keep_R], variance_R[keep_R])


@dataclass(frozen=True, slots=True)
class Sphering:
    """Rows minus the controls' mean, times (their covariance + ridge)^-1/2, not rotated (ZCA).

    ridge: of the mean eigenvalue, 0 or more. A direction in which the controls do not vary has no scale of its own: the ridge
    gives it one, and with ridge 0 it is removed (the pseudo-inverse).
    """

    mean_F: np.ndarray  # float32
    controls: Covariance
    ridge: float

    def __call__(self, rows_MF: np.ndarray) -> np.ndarray:
        return self.controls.apply(self._gain, rows_MF - self.mean_F)

    @property
    def white(self) -> Covariance:
        """The covariance of the controls after sphering."""
        return Covariance(self.controls.vectors_FR, self.controls.variance_R * self._gain(self.controls.variance_R) ** 2)

    @property
    def facts(self) -> dict:
        """What the step records of it."""
        removed = {} if self.ridge else {"directions_removed": len(self.mean_F) - len(self.controls.variance_R)}
        return {"ridge_of_mean_eigenvalue": self.ridge, **removed}

    def _gain(self, variance_R: np.ndarray) -> np.ndarray:
        lifted_R = variance_R + self.ridge * self.controls.variance_R.sum() / len(self.mean_F)
        return np.where(lifted_R > 0, lifted_R, np.inf) ** -0.5


def whiten(profiles: Profiles, how: str, *, ridge: float = RIDGE, controls: str = "labelled") -> Profiles:
    """Remove the variation of the control wells.

    how: `none`; `sphere`: see `Sphering`, fitted on all control wells; `tvn`: the same, then each plate minus the mean of its
    control wells and its covariance on them turned into the pooled one (CORAL). controls: see `controls.choose_controls`.

    Sources: sphering of wells against batch effects, Cell-DINO, section "Cell-DINO embeddings encode technical variation", which
    names no controls and no ridge: both are ours; typical variation normalisation, Ando et al. 2017 (doi:10.1101/161422).

    Raises:
        KitError: fewer than two control wells, or control wells that do not vary.
    """
    if how == "none":
        return profiles
    assert how in ("sphere", "tvn"), how
    chosen = choose_controls(profiles, controls)
    control_M = chosen.rows_M
    need_two(how, chosen, control_M.sum())
    mean_F = profiles.features_MF[control_M].mean(axis=0, dtype=np.float64).astype(np.float32)
    sphering = fit_sphering(how, chosen, control_M.sum(), mean_F, covariance(profiles.features_MF[control_M] - mean_F), ridge)
    white_MF = sphering(profiles.features_MF)
    if how == "tvn":
        pooled, plates = covariance(white_MF[control_M]), profiles.who[PLATE].to_numpy()
        for plate in np.unique(plates):
            here_M = plates == plate
            white_MF[here_M] = match_plate(white_MF[here_M], control_M[here_M], pooled, plate=plate, chosen=chosen)
    return profiles.after(white_MF, **whiten_step(how, chosen, control_M.sum(), sphering))


def need_two(how: str, chosen: Controls, found: int) -> None:
    """Raise a KitError where there are fewer than two controls to whiten by."""
    if found < 2:
        raise KitError(
            f"--whiten {how} needs at least two {chosen.name}, and these profiles have {found}: "
            f"{chosen.way_out}{'or' if chosen.way_out else 'use'} --whiten none"
        )


def fit_sphering(how: str, chosen: Controls, found: int, mean_F: np.ndarray, of: Covariance, ridge: float) -> Sphering:
    """Return the sphering by the mean and the covariance of the `found` controls.

    Raises:
        KitError: they do not vary.
    """
    if not len(of.variance_R):
        raise KitError(f"--whiten {how}: the {found} {chosen.name} are identical: no covariance to whiten by")
    return Sphering(mean_F.astype(np.float32), of, ridge)


def whiten_step(how: str, chosen: Controls, found: int, sphering: Sphering) -> dict:
    """Return the record of the step."""
    coral = {"coral_ridge": CORAL_RIDGE} if how == "tvn" else {}
    fitted_on = f"{found} {chosen.name} of all plates"
    return {"step": "whiten", "how": how, "fitted_on": fitted_on, **sphering.facts, **chosen.step, **coral}


def match_plate(white_MF: np.ndarray, control_M: np.ndarray, pooled: Covariance, *, plate: str, chosen: Controls) -> np.ndarray:
    """Return a plate's whitened rows, its control rows given the mean 0 and the pooled covariance (CORAL, Sun et al. 2016).

    Raises:
        KitError: the plate has fewer than two controls.
    """
    if control_M.sum() < 2:
        raise KitError(
            f"plate {plate} has fewer than two {chosen.name} and --whiten tvn needs them: "
            f"{chosen.way_out}leave the plate out by --plates or use sphere"
        )
    centred_MF = white_MF - white_MF[control_M].mean(axis=0)
    own = covariance(centred_MF[control_M])
    centred_MF = own.apply(lambda variance: (variance + CORAL_RIDGE) ** -0.5, centred_MF)
    return pooled.apply(lambda variance: (variance + CORAL_RIDGE) ** 0.5, centred_MF)
