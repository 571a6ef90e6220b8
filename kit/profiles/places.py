"""The positions of a plate's sites in the well, and which of nine (or sixteen) slots each field number takes.

The compound plates of CPJUMP1 have nine of the sixteen positions of a 4 x 4 grid as fields, or all sixteen.
Positions are stage offsets from the centre of the well, in micrometres, +y up.
"""

import numpy as np
import pandas as pd

from kit.errors import KitError
from kit.profiles.table import PLATE, SITE

# Grid steps from the centre of the well, in field-number order of the 9-site layout (f01 .. f09).
NINE_PLACES = (
    (-0.5, 0.5),
    (-1.5, 1.5),
    (0.5, 1.5),
    (1.5, 0.5),
    (-1.5, -0.5),
    (0.5, -0.5),
    (1.5, -1.5),
    (-0.5, -1.5),
    (-1.5, -1.5),
)
PITCH_UM = 645.8  # of the compound plates, where the positions at hand do not show one
_TOLERANCE = 0.1  # of the pitch


def field_positions(sites: pd.DataFrame) -> pd.DataFrame:
    """Return the stage offset of each field number of each plate: the median over its wells.

    Columns Metadata_Plate, Metadata_Site, x_um, y_um; NaN where a plate has no positions.
    """
    return sites.groupby([PLATE, SITE], sort=True)[["x_um", "y_um"]].median().reset_index()


def common_places(fields: pd.DataFrame) -> dict[str, dict[int, int]]:
    """Return for every plate which field number is at which of the nine common positions: {plate: {site: slot 0-8}}.

    fields: what `field_positions` returns. The pitch is read from the positions of each plate, or else of the other
    plates, or else is the compound plates' own. A field at another place has no slot.

    Raises:
        KitError: a plate has no positions, or none of its sites is at a common place.
    """
    lacking = sorted(fields.loc[fields[["x_um", "y_um"]].isna().any(axis=1), PLATE].unique())
    if lacking:
        raise KitError(
            f"--sites position needs stage positions and plate {lacking[0]} has none"
            + (f" (nor do {len(lacking) - 1} others)" if len(lacking) > 1 else "")
            + ": give kit ingest --load-data or --layout, or use --sites area --order file"
        )
    layouts = {str(plate): rows for plate, rows in fields.groupby(PLATE)}
    pitches = {plate: _own_pitch(rows[["x_um", "y_um"]].to_numpy(dtype=float)) for plate, rows in layouts.items()}
    seen = [pitch for pitch in pitches.values() if pitch]
    fallback = [float(np.median(seen))] if seen else []
    slots = {}
    for plate, rows in layouts.items():
        at_S2 = rows[["x_um", "y_um"]].to_numpy(dtype=float)
        tries = [pitch for pitch in (pitches[plate], *fallback, PITCH_UM) if pitch]
        slots[plate] = max((_slots(rows[SITE].tolist(), at_S2 / pitch) for pitch in tries), key=len)
        if not slots[plate]:
            raise KitError(
                f"plate {plate}: no site is at any of the nine positions common to the compound plates (its first field is at "
                f"x {at_S2[0, 0]:.0f}, y {at_S2[0, 1]:.0f} um): leave the plate out or use --sites area"
            )
    return slots


def grid_slots(fields: pd.DataFrame, order: str) -> dict[str, tuple[int, dict[int, int]]]:
    """Return for every plate its number of slots, 9 or 16, and the row-major slot of each field number.

    order: `file`: by field number; `position`: by stage position, top row first, then left to right.

    Raises:
        KitError: a plate has neither nine nor sixteen fields, or `position` without positions.
    """
    found: dict[str, tuple[int, dict[int, int]]] = {}
    for key, rows in fields.groupby(PLATE):
        plate, numbers = str(key), rows[SITE].tolist()
        if len(numbers) in (9, 16):
            count, ranked = len(numbers), numbers if order == "file" else _by_position(plate, rows)
            found[plate] = count, {site: slot for slot, site in enumerate(ranked)}
        elif order == "file" and min(numbers) >= 1 and max(numbers) <= 16:
            count = 9 if max(numbers) <= 9 else 16
            found[plate] = count, {site: site - 1 for site in numbers}
        else:
            raise KitError(
                f"plate {plate} has {len(numbers)} fields; area, bilinear and corners need nine or sixteen"
                + (" for --order position" if order == "position" else "")
                + ": use --sites position, or leave the plate out"
            )
    return found


def _own_pitch(at_S2: np.ndarray) -> float | None:
    """Return the smallest gap between columns or rows of fields, or None with fewer than two of either."""
    gaps = []
    for axis in at_S2.T:
        steps = np.diff(np.sort(axis))
        gaps += [step for step in steps if step > 0.02 * (np.ptp(axis) or 1.0)]  # a stage does not stop twice at one spot
    return float(min(gaps)) if gaps else None


def _slots(numbers: list[int], steps_S2: np.ndarray) -> dict[int, int]:
    """Return {field number: slot} of the fields at a common position; positions are in grid steps."""
    away_S9 = np.abs(steps_S2[:, None, :] - np.array(NINE_PLACES)[None]).max(axis=2)
    found: dict[int, int] = {}
    for number, away_9 in zip(numbers, away_S9, strict=True):
        slot = int(away_9.argmin())
        if away_9[slot] < _TOLERANCE and slot not in found.values():
            found[number] = slot
    return found


def _by_position(plate: str, rows: pd.DataFrame) -> list[int]:
    if rows[["x_um", "y_um"]].isna().any(axis=None):
        raise KitError(f"--order position needs stage positions and plate {plate} has none: use --order file")
    pitch = _own_pitch(rows[["x_um", "y_um"]].to_numpy(dtype=float)) or 1.0
    row = (-rows["y_um"] / pitch * 2).round()  # half steps: one row of fields keeps one value
    return rows.assign(row=row).sort_values(["row", "x_um"])[SITE].tolist()
