"""The wells of a feature set as arrays, in the order in which the Gram counts them."""

from dataclasses import dataclass

import numpy as np

from kit.challenge.labels import Labelled
from kit.profiles.table import PLATE, WELL

NONE = -1  # the label of a well that is not scored


@dataclass(frozen=True, kw_only=True, slots=True)
class Wells:
    """M wells by plate, then well: those that are scored, and the controls.

    Of equal distances the first well counts, so that the order of a file's rows must not matter.

    row_M: the row of each in the features. plate_M, well_M: text. label_M: which of `classes` it is, or NONE where it is not
    scored, int64. group_M: text, "" where it is not scored. is_control_M: bool. groups: what directions go between, in order.
    group_noun: what a group is, in messages.
    """

    row_M: np.ndarray
    plate_M: np.ndarray
    well_M: np.ndarray
    label_M: np.ndarray
    group_M: np.ndarray
    is_control_M: np.ndarray
    classes: tuple[str, ...]
    groups: tuple[str, ...]
    group_noun: str
    is_challenge: bool

    @classmethod
    def of(cls, labelled: Labelled, group_noun: str) -> "Wells":
        """Return the wells of labels; a well that is neither scored nor a control is left out."""
        scored = labelled.wells.index.isin(labelled.scored.index)
        wells = labelled.wells.assign(scored=scored)[scored | labelled.wells["is_control"]].sort_values([PLATE, WELL])
        is_scored_M = wells["scored"].to_numpy(dtype=bool)
        classes, code_S = np.unique(wells["label"].to_numpy(dtype=str)[is_scored_M], return_inverse=True)
        label_M = np.full(len(wells), NONE)
        label_M[is_scored_M] = code_S
        return cls(
            row_M=wells.index.to_numpy(),
            plate_M=wells[PLATE].to_numpy(dtype=str),
            well_M=wells[WELL].to_numpy(dtype=str),
            label_M=label_M,
            group_M=np.where(is_scored_M, wells["group"].to_numpy(dtype=str), ""),
            is_control_M=wells["is_control"].to_numpy(dtype=bool),
            classes=tuple(classes.tolist()),
            groups=labelled.groups,
            group_noun=group_noun,
            is_challenge=labelled.is_challenge,
        )

    def __len__(self) -> int:
        return len(self.row_M)

    @property
    def scored_M(self) -> np.ndarray:
        """Which wells are scored, bool."""
        return self.label_M != NONE

    @property
    def plate_code_M(self) -> np.ndarray:
        """The plate of each well as a number, int64."""
        return np.unique(self.plate_M, return_inverse=True)[1]

    def plates_of(self) -> dict[str, set[str]]:
        """Return the plates on which each group has scored wells."""
        return {group: set(self.plate_M[self.group_M == group]) for group in self.groups}
