"""All of a plate but the colours of its wells: drawn once for the plates whose wells have the same places and gaps."""

import base64
import re
import zlib
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
from markupsafe import Markup, escape

from kit.images.names import well_name
from kit.report.colours import INK, MUTED
from kit.report.figures import inline
from kit.report.panels import pixels_of, png_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes

WIDTH = 3.5  # inches: of a plate on the page


@dataclass(frozen=True, slots=True)
class PlateFrame:
    """Outline, letters, dots for wells without a number, rings for places without a well.

    svg: with a picture of the wells to be replaced. drawn_HW4: without one. box: top, bottom, left and right of the wells in it.
    """

    svg: str
    drawn_HW4: np.ndarray
    box: tuple[int, int, int, int]

    def html(self, colour_RC4: np.ndarray, alt: str) -> Markup:
        """Return the plate for the page; colours: uint8, of rows and columns, clear where a well has none."""
        wells = base64.b64encode(png_of(colour_RC4)).decode()
        html = re.sub(r"base64,[^\"]*", f"base64,{wells}", self.svg, count=1)
        return Markup(html.replace('aria-label="plate"', f'aria-label="{escape(alt)}"', 1))

    def pixels(self, colour_RC4: np.ndarray) -> np.ndarray:
        """Return the plate on white, uint8 [H, W, 4]."""
        from PIL import Image

        top, bottom, left, right = self.box
        wells = Image.fromarray(colour_RC4).resize((right - left, bottom - top), Image.Resampling.NEAREST)
        whole = Image.fromarray(self.drawn_HW4.copy())
        whole.paste(wells, (left, top), wells)
        return np.array(whole)


@lru_cache(maxsize=64)
def plate_frame(shape: tuple[int, int], absent: bytes, blank: bytes) -> PlateFrame:
    """Return the frame of plates of rows x columns; call it inside `style`.

    absent: which places hold no well, blank: which wells have no number: bools of the whole plate as bytes, row by row.
    """
    from matplotlib.figure import Figure as Drawing

    rows, columns = shape
    absent_RC, blank_RC = (np.frombuffer(mask, dtype=bool).reshape(shape) for mask in (absent, blank))
    drawing = Drawing(figsize=(WIDTH, WIDTH * (rows + 1.6) / (columns + 1.6)))
    axes = drawing.add_axes((0, 0, 1, 1))
    wells = axes.imshow(
        np.ma.masked_invalid(np.full(shape, np.nan)), vmin=0, vmax=1, interpolation="none", aspect="equal", zorder=1
    )
    _draw(axes, absent_RC, blank_RC)
    svg = str(inline(drawing, f"plate-{zlib.crc32(absent + blank)}", alt="plate").html)
    wells.set_visible(False)
    drawn_HW4 = pixels_of(drawing)
    (left, low), (right, high) = np.rint(axes.transData.transform([(-0.5, rows - 0.5), (columns - 0.5, -0.5)])).astype(int)
    return PlateFrame(svg, drawn_HW4, (len(drawn_HW4) - high, len(drawn_HW4) - low, left, right))


def row_letters(row: int) -> str:
    """Return the name of a row counted from 1: 3 is "C"."""
    return well_name(row, 1).rstrip("0123456789")


def _draw(axes: "Axes", absent_RC: np.ndarray, blank_RC: np.ndarray) -> None:
    from matplotlib.patches import Polygon

    rows, columns = absent_RC.shape
    size = min(3.0, 60 / columns)
    dots, rings = np.argwhere(blank_RC), np.argwhere(absent_RC)
    axes.plot(dots[:, 1], dots[:, 0], ".", color=MUTED, markersize=size)
    axes.plot(rings[:, 1], rings[:, 0], "o", markersize=size, markerfacecolor="none", markeredgecolor=MUTED, markeredgewidth=0.4)
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
