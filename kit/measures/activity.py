"""Phenotypic activity: does a compound's well find the compound's other wells before the controls of its own plate?

M wells, Q queries.
"""

import numpy as np
import pandas as pd

from kit.measures.precision import Between, average_precision

QUERY = ("row", "label", "average_precision", "positives", "ranked")  # columns of a table of queries


def activity(between: Between, label_M: np.ndarray, plate_M: np.ndarray, is_control_M: np.ndarray) -> pd.DataFrame:
    """Return one row per treated well that has a replicate, on whatever plate, and a control on its own plate.

    Columns: row (of the M wells), label, average_precision (0 to 1), positives (its replicates), ranked (with its controls).
    The replicates and controls are copairs' for phenotypic activity, and those of CHAMMI-75.

    Args:
        between: distances, see `precision`. label_M: the compound, "" for a well that is left out. is_control_M: bool.
    """
    controls_of = _controls_of(between, label_M, plate_M, is_control_M)
    treated = np.flatnonzero(~is_control_M & (label_M != ""))
    found = []
    for label in np.unique(label_M[treated]):
        rows = treated[label_M[treated] == label]
        distance_QQ = between(rows, rows) if len(rows) > 1 else np.empty((0, 0))
        for query, distances_Q in zip(rows, distance_QQ, strict=False):
            if (negative_N := controls_of.get(int(query))) is not None:
                positive_P = np.sort(distances_Q[rows != query])
                found.append((query, label, *_precision(positive_P, negative_N)))
    return pd.DataFrame(found, columns=QUERY)


def _precision(positive_P: np.ndarray, negative_N: np.ndarray) -> tuple[float, int, int]:
    return average_precision(positive_P, negative_N), len(positive_P), len(positive_P) + len(negative_N)


def _controls_of(between: Between, label_M: np.ndarray, plate_M: np.ndarray, is_control_M: np.ndarray) -> dict[int, np.ndarray]:
    """Return each treated well's distances to the controls of its plate, ascending; a plate without controls has none."""
    found: dict[int, np.ndarray] = {}
    for plate in np.unique(plate_M):
        here = plate_M == plate
        controls = np.flatnonzero(here & is_control_M)
        treated = np.flatnonzero(here & ~is_control_M & (label_M != ""))
        if len(controls) and len(treated):
            found |= zip(treated.tolist(), np.sort(between(treated, controls), axis=1), strict=True)
    return found
