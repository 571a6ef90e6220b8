"""Post-processing of profiles: normalize, rank, select, standardize, whiten, balance, align, l2, in this order."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypedDict, Unpack

from kit.errors import UsageError
from kit.profiles.align import align
from kit.profiles.balance import balance, standardise
from kit.profiles.normalise import l2_normalise, normalise
from kit.profiles.rank_normal import rank_normal
from kit.profiles.select import select_by_controls
from kit.profiles.table import Profiles
from kit.profiles.whiten import RIDGE, whiten


class Steps(TypedDict, total=False):
    """The keyword arguments of `PostProcessing`, where a caller holds or passes them on as a dict."""

    normalize: str
    rank_normal: str
    max_control_correlation: float | None
    whiten: str
    whiten_on: str
    controls: str
    ridge: float | None
    weights: Mapping[str, float] | None
    align: float | None
    l2: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class PostProcessing:
    """What is done to profiles, by the options of kit profile.

    normalize: see `normalise.normalise`. rank_normal: see `rank_normal.rank_normal`. max_control_correlation: see
    `select.select_by_controls`; None keeps all features. whiten, ridge: see `whiten.whiten`; no ridge is `whiten.RIDGE`.
    whiten_on: `wells`, or `sites`: normalize, standardize and whiten come before merging, see `whiten_sites`. controls: the
    wells (or sites) that normalize and whiten are fitted on, see `controls.choose_controls`. weights: of the runs, which are
    then balanced, see `balance.balance`. align: see `align.align`; None is off. l2: rows of length 1.

    Raises:
        UsageError: an option that has no meaning beside the others, a ridge that is no number from 0 up.
    """

    normalize: str = "none"
    rank_normal: str = "none"
    max_control_correlation: float | None = None
    whiten: str = "none"
    whiten_on: str = "wells"
    controls: str = "labelled"
    ridge: float | None = None
    weights: Mapping[str, float] | None = None
    align: float | None = None
    l2: bool = False

    def __post_init__(self) -> None:
        nothing_fitted = self.normalize == self.whiten == "none"
        if self.controls == "all" and nothing_fitted:
            raise UsageError("--controls all says which wells --normalize and --whiten are fitted on: give one of them")
        if self.whiten_on == "sites" and nothing_fitted:
            raise UsageError("--whiten-on sites says what --normalize and --whiten are fitted on: give one of them")
        self._check_selection()
        if self.ridge is not None and self.whiten == "none":
            raise UsageError(f"--ridge {self.ridge:g} is the ridge of --whiten: give --whiten sphere or tvn")
        if self.ridge is not None and not 0 <= self.ridge < math.inf:
            raise UsageError(f"--ridge {self.ridge:g}: need a number from 0 up, in units of the controls' mean eigenvalue")
        if self.align is not None and not 0 <= self.align <= 1:
            raise UsageError(f"--align {self.align}: need a share of the well's own features, 0 to 1")

    def _check_selection(self) -> None:
        most = self.max_control_correlation
        if most is not None and not -1 <= most <= 1:
            raise UsageError(f"--max-control-correlation {most:g}: need a correlation, -1 to 1")
        option = "--rank-normal" if self.rank_normal != "none" else "--max-control-correlation"
        if self.whiten_on == "sites" and (self.rank_normal != "none" or most is not None):
            raise UsageError(f"{option} is done to wells, after --normalize and before --whiten: use --whiten-on wells")

    @property
    def whiten_ridge(self) -> float:
        return RIDGE if self.ridge is None else self.ridge


def post_process(profiles: Profiles, **steps: Unpack[Steps]) -> Profiles:
    """Return the profiles after the steps that follow merging; `steps` are the fields of `PostProcessing`."""
    post = PostProcessing(**steps)
    assert post.whiten_on == "wells", "these profiles are merged already"
    return post_process_merged(profiles, post)


def post_process_merged(profiles: Profiles, post: PostProcessing) -> Profiles:
    """Return the profiles after the steps that follow merging: without those that were fitted on sites before it."""
    if post.whiten_on == "wells":
        profiles = rank_normal(normalise(profiles, post.normalize, controls=post.controls), post.rank_normal)
        if post.max_control_correlation is not None:
            profiles = select_by_controls(profiles, post.max_control_correlation)
        if post.weights is not None:
            profiles = standardise(profiles, centre=post.normalize == "none")
        profiles = whiten(profiles, post.whiten, ridge=post.whiten_ridge, controls=post.controls)
    if post.weights is not None:
        profiles = balance(profiles, post.weights)
    if post.align is not None:
        profiles = align(profiles, post.align)
    return l2_normalise(profiles) if post.l2 else profiles
