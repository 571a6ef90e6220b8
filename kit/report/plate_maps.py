"""Plates drawn as plates: rows, columns, an outline with its cut corner, and a colour for every well."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from kit.images.names import well_position
from kit.profiles.table import PLATE, WELL
from kit.report.blocks import Figure, Picture
from kit.report.colours import MUTED, SCALE
from kit.report.figures import Files, figure, inline, style
from kit.report.panels import DPI
from kit.report.plate_frame import WIDTH, PlateFrame, plate_frame
from kit.words import count

if TYPE_CHECKING:
    from matplotlib.cm import ScalarMappable
    from matplotlib.figure import Figure as Drawing

_FORMATS = ((2, 3), (3, 4), (4, 6), (6, 8), (8, 12), (16, 24), (32, 48))  # rows and columns of plates on the market
_ACROSS = 4  # plates beside each other in the PNG


def plate_shape(wells: pd.Series) -> tuple[int, int]:
    """Return the rows and columns of the smallest usual plate that has all these wells."""
    rows, columns = np.array([well_position(well) for well in wells.unique()]).max(axis=0)
    usual = [shape for shape in _FORMATS if shape[0] >= rows and shape[1] >= columns]
    return usual[0] if usual else (int(rows), int(columns))


def plate_maps(
    files: Files,
    name: str,
    wells: pd.DataFrame,
    column: str,
    *,
    title: str,
    caption: str,
    limits: tuple[float, float] | None = None,
    notes: Mapping[str, str] | None = None,
    folded: bool = False,
) -> Figure:
    """Return a plate each of a column of wells: PLATE, WELL and numbers, NaN where there is none.

    A well that has no number is a dot, a place of the plate without a well an empty ring.

    Args:
        limits: of the colours; None: from the lowest to the highest well of all plates. notes: a word on a plate, below its name.
    """
    numbers = wells[column].astype("float64")
    low, high = limits or (float(numbers.min()), float(numbers.max()))
    high = high if high > low else low + 1
    shape = plate_shape(wells[WELL])
    scale = _colours(low, high)
    with style():
        pictures, tiles = [], {}
        for plate, own in wells.groupby(PLATE, sort=True):
            frame, grid = _frame_of(own, column, shape), scale.to_rgba(_masked(own, column, shape), bytes=True)
            said = _alt(own, column, title, str(plate))
            pictures.append(Picture(frame.html(grid, said), round(100 * WIDTH), f"{plate}{(notes or {}).get(str(plate), '')}"))
            tiles[str(plate)] = frame.pixels(grid)
        pictures.append(_bar(name, title, low, high))
        whole = _overview(tiles, title, scale)
        alt = f"{title}: a map of each of {count(len(tiles), 'plate')}, from {low:.3g} to {high:.3g}"
        table = wells[[PLATE, WELL, column]].round(6)
        return figure(files, name, whole, table, alt=alt, caption=caption, title=title, pictures=pictures, folded=folded)


def _overview(tiles: Mapping[str, np.ndarray], title: str, scale: "ScalarMappable") -> "Drawing":
    """Return all plates, pictures of one size, in one drawing under their names, with their colour bar."""
    from matplotlib.figure import Figure as Drawing

    tall, wide = (side / DPI for side in next(iter(tiles.values())).shape[:2])
    across, down = min(_ACROSS, len(tiles)), -(-len(tiles) // _ACROSS)
    width, height = (wide + 0.15) * across + 0.9, (tall + 0.35) * down + 0.1
    whole = Drawing(figsize=(width, height))
    for number, (plate, image) in enumerate(tiles.items()):
        left, bottom = 0.1 + (number % across) * (wide + 0.15), height - (number // across + 1) * (tall + 0.35)
        whole.figimage(image, round(DPI * left), round(DPI * bottom), origin="upper")
        whole.text((left + wide / 2) / width, (bottom + tall + 0.05) / height, plate, ha="center", fontsize=10)
    bar = whole.add_axes((1 - 0.75 / width, 0.25 * (down == 1) + 0.3 * (down > 1), 0.12 / width, 0.5))
    whole.colorbar(scale, cax=bar, label=title)
    return whole


def _colours(low: float, high: float) -> "ScalarMappable":
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import Normalize

    return ScalarMappable(Normalize(low, high), SCALE)


def _places(wells: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    """Return row and column of each well, counted from 0."""
    rows_M, columns_M = (np.array([well_position(well) for well in wells[WELL]]) - 1).T
    return rows_M, columns_M


def _masked(wells: pd.DataFrame, column: str, shape: tuple[int, int]) -> np.ma.MaskedArray:
    """Return the numbers at their rows and columns, masked where there is none."""
    grid = np.full(shape, np.nan)
    grid[_places(wells)] = wells[column].to_numpy(dtype=float)
    return np.ma.masked_invalid(grid)


def _frame_of(wells: pd.DataFrame, column: str, shape: tuple[int, int]) -> PlateFrame:
    absent, blank = np.ones(shape, dtype=bool), np.zeros(shape, dtype=bool)
    absent[_places(wells)] = False
    blank[_places(wells)] = wells[column].isna().to_numpy()
    return plate_frame(shape, absent.tobytes(), blank.tobytes())


def _bar(name: str, title: str, low: float, high: float) -> Picture:
    """Return the colour bar of all plates, as wide as a plate."""
    from matplotlib.figure import Figure as Drawing

    drawing: Drawing = Drawing(figsize=(WIDTH, 0.55))
    axes = drawing.add_axes((0.06, 0.62, 0.88, 0.3))
    drawing.colorbar(_colours(low, high), cax=axes, orientation="horizontal")
    drawing.text(0.5, 0.06, "dot: no number; ring: no well", ha="center", fontsize=7.5, color=MUTED)
    return inline(drawing, f"{name}-colours", "", f"Colours of {title}, from {low:.3g} to {high:.3g}")


def _alt(wells: pd.DataFrame, column: str, title: str, plate: str) -> str:
    known = wells[column].dropna()
    if known.empty:
        return f"Plate {plate}: no well has a number for {title}"
    return f"Plate {plate}, {title}: {len(known)} wells, median {known.median():.3g}, from {known.min():.3g} to {known.max():.3g}"
