"""How often the wells of each label are recognised: a section of the score."""

from typing import Any

import numpy as np

from kit.challenge.comparison import tested_wells
from kit.challenge.sections import Scored
from kit.profiles.table import PLATE, WELL


class ByLabel:
    """Adds `by_label`: {label: share of its tested wells that are recognised, mean over directions and seeds, 0 to 1}."""

    keys = ("by_label",)

    def make(self, scored: Scored) -> dict[str, Any]:
        wells = scored.wells
        names = np.asarray(wells.classes)[wells.label_M]  # of controls, which are not tested, any
        label_of = dict(zip(zip(wells.plate_M, wells.well_M, strict=True), names.tolist(), strict=True))
        shares: dict[str, list[float]] = {}
        for tested in tested_wells(scored.found).values():
            labels = [label_of[who] for who in tested.index.to_frame()[[PLATE, WELL]].itertuples(index=False, name=None)]
            for label, right in tested["right"].groupby(labels).mean().items():
                shares.setdefault(str(label), []).append(float(right))
        return {"by_label": {label: float(np.mean(values)) for label, values in sorted(shares.items())}}

    def lines(self, result: dict[str, Any]) -> list[str]:
        return []
