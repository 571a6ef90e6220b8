"""The wells that normalisation and whitening are fitted on: the controls, or all wells where a plate has none. M wells."""

from dataclasses import dataclass

import numpy as np

from kit.profiles.table import Profiles

CHOICES = ("labelled", "all")


@dataclass(frozen=True, slots=True)
class Controls:
    """wells_M: bool. name: what messages and steps call them. way_out: the option that helps where there are too few."""

    wells_M: np.ndarray
    name: str
    way_out: str
    step: dict[str, str]  # what a step records beside its own


def choose_controls(profiles: Profiles, which: str = "labelled") -> Controls:
    """Return the wells that the labels call controls (`labelled`), or all wells (`all`).

    A well without a label is unknown and no control; `all` counts it too. Centring on all wells removes what most wells of a
    plate share, so it asks for plates on which most treatments do little, or that hold the same treatments.
    """
    assert which in CHOICES, which
    if which == "all":
        return Controls(np.ones(len(profiles.who), dtype=bool), "wells", "", {"controls": "all"})
    control, column = (profiles.labels.get(key, "") for key in ("control", "perturbation"))
    dmso = control == "DMSO" or column in ("", "Metadata_broad_sample")
    return Controls(profiles.is_control_M, "DMSO wells" if dmso else "control wells", "use --controls all (every well), ", {})
