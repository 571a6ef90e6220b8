"""Runs of very different width on one footing: columns standardised before whitening, runs weighted after it.

The 13,824 columns of a network beside a hundred of texture would make up nearly all of a distance. It takes two steps, because
whitening undoes what was scaled before it, and its work is undone by scaling single columns after it.

`standardise` stands after normalisation and before whitening: columns have units of their own (shares, kurtosis), and the
ridge of whitening is a share of the mean eigenvalue, which the columns with the largest numbers would set alone.

`balance` stands after whitening and before alignment and l2. It multiplies all columns of a run by one number: what is white
within a run stays white up to that number, and the rows that l2 scales hold the runs at their shares. Both steps sum over
all wells, controls among them, so a shuffle of wells changes neither.

M wells, F features.
"""

import math
from collections.abc import Mapping, Sequence

import numpy as np

from kit.errors import KitError, UsageError
from kit.profiles.table import Profiles
from kit.words import nearest, some

_TINY = 1e-6  # of the median sd of a run's columns that vary: below it a column's variation is rounding
_CHUNK = 512  # columns taken to float64 together


def run_weights(runs: Sequence[str], texts: Sequence[str], *, balanced: bool) -> dict[str, float] | None:
    """Return the weight of every run, 1 for those not named; None where nothing asks for a balance.

    Args:
        texts: NAME=W each, of --run-weight. balanced: whether --balance-runs was given.

    Raises:
        UsageError: a single run, a run that is not there or twice, a weight that is no number above 0.
    """
    if not texts and not balanced:
        return None
    option = "--run-weight" if texts else "--balance-runs"
    if len(runs) < 2:
        raise UsageError(f"{option} weighs runs against each other: give at least two by --run")
    weights: dict[str, float] = {}
    for text in texts:
        name, equals, number = text.partition("=")
        if not equals:
            raise UsageError(f"--run-weight {text}: write NAME=W, as in {runs[0]}=2")
        if name not in runs:
            raise UsageError(f"--run-weight {text}: no --run {name}{nearest(name, runs)}; there are {some(runs)}")
        if name in weights:
            raise UsageError(f"--run-weight {text}: {name} has a weight already, {weights[name]:g}")
        weights[name] = _weight(text, number)
    return {run: weights.get(run, 1.0) for run in runs}


def standardise(profiles: Profiles, *, centre: bool) -> Profiles:
    """Divide every column by its standard deviation over all wells; columns that do not vary become 0.

    centre: subtract the mean over all wells as well. Not where normalisation has put the origin on the controls.
    """
    mean_F, variance_F = _mean_and_variance(profiles.features_MF)
    shift_F, scale_F = shift_and_scale(profiles.names, mean_F, variance_F, centre=centre)
    features_MF = profiles.features_MF - shift_F
    features_MF *= scale_F
    return profiles.after(features_MF, **standardise_step(scale_F, centre=centre, rows="wells"))


def shift_and_scale(
    names: Sequence[str], mean_F: np.ndarray, variance_F: np.ndarray, *, centre: bool
) -> tuple[np.ndarray, np.ndarray]:
    """Return what `standardise` subtracts and multiplies by, float32 [F] each."""
    sd_F, scale_F = np.sqrt(variance_F), np.zeros(len(names))
    for columns in _columns(names).values():
        there = columns[sd_F[columns] > 0]
        if len(there):
            there = there[sd_F[there] > _TINY * np.median(sd_F[there])]
            scale_F[there] = 1 / sd_F[there]
    return (mean_F if centre else np.zeros(len(names))).astype(np.float32), scale_F.astype(np.float32)


def standardise_step(scale_F: np.ndarray, *, centre: bool, rows: str) -> dict:
    """Return the record of the step."""
    return {"step": "standardize", "over": f"all {rows}", "centred": centre, "constant_columns": int((scale_F == 0).sum())}


def balance(profiles: Profiles, weights: Mapping[str, float]) -> Profiles:
    """Multiply the columns of every run by one number, so that their variances over all wells sum up to the run's weight.

    Raises:
        KitError: no column of a run varies.
    """
    _, variance_F = _mean_and_variance(profiles.features_MF)
    factor_F, factors = np.empty(len(profiles.names), dtype=np.float32), {}
    for run, columns in _columns(profiles.names).items():
        total = variance_F[columns].sum()
        if not total > 0:
            raise KitError(f"run {run} is the same in all {len(profiles.who)} wells: there is nothing to balance; leave it out")
        factors[run] = math.sqrt(weights[run] / total)
        factor_F[columns] = factors[run]
    step = {"step": "balance", "weights": dict(weights), "factors": factors}
    return profiles.after(profiles.features_MF * factor_F, **step)


def _weight(text: str, number: str) -> float:
    try:
        weight = float(number)
    except ValueError:
        weight = math.nan
    if not 0 < weight < math.inf:
        raise UsageError(f"--run-weight {text}: need a number above 0")
    return weight


def _columns(names: Sequence[str]) -> dict[str, np.ndarray]:
    """Return the columns of every run; they are named <run>_<block>_<part>_<index>."""
    run_F = np.array([name.rsplit("_", 3)[0] for name in names])
    return {str(run): np.flatnonzero(run_F == run) for run in dict.fromkeys(run_F)}


def _mean_and_variance(features_MF: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return mean and variance (ddof 1) of every column, float64, never holding all columns in float64."""
    M, F = features_MF.shape
    mean_F, variance_F = np.empty(F), np.zeros(F)
    for at in range(0, F, _CHUNK):
        some_MF = features_MF[:, at : at + _CHUNK].astype(np.float64)
        mean_F[at : at + _CHUNK] = some_MF.mean(axis=0)
        if M > 1:
            variance_F[at : at + _CHUNK] = some_MF.var(axis=0, ddof=1)
    return mean_F, variance_F
