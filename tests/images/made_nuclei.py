"""The DNA channel of made sites whose nuclei are `scale` times those of a made plate, and as many of them."""

from dataclasses import replace

import numpy as np

from kit.images.phantom.cells import Scene, draw_scene
from kit.images.phantom.config import TRAITS, U2OS_LIKE, CellLine, PhantomConfig
from kit.images.phantom.optics import photograph, plate_exposure
from kit.images.store.levels import scale_image
from kit.streams import made_plate

DNA, ER = 4, 3  # of the eight channels


def nuclei_site(scale: float, number: int, line: CellLine = U2OS_LIKE) -> tuple[np.ndarray, int]:
    """Return the levels of one untreated site of 168 * scale pixels, uint8 [H, W], and the cells whose centre it holds."""
    site_CHW, scene = made_site(scale, number, line, (DNA,))
    return site_CHW[0], scene.cells


def made_site(scale: float, number: int, line: CellLine, channels: tuple[int, ...]) -> tuple[np.ndarray, Scene]:
    """Return the levels of these of the eight channels of one untreated site, uint8 [C, H, W], and what it shows."""
    config = PhantomConfig(side=round(168 * scale), rounded=0.0, debris=0.0)
    line = replace(
        line, cells=line.cells / scale**2, nucleus_radius=line.nucleus_radius * scale, cell_radius=line.cell_radius * scale,
        cluster_spread=line.cluster_spread * scale,
    )  # fmt: skip
    scene = draw_scene(config, line, dict.fromkeys(TRAITS, 0.0), made_plate(0, "site", site=number))
    counts_CHW = photograph(config, scene, plate_exposure(config, 0), made_plate(0, "camera", site=number))
    return np.stack([scale_image(counts_CHW[channel], -1, -1)[0] for channel in channels]), scene
