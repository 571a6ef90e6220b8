"""Normalise, standardise and whiten sites before they are merged, fitted on the sites of the control wells.

Two passes over the plates, one plate in memory at a time: the first takes mean and covariance of the control sites, the
second transforms. N sites of a plate, D features of a site (all runs side by side).
"""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from kit.errors import KitError
from kit.profiles.balance import shift_and_scale, standardise_step
from kit.profiles.controls import Controls, choose_controls
from kit.profiles.moments import Moments
from kit.profiles.normalise import normalise
from kit.profiles.post_processing import PostProcessing
from kit.profiles.table import PLATE, Profiles
from kit.profiles.whiten import Sphering, eigenvectors, fit_sphering, match_plate, need_two, whiten_step


@dataclass(frozen=True, slots=True)
class SiteSteps:
    """What is done to the sites of every plate: normalise, then (rows - shift) times scale, then sphere. steps: its records."""

    post: PostProcessing
    shift_D: np.ndarray | None
    scale_D: np.ndarray | None
    sphering: Sphering | None
    steps: tuple[dict, ...]

    def __call__(self, sites: Profiles) -> np.ndarray:
        """Return the new features of the sites of one plate, float32 [N, D]."""
        rows_ND = normalise(sites, self.post.normalize, controls=self.post.controls).features_MF
        if self.shift_D is not None:
            rows_ND = (rows_ND - self.shift_D) * self.scale_D
        if self.sphering is None:
            return rows_ND
        white_ND = self.sphering(rows_ND)
        if self.post.whiten == "sphere":
            return white_ND
        chosen, plate = choose_controls(sites, self.post.controls), sites.who[PLATE].iloc[0]
        return match_plate(white_ND, chosen.rows_M, self.sphering.white, plate=plate, chosen=chosen)


def fit_site_steps(plates: Iterable[Profiles], post: PostProcessing) -> SiteSteps:
    """Return the steps fitted on all plates; each of `plates` holds the sites of one, a row a site, Metadata_Site among `who`.

    Columns are standardised where runs are balanced (see `balance`), over all sites instead of all wells.

    Raises:
        KitError: no site at all, or too few controls for a step.
    """
    fit = None
    for sites in plates:
        fit = fit or _Fit(sites, post)
        fit.add(sites)
    if fit is None:
        raise KitError("the runs have no site in common")
    return fit.steps()


class _Fit:
    """The first pass: moments of the control sites, and of all sites where runs are balanced."""

    def __init__(self, sites: Profiles, post: PostProcessing) -> None:
        self.post, self.names = post, sites.names
        self.controls = Moments(len(sites.names), full=True)
        self.everything = Moments(len(sites.names), full=False)

    def add(self, sites: Profiles) -> None:
        self.chosen = choose_controls(sites, self.post.controls)
        ready = normalise(sites, self.post.normalize, controls=self.post.controls)
        self.records = ready.steps
        if self.post.whiten != "none":
            self.controls.add(ready.features_MF[self.chosen.rows_M])
        if self.post.weights is not None:
            self.everything.add(ready.features_MF)

    def steps(self) -> SiteSteps:
        post, records, shift_D, scale_D, sphering = self.post, list(self.records), None, None, None
        if post.weights is not None:
            centre = post.normalize == "none"
            shift_D, scale_D = shift_and_scale(self.names, self.everything.mean_F, self.everything.covariance, centre=centre)
            records.append(standardise_step(scale_D, centre=centre, rows="sites"))
        if post.whiten != "none":
            sphering = self._sphering(self.chosen, shift_D, scale_D)
            records.append(whiten_step(post.whiten, self.chosen, self.controls.rows, sphering))
        return SiteSteps(post, shift_D, scale_D, sphering, tuple(records))

    def _sphering(self, chosen: Controls, shift_D: np.ndarray | None, scale_D: np.ndarray | None) -> Sphering:
        need_two(self.post.whiten, chosen, self.controls.rows)
        mean_D, covariance_DD = self.controls.mean_F, self.controls.covariance
        if shift_D is not None and scale_D is not None:
            scale_D = scale_D.astype(np.float64)
            mean_D, covariance_DD = (mean_D - shift_D) * scale_D, covariance_DD * np.outer(scale_D, scale_D)
        of = eigenvectors(covariance_DD)
        return fit_sphering(self.post.whiten, chosen, self.controls.rows, mean_D, of, self.post.whiten_ridge)
