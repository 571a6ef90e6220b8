"""What a complete plate tells viewers: which values to show as black and white, and where its sites are."""

from dataclasses import replace

import numpy as np
import pandas as pd

from kit.images.source.positions import Positions
from kit.images.store.container import Container
from kit.images.store.ome import Ome, first_pixel


def describe(container: Container, table: pd.DataFrame, positions: Positions) -> Ome:
    """Return what the array of a plate says to viewers; `table` is its sites table."""
    windows = {name: _window(table, name, container) for name in container.channels if f"{name}_low" in table}
    shape, pixel_um = container.image_shape, container.ome.pixel_um
    places = [[first_pixel(*positions.of(well, site), shape, pixel_um) for site in container.fields] for well in container.wells]
    known = any(place is not None for well in places for place in well)
    return replace(container.ome, windows=windows, translations=places if known else [])


def _window(table: pd.DataFrame, channel: str, container: Container) -> tuple[int, int]:
    """Return the median site's percentiles 0.5 and 99.5, in stored values."""
    low, high, black, white = (table[f"{channel}_{name}"].astype("float64") for name in ("low", "high", "black", "white"))
    if container.dtype.itemsize == 1:
        low, high = ((255 * (counts - black) / (white - black).clip(lower=1)).clip(0, 255) for counts in (low, high))
    start = min(round(low.median()), np.iinfo(container.dtype).max - 1)
    return start, max(round(high.median()), start + 1)
