"""Plates drawn as plates: rows, columns, an outline with its cut corner, and a colour for every well."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from kit.images.names import well_position
from kit.profiles.table import PLATE, WELL
from kit.report.blocks import Figure, Picture
from kit.report.colours import INK, MUTED, SCALE
from kit.report.figures import Files, figure, inline, style

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.cm import ScalarMappable

_FORMATS = ((2, 3), (3, 4), (4, 6), (6, 8), (8, 12), (16, 24), (32, 48))  # rows and columns of plates on the market
_WIDTH = 3.5  # inches: of a plate on the page
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
    with style():
        from matplotlib.figure import Figure as Drawing

        groups = list(wells.groupby(PLATE, sort=True))
        across = min(_ACROSS, len(groups))
        tall = _WIDTH * (shape[0] + 1.6) / (shape[1] + 1.6)
        whole = Drawing(figsize=(_WIDTH * across + 0.9, (tall + 0.35) * -(-len(groups) // across) + 0.1), layout="constrained")
        spots = whole.subplots(-(-len(groups) // across), across, squeeze=False).ravel()
        pictures: list[Picture] = []
        one = Drawing(figsize=(_WIDTH, tall))
        for spot, (plate, own) in zip(spots, groups, strict=False):
            said = f"{plate}{(notes or {}).get(str(plate), '')}"
            one.clear()
            for axes in (one.add_axes((0, 0, 1, 1)), spot):
                _draw(axes, own, column, shape, (low, high))
            spot.set_title(said)
            pictures.append(inline(one, f"{name}-{plate}", said, _alt(own, column, title, str(plate))))
        for spot in spots[len(groups) :]:
            spot.set_axis_off()
        whole.colorbar(_colours(low, high), ax=spots.tolist(), label=title, shrink=0.6, aspect=30)
        pictures.append(_bar(name, title, low, high))
        alt = f"{title}: a map of each of {len(groups)} plates, from {low:.3g} to {high:.3g}"
        table = wells[[PLATE, WELL, column]].round(6)
        return figure(files, name, whole, table, alt=alt, caption=caption, title=title, pictures=pictures, folded=folded)


def _colours(low: float, high: float) -> "ScalarMappable":
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import Normalize

    return ScalarMappable(Normalize(low, high), SCALE)


def _draw(axes: "Axes", wells: pd.DataFrame, column: str, shape: tuple[int, int], limits: tuple[float, float]) -> None:
    from matplotlib.patches import Polygon

    rows, columns = shape
    places_M2 = np.array([well_position(well) for well in wells[WELL]]) - 1
    values_M = wells[column].to_numpy(dtype=float)
    grid = np.full(shape, np.nan)
    grid[tuple(places_M2.T)] = values_M
    absent = np.ones(shape, dtype=bool)
    absent[tuple(places_M2.T)] = False
    axes.imshow(grid, cmap=SCALE, vmin=limits[0], vmax=limits[1], interpolation="none", aspect="equal", zorder=1)
    size = min(3.0, 60 / columns)
    without = places_M2[np.isnan(values_M)]
    axes.plot(without[:, 1], without[:, 0], ".", color=MUTED, markersize=size)
    ring = np.argwhere(absent)
    axes.plot(ring[:, 1], ring[:, 0], "o", markersize=size, markerfacecolor="none", markeredgecolor=MUTED, markeredgewidth=0.4)
    left, right, top, bottom, cut = -1.45, columns - 0.1, -1.45, rows - 0.1, 0.9
    outline = [(left + cut, top), (right, top), (right, bottom), (left + cut, bottom), (left, bottom - cut), (left, top + cut)]
    axes.add_patch(Polygon(outline, closed=True, fill=False, edgecolor=INK, linewidth=0.9))
    small = 6.5 if columns > 12 else 8
    for row in range(0, rows, 1 if rows <= 16 else 2):
        letters = chr(65 + row) if row < 26 else "A" + chr(65 + row - 26)
        axes.text(-0.95, row, letters, ha="center", va="center", fontsize=small)
    for at in range(0, columns, 1 if columns <= 12 else 2 if columns <= 24 else 4):
        axes.text(at, -0.95, str(at + 1), ha="center", va="center", fontsize=small)
    axes.set(xlim=(left - 0.05, right + 0.05), ylim=(bottom + 0.05, top - 0.05))
    axes.set_axis_off()


def _bar(name: str, title: str, low: float, high: float) -> Picture:
    """Return the colour bar of all plates, as wide as a plate."""
    from matplotlib.figure import Figure as Drawing

    drawing: Drawing = Drawing(figsize=(_WIDTH, 0.55))
    axes = drawing.add_axes((0.06, 0.62, 0.88, 0.3))
    drawing.colorbar(_colours(low, high), cax=axes, orientation="horizontal")
    drawing.text(0.5, 0.06, "dot: no number; ring: no well", ha="center", fontsize=7.5, color=MUTED)
    return inline(drawing, f"{name}-colours", "", f"Colours of {title}, from {low:.3g} to {high:.3g}")


def _alt(wells: pd.DataFrame, column: str, title: str, plate: str) -> str:
    known = wells[column].dropna()
    if known.empty:
        return f"Plate {plate}: no well has a number for {title}"
    return f"Plate {plate}, {title}: {len(known)} wells, median {known.median():.3g}, from {known.min():.3g} to {known.max():.3g}"
