"""Normalise each plate by its own control wells; scale rows to unit length. M wells, F features."""

from base64 import b64decode, b64encode
from collections.abc import Mapping
from typing import Any

import numpy as np

from kit.errors import KitError
from kit.profiles.controls import choose_controls
from kit.profiles.table import PLATE, Profiles
from kit.words import count

MAD_TO_SD = 1.4826  # of a normal distribution
LENGTHS = "lengths_float32"  # in the record of an l2 step, base64
_TINY = 1e-6  # of the plate's median MAD: a feature below it does not vary over the controls


def normalise(profiles: Profiles, how: str, *, controls: str = "labelled") -> Profiles:
    """Shift (and scale) every plate's features by its own control wells.

    how: `none`; `centre`: minus the mean of the plate's control wells; `mad`: minus their median, divided by 1.4826 times
    their median absolute deviation. A feature that does not vary over a plate's control wells is divided by the plate's
    median deviation instead. controls: see `controls.choose_controls`.

    Raises:
        KitError: a plate has no control well, or just one for `mad`.
    """
    if how == "none":
        return profiles
    assert how in ("centre", "mad"), how
    out_MF = np.empty_like(profiles.features_MF)
    chosen = choose_controls(profiles, controls)
    plates = profiles.who[PLATE].to_numpy()
    for plate in np.unique(plates):
        here_M = plates == plate
        rows_NF = profiles.features_MF[here_M & chosen.rows_M].astype(np.float64)
        need = 2 if how == "mad" else 1
        if len(rows_NF) < need:
            there = count(len(rows_NF), chosen.name.removesuffix("s"))
            raise KitError(
                f"plate {plate} has {there} and --normalize {how} needs {need}: {chosen.way_out}"
                "leave the plate out by --plates or use --normalize none"
            )
        shift_F, scale_F = _mean(rows_NF) if how == "centre" else _median_and_mad(rows_NF)
        out_MF[here_M] = (profiles.features_MF[here_M] - shift_F) / scale_F
    return profiles.after(out_MF, step="normalize", how=how, per=f"plate, on its {chosen.name}", **chosen.step)


def l2_normalise(profiles: Profiles) -> Profiles:
    """Scale every row to length 1; a row of zeros stays. After alignment the step keeps the lengths: a null has to undo it."""
    length_M1 = np.linalg.norm(profiles.features_MF.astype(np.float64), axis=1, keepdims=True)
    kept = {LENGTHS: b64encode(length_M1.astype("<f4").tobytes()).decode()} if profiles.uses_well_position else {}
    return profiles.after(profiles.features_MF / np.where(length_M1 > 0, length_M1, 1.0), step="l2", **kept)


def lengths_before_l2(step: Mapping[str, Any]) -> np.ndarray | None:
    """Return the lengths of the rows that a recorded l2 step made 1, float32 [M] in the order of the file; None: not kept."""
    return np.frombuffer(b64decode(step[LENGTHS]), dtype="<f4") if LENGTHS in step else None


def _mean(controls: np.ndarray) -> tuple[np.ndarray, float]:
    return controls.mean(axis=0), 1.0


def _median_and_mad(controls: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    median_F = np.median(controls, axis=0)
    mad_F = MAD_TO_SD * np.median(np.abs(controls - median_F), axis=0)
    typical = float(np.median(mad_F)) or 1.0
    return median_F, np.where(mad_F > _TINY * typical, mad_F, typical)
