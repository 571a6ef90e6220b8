"""The wells that normalisation and whitening are fitted on: the controls, or all wells where a plate has none. M wells.

Where the rows are sites, which have a Metadata_Site, they are the sites of these wells.
"""

from dataclasses import dataclass

import numpy as np

from kit.profiles.table import SITE, Profiles

CHOICES = ("labelled", "all")


@dataclass(frozen=True, slots=True)
class Controls:
    """rows_M: bool. name: what messages and steps call them. way_out: the option that helps where there are too few."""

    rows_M: np.ndarray
    name: str
    way_out: str
    step: dict[str, str]  # what a step records beside its own


def choose_controls(profiles: Profiles, which: str = "labelled") -> Controls:
    """Return the wells that the labels call controls (`labelled`), or all wells (`all`).

    A well without a label is unknown and no control; `all` counts it too. Centring on all wells removes what most wells of a
    plate share, so it asks for plates on which most treatments do little, or that hold the same treatments.
    """
    assert which in CHOICES, which
    rows, step = ("sites", {"on": "sites"}) if SITE in profiles.who else ("wells", {})
    if which == "all":
        return Controls(np.ones(len(profiles.who), dtype=bool), rows, "", {"controls": "all", **step})
    control, column = (profiles.labels.get(key, "") for key in ("control", "perturbation"))
    name = "DMSO" if control == "DMSO" or column in ("", "Metadata_broad_sample") else "control"
    return Controls(profiles.is_control_M, f"{name} {rows}", "use --controls all (every well), ", step)
