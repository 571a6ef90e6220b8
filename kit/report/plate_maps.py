"""Plates drawn as plates: rows, columns, an outline with its cut corner, and a colour for every well."""

import base64
import io
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from markupsafe import Markup, escape

from kit.images.names import well_name, well_position
from kit.profiles.table import PLATE, WELL
from kit.report.blocks import Figure, Picture
from kit.report.colours import INK, MUTED, SCALE
from kit.report.figures import Files, figure, inline, style
from kit.words import count

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.cm import ScalarMappable
    from matplotlib.figure import Figure as Drawing

_FORMATS = ((2, 3), (3, 4), (4, 6), (6, 8), (8, 12), (16, 24), (32, 48))  # rows and columns of plates on the market
_WIDTH = 3.5  # inches: of a plate on the page
_ACROSS = 4  # plates beside each other in the PNG


def plate_shape(wells: pd.Series) -> tuple[int, int]:
    """Return the rows and columns of the smallest usual plate that has all these wells."""
    rows, columns = np.array([well_position(well) for well in wells.unique()]).max(axis=0)
    usual = [shape for shape in _FORMATS if shape[0] >= rows and shape[1] >= columns]
    return usual[0] if usual else (int(rows), int(columns))


def row_letters(row: int) -> str:
    """Return the name of a row counted from 1: 3 is "C"."""
    return well_name(row, 1).rstrip("0123456789")


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
    groups = [(str(plate), own) for plate, own in wells.groupby(PLATE, sort=True)]
    tall = _WIDTH * (shape[0] + 1.6) / (shape[1] + 1.6)
    with style():
        tiles = _Tiles(name, column, shape, (low, high), tall)
        pictures = [
            tiles.picture(plate, own, f"{plate}{(notes or {}).get(plate, '')}", _alt(own, column, title, plate))
            for plate, own in groups
        ]  # fmt: skip
        pictures.append(_bar(name, title, low, high))
        whole = _overview(groups, column, title, shape, (low, high), tall)
        alt = f"{title}: a map of each of {count(len(groups), 'plate')}, from {low:.3g} to {high:.3g}"
        table = wells[[PLATE, WELL, column]].round(6)
        return figure(files, name, whole, table, alt=alt, caption=caption, title=title, pictures=pictures, folded=folded)


class _Tiles:
    """Plates as pictures. Plates with the same places and gaps differ in their colours alone: the rest is drawn once."""

    def __init__(self, name: str, column: str, shape: tuple[int, int], limits: tuple[float, float], tall: float) -> None:
        self._name, self._column, self._shape, self._limits, self._tall = name, column, shape, limits, tall
        self._drawn: dict[bytes, Picture] = {}

    def picture(self, plate: str, wells: pd.DataFrame, title: str, alt: str) -> Picture:
        from matplotlib.figure import Figure as Drawing

        grid = _grid(wells, self._column, self._shape)
        kind = np.isnan(grid).tobytes() + _absent(wells, self._shape).tobytes()
        if kind not in self._drawn:
            drawing = Drawing(figsize=(_WIDTH, self._tall))
            _draw(drawing.add_axes((0, 0, 1, 1)), wells, self._column, self._shape, self._limits)
            self._drawn[kind] = inline(drawing, f"{self._name}-{plate}", "", "plate")
        like = self._drawn[kind]
        html = re.sub(r"base64,[^\"]*", f"base64,{self._colours(grid)}", like.html, count=1)
        html = html.replace('aria-label="plate"', f'aria-label="{escape(alt)}"', 1)
        return Picture(Markup(html), like.width, title)

    def _colours(self, grid: np.ndarray) -> str:
        """Return the wells as a PNG of a pixel each, in base64."""
        from matplotlib.image import imsave

        low, high = self._limits
        pixels, png = _colours(low, high).to_rgba(np.ma.masked_invalid(grid), bytes=True), io.BytesIO()
        imsave(png, pixels, format="png")
        return base64.b64encode(png.getvalue()).decode()


def _overview(
    groups: list[tuple[str, pd.DataFrame]],
    column: str,
    title: str,
    shape: tuple[int, int],
    limits: tuple[float, float],
    tall: float,
) -> "Drawing":
    """Return all plates in one drawing, with their colour bar."""
    from matplotlib.figure import Figure as Drawing

    across, down = min(_ACROSS, len(groups)), -(-len(groups) // _ACROSS)
    width, height = (_WIDTH + 0.15) * across + 0.9, (tall + 0.35) * down + 0.1
    whole = Drawing(figsize=(width, height))
    for number, (plate, own) in enumerate(groups):
        left, top = 0.1 + (number % across) * (_WIDTH + 0.15), height - 0.3 - (number // across) * (tall + 0.35)
        axes = whole.add_axes((left / width, (top - tall) / height, _WIDTH / width, tall / height))
        _draw(axes, own, column, shape, limits)
        axes.set_title(plate, pad=2)
    bar = whole.add_axes((1 - 0.75 / width, 0.25 * (down == 1) + 0.3 * (down > 1), 0.12 / width, 0.5))
    whole.colorbar(_colours(*limits), cax=bar, label=title)
    return whole


def _colours(low: float, high: float) -> "ScalarMappable":
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import Normalize

    return ScalarMappable(Normalize(low, high), SCALE)


def _places(wells: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    """Return row and column of each well, counted from 0."""
    rows_M, columns_M = (np.array([well_position(well) for well in wells[WELL]]) - 1).T
    return rows_M, columns_M


def _grid(wells: pd.DataFrame, column: str, shape: tuple[int, int]) -> np.ndarray:
    """Return the numbers at their rows and columns, NaN elsewhere."""
    grid = np.full(shape, np.nan)
    grid[_places(wells)] = wells[column].to_numpy(dtype=float)
    return grid


def _absent(wells: pd.DataFrame, shape: tuple[int, int]) -> np.ndarray:
    """Return which places have no well, bool."""
    absent = np.ones(shape, dtype=bool)
    absent[_places(wells)] = False
    return absent


def _draw(axes: "Axes", wells: pd.DataFrame, column: str, shape: tuple[int, int], limits: tuple[float, float]) -> None:
    from matplotlib.patches import Polygon

    rows, columns = shape
    grid, absent = _grid(wells, column, shape), _absent(wells, shape)
    axes.imshow(grid, cmap=SCALE, vmin=limits[0], vmax=limits[1], interpolation="none", aspect="equal", zorder=1)
    size = min(3.0, 60 / columns)
    without = np.argwhere(np.isnan(grid) & ~absent)
    axes.plot(without[:, 1], without[:, 0], ".", color=MUTED, markersize=size)
    ring = np.argwhere(absent)
    axes.plot(ring[:, 1], ring[:, 0], "o", markersize=size, markerfacecolor="none", markeredgecolor=MUTED, markeredgewidth=0.4)
    left, right, top, bottom, cut = -1.45, columns - 0.1, -1.45, rows - 0.1, 0.9
    outline = [(left + cut, top), (right, top), (right, bottom), (left + cut, bottom), (left, bottom - cut), (left, top + cut)]
    axes.add_patch(Polygon(outline, closed=True, facecolor=MUTED, alpha=0.16, edgecolor="none", zorder=0))  # dark wells on black
    axes.add_patch(Polygon(outline, closed=True, fill=False, edgecolor=INK, linewidth=0.9))
    small = 6.5 if columns > 12 else 8
    for row in range(0, rows, 1 if rows <= 16 else 2):
        axes.text(-0.95, row, row_letters(row + 1), ha="center", va="center", fontsize=small)
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
