"""Small pictures that flow on the page, each drawn once, and all of them side by side in the PNG."""

import io
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pandas as pd

from kit.report.blocks import Figure
from kit.report.figures import Files, inline, style

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure as Drawing

DPI = 120  # of PNG files
_TITLE = 0.25  # inches above a picture, for its name


class Panel(NamedTuple):
    """A picture: its name above it, what it shows in words, and the function that draws it on axes."""

    title: str
    alt: str
    draw: "Callable[[Axes], None]"


def panels(
    files: Files,
    name: str,
    shown: Sequence[Panel],
    table: pd.DataFrame,
    *,
    size: tuple[float, float],
    across: int,
    alt: str,
    caption: str,
    title: str = "",
) -> Figure:
    """Draw the pictures, write NAME.png and NAME.csv and return the block.

    table: what is drawn. size: inches of each picture. across: how many stand beside each other in the PNG.
    """
    pictures, tiles = [], []
    with style():
        from matplotlib.figure import Figure as Drawing

        for number, panel in enumerate(shown):
            drawing = Drawing(figsize=size, layout="constrained")
            panel.draw(drawing.add_subplot())
            drawing.draw_without_rendering()
            drawing.set_layout_engine("none")  # as it is now: else it is made anew before each file
            pictures.append(inline(drawing, f"{name}-{number}", panel.title, panel.alt))
            tiles.append(_with_title(drawing, panel.title))
    folder = files.write(name, table, png_of(mosaic(tiles, across)))
    return Figure(name=name, pictures=tuple(pictures), alt=alt, caption=caption, table=table, folder=folder, title=title)


def mosaic(tiles_HW3: Sequence[np.ndarray], across: int) -> np.ndarray:
    """Return pictures of one size in rows of `across`, white where there is none; uint8 [H, W, 3]."""
    across = min(across, len(tiles_HW3))
    blank = [np.full_like(tiles_HW3[0], 255)] * (-len(tiles_HW3) % across)
    rows = [*tiles_HW3, *blank]
    return np.vstack([np.hstack(rows[start : start + across]) for start in range(0, len(rows), across)])


def png_of(image: np.ndarray) -> bytes:
    """Return uint8 [H, W, 3 or 4] as a PNG file."""
    from PIL import Image  # comes with matplotlib

    data = io.BytesIO()
    Image.fromarray(image).save(data, format="PNG")
    return data.getvalue()


def pixels_of(drawing: "Drawing") -> np.ndarray:
    """Return a drawing at DPI, uint8 [H, W, 4]."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    drawing.set_dpi(DPI)
    canvas = FigureCanvasAgg(drawing)
    canvas.draw()
    return np.array(canvas.buffer_rgba())


def _with_title(drawing: "Drawing", title: str) -> np.ndarray:
    """Return a drawing under its title on white, uint8 [H, W, 3]."""
    width, height = drawing.get_size_inches()
    room = height / (height + _TITLE)
    for axes in drawing.axes:
        box = axes.get_position()
        axes.set_position((box.x0, box.y0 * room, box.width, box.height * room))
    drawing.set_size_inches(width, height + _TITLE)
    size = min(9.5, 120 * width / max(1, len(title)))  # a letter is as wide as 0.6 of its height
    drawing.text(0.5, 1 - 0.3 * _TITLE / (height + _TITLE), title, ha="center", va="top", fontsize=size)
    return pixels_of(drawing)[..., :3]
