"""Pictures in rows and columns under their names, as one drawing: axes for each would take most of the time of a page."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Drawing

_GAP = 0.03  # of a picture's side, white between two


def sheet(rows: Sequence[Sequence[np.ndarray]], left: Sequence[str], above: Sequence[str], side: float) -> "Drawing":
    """Return a drawing of `rows` of square pictures, all of one size, uint8 [P, P, 3]; call it inside `style`.

    left, above: names of rows and of columns. side: inches of a picture.
    """
    from matplotlib.figure import Figure as Drawing

    down, across, pixels = len(rows), len(rows[0]), len(rows[0][0])
    gap = max(1, round(_GAP * pixels))
    step = pixels + gap
    image = np.full((down * step, across * step, 3), 255, dtype=np.uint8)
    for row, pictures in enumerate(rows):
        for column, picture in enumerate(pictures):
            image[row * step : row * step + pixels, column * step : column * step + pixels] = picture
    margin = 0.1 + (0.09 * max(map(len, left)) if any(left) else 0)  # inches, as are these
    width, height = side * across + margin, side * down + 0.25
    drawing = Drawing(figsize=(width, height))
    axes = drawing.add_axes((margin / width, 0, 1 - margin / width, 1 - 0.25 / height))
    axes.imshow(image, aspect="auto")
    axes.set_xticks((np.arange(across) + 0.5) * step - gap / 2, above)
    axes.set_yticks((np.arange(down) + 0.5) * step - gap / 2, left)
    axes.tick_params(length=0, top=True, labeltop=True, bottom=False, labelbottom=False, labelsize=8)
    axes.spines[:].set_visible(False)
    return drawing
