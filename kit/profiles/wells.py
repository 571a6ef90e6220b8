"""Sites -> wells: nine slots of a well, each taken by a site, or the mean of all its sites.

M wells, S sites of a well (9 or 16 slots), B blocks of a well's vector (9, or 1), D features of a site.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from kit.profiles.places import common_places, field_positions, grid_slots
from kit.profiles.table import PLATE, SITE, WELL

# One axis of 4 -> 3, as torch.nn.functional.interpolate weighs it: mode "area" (its bins overlap), bilinear with
# align_corners False, and True.
TO_THREE = {
    "area": np.array([[1 / 2, 1 / 2, 0, 0], [0, 1 / 2, 1 / 2, 0], [0, 0, 1 / 2, 1 / 2]]),
    "bilinear": np.array([[5 / 6, 1 / 6, 0, 0], [0, 1 / 2, 1 / 2, 0], [0, 0, 1 / 6, 5 / 6]]),
    "corners": np.array([[1, 0, 0, 0], [0, 1 / 2, 1 / 2, 0], [0, 0, 0, 1]]),
}


@dataclass(frozen=True, slots=True)
class Layout:
    """How the sites of each plate are placed: {plate: (slots, {field number: slot})}, and 9 weights for each slot."""

    slots: dict[str, tuple[int, dict[int, int]]]
    method: str

    def to_nine(self, count: int) -> np.ndarray:
        """Return the weights [9, count] that make nine blocks of `count` placed sites."""
        if count == 9:
            return np.eye(9)
        return np.kron(TO_THREE[self.method], TO_THREE[self.method])

    def imaged(self, plate: str) -> tuple[int, int]:
        """Return how many slots of a plate have a field, and how many there are."""
        count, slots = self.slots[plate]
        return len(set(slots.values())), count

    def left_out(self, fields: pd.DataFrame) -> dict[str, dict]:
        """Return {plate: fields without a slot, and of how many} of the plates that have such fields.

        fields: Metadata_Plate and Metadata_Site of all fields of all plates.
        """
        found = {}
        for key, numbers in fields.groupby(PLATE)[SITE]:
            outside = [int(site) for site in numbers if site not in self.slots[str(key)][1]]
            if outside:
                found[str(key)] = {"fields": outside, "of": len(numbers)}
        return found


def place_sites(sites: pd.DataFrame, method: str, order: str = "file") -> Layout:
    """Decide which slot every field number of every plate takes.

    sites: one row per site with Metadata_Plate, Metadata_Site, x_um, y_um.
    method: `position`: the nine common places of the compound plates, in field-number order of the 9-site layout;
    `area`, `bilinear`, `corners`: sixteen sites as a 4 x 4 grid, row-major by `order` (file or position), interpolated
    to 3 x 3; nine sites in the same order as they are (SSLProfiler 1, section 3.4.2).

    Raises:
        KitError: positions that are needed and missing, or a number of fields that fits neither.
    """
    fields = field_positions(sites)
    if method == "position":
        return Layout({plate: (9, slots) for plate, slots in common_places(fields).items()}, method)
    assert method in TO_THREE, method
    return Layout(grid_slots(fields, order), method)


def merge_sites(features_ND: np.ndarray, who: pd.DataFrame, layout: Layout) -> "MergedSites":
    """Return nine vectors for every well, float32 [M, 9, D].

    features_ND, who: one row per site; `who` has Metadata_Plate, Metadata_Well, Metadata_Site. A slot without a site
    takes the mean of the well's placed sites (of all its sites if none has a slot).
    """
    sites = who[[PLATE, WELL, SITE]].reset_index(drop=True)
    wells = sites[[PLATE, WELL]].drop_duplicates().sort_values([PLATE, WELL]).reset_index(drop=True)
    merged_M9D = np.empty((len(wells), 9, features_ND.shape[1]), dtype=np.float32)
    filled = 0
    for row, (_, group) in enumerate(sites.groupby([PLATE, WELL], sort=True)):
        count, slots = layout.slots[group[PLATE].iloc[0]]
        slot_S = np.array([slots.get(site, -1) for site in group[SITE]])
        vectors_SD = features_ND[group.index]
        placed = slot_S >= 0
        placed_SD = vectors_SD[placed] if placed.any() else vectors_SD
        grid_SD = np.tile(placed_SD.mean(axis=0, dtype=np.float64), (count, 1))
        grid_SD[slot_S[placed]] = vectors_SD[placed]
        filled += count - placed.sum()
        merged_M9D[row] = grid_SD if count == 9 else layout.to_nine(count) @ grid_SD
    return MergedSites(merged_M9D, wells, int(filled))


def average_sites(features_ND: np.ndarray, who: pd.DataFrame) -> "MergedSites":
    """Return the mean of all sites of every well, float32 [M, 1, D], wherever they are; arguments as `merge_sites`."""
    sites = who[[PLATE, WELL, SITE]].reset_index(drop=True).sort_values([PLATE, WELL, SITE])  # float sums depend on the order
    groups = sites.groupby([PLATE, WELL], sort=True)
    means = [features_ND[group.index].mean(axis=0, dtype=np.float32) for _, group in groups]
    wells = sites[[PLATE, WELL]].drop_duplicates().reset_index(drop=True)
    return MergedSites(np.stack(means)[:, None], wells, 0)


@dataclass(frozen=True, slots=True)
class MergedSites:
    """vectors_MBD: nine blocks a well, or one. wells: Metadata_Plate and Metadata_Well. filled: slots that had no site."""

    vectors_MBD: np.ndarray
    wells: pd.DataFrame
    filled: int
