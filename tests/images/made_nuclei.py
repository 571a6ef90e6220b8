"""The DNA channel of made sites whose nuclei are `scale` times those of a made plate, and as many of them."""

from dataclasses import replace

import numpy as np

from kit.images.phantom.cells import draw_scene
from kit.images.phantom.config import TRAITS, U2OS_LIKE, CellLine, PhantomConfig
from kit.images.phantom.optics import photograph, plate_exposure
from kit.images.store.levels import scale_image
from kit.streams import made_plate

DNA = 4  # of the eight channels


def nuclei_site(scale: float, number: int, line: CellLine = U2OS_LIKE) -> tuple[np.ndarray, int]:
    """Return the levels of one untreated site of 168 * scale pixels, uint8 [H, W], and the cells whose centre it holds."""
    config = PhantomConfig(side=round(168 * scale), rounded=0.0, debris=0.0)
    line = replace(
        line, cells=line.cells / scale**2, nucleus_radius=line.nucleus_radius * scale, cell_radius=line.cell_radius * scale,
        cluster_spread=line.cluster_spread * scale,
    )  # fmt: skip
    scene = draw_scene(config, line, dict.fromkeys(TRAITS, 0.0), made_plate(0, "site", site=number))
    counts = photograph(config, scene, plate_exposure(config, 0), made_plate(0, "camera", site=number))[DNA]
    return scale_image(counts, -1, -1)[0], scene.cells
