"""The positions of a plate's sites in the well, and which of nine (or sixteen) slots each field number takes.

The compound plates of CPJUMP1 have nine of the sixteen positions of a 4 x 4 grid as fields, or all sixteen.
Positions are stage offsets from the centre of the well, in micrometres, +y up.
"""

import numpy as np
import pandas as pd

from kit.errors import KitError
from kit.profiles.table import PLATE, SITE
from kit.words import count

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
_AVERAGE = "use --merge mean without --sites, which averages all sites of each well"


def field_positions(sites: pd.DataFrame) -> pd.DataFrame:
    """Return the stage offset of each field number of each plate: the median over its wells.

    Columns Metadata_Plate, Metadata_Site, x_um, y_um; NaN where a plate has no positions.
    """
    return sites.groupby([PLATE, SITE], sort=True)[["x_um", "y_um"]].median().reset_index()


def lacks_positions(fields: pd.DataFrame) -> bool:
    """Whether the position of any of these fields is unknown."""
    return bool(fields[["x_um", "y_um"]].isna().any(axis=None))


def find_places(fields: pd.DataFrame) -> dict[str, dict[int, int]]:
    """Return for every plate which field number is at which of the nine common positions: {plate: {site: slot 0-8}}.

    fields: what `field_positions` returns. The pitch is read from the positions of each plate, or else of the other
    plates, or else is the compound plates' own. A field at another place of the 4 x 4 grid has no slot; of a plate that
    lacks positions, or has fields off the grid, no field has one.
    """
    layouts = {str(plate): rows for plate, rows in fields.groupby(PLATE)}
    known = {plate: rows for plate, rows in layouts.items() if not lacks_positions(rows)}
    pitches = {plate: _own_pitch(rows[["x_um", "y_um"]].to_numpy(dtype=float)) for plate, rows in known.items()}
    seen = [pitch for pitch in pitches.values() if pitch]
    fallback = [float(np.median(seen))] if seen else []
    slots: dict[str, dict[int, int]] = {plate: {} for plate in layouts}
    for plate, rows in known.items():
        at_S2 = rows[["x_um", "y_um"]].to_numpy(dtype=float)
        tries = [pitch for pitch in (pitches[plate], *fallback, PITCH_UM) if pitch]
        slots[plate] = max((_slots(rows[SITE].tolist(), at_S2 / pitch) for pitch in tries), key=len)
    return slots


def common_places(fields: pd.DataFrame) -> dict[str, dict[int, int]]:
    """Return what `find_places` does, of plates that all have a site at a common place.

    Raises:
        KitError: a plate has no positions, fields off the grid, or none at a common place.
    """
    slots = find_places(fields)
    plates = {str(plate): rows for plate, rows in fields.groupby(PLATE)}
    lacking = [plate for plate, rows in plates.items() if lacks_positions(rows)]
    if lacking:
        raise KitError(
            f"sites are placed by their stage position and plate {lacking[0]} has none"
            + (f" (nor {'has' if len(lacking) == 2 else 'have'} {count(len(lacking) - 1, 'other')})" if len(lacking) > 1 else "")
            + f": {_AVERAGE}, or give the positions to kit ingest by --load-data or --layout"
        )
    for plate, rows in plates.items():
        if not slots[plate]:
            x_um, y_um = rows[["x_um", "y_um"]].to_numpy(dtype=float)[0]
            raise KitError(
                f"plate {plate}: --sites position finds none of its fields at the nine common places of the compound plates' "
                f"4 x 4 grid ({count(len(rows), 'field')}, the first at x {x_um:.0f}, y {y_um:.0f} um): {_AVERAGE}"
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
            ranked = numbers if order == "file" else _by_position(plate, rows)
            found[plate] = len(numbers), {site: slot for slot, site in enumerate(ranked)}
        elif order == "file" and min(numbers) >= 1 and max(numbers) <= 16:
            found[plate] = 9 if max(numbers) <= 9 else 16, {site: site - 1 for site in numbers}
        else:
            raise KitError(
                f"plate {plate} has {count(len(numbers), 'field')}; area, bilinear and corners need nine or sixteen"
                + (" for --order position" if order == "position" else "")
                + f": {_AVERAGE}"
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
    """Return {field number: slot} of the fields at a common position, none if a field is off the grid; positions in steps."""
    if (np.abs(np.abs(np.abs(steps_S2) - 1) - 0.5) >= _TOLERANCE).any():  # the grid's are 0.5 and 1.5 either side
        return {}
    away_S9 = np.abs(steps_S2[:, None, :] - np.array(NINE_PLACES)[None]).max(axis=2)
    found: dict[int, int] = {}
    for number, away_9 in zip(numbers, away_S9, strict=True):
        slot = int(away_9.argmin())
        if away_9[slot] < _TOLERANCE and slot not in found.values():
            found[number] = slot
    return found


def _by_position(plate: str, rows: pd.DataFrame) -> list[int]:
    if lacks_positions(rows):
        raise KitError(f"--order position needs stage positions and plate {plate} has none: use --order file")
    pitch = _own_pitch(rows[["x_um", "y_um"]].to_numpy(dtype=float)) or 1.0
    row = (-rows["y_um"] / pitch * 2).round()  # half steps: one row of fields keeps one value
    return rows.assign(row=row).sort_values(["row", "x_um"])[SITE].tolist()
