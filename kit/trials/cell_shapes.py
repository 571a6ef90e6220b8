"""The shape of a single cell, by hand: its bright part in the middle, and the light around the middle. H W pixels."""

from typing import Any

import numpy as np

RINGS = 8
OF_PART = ("area", "eccentricity", "solidity", "extent", "form factor", "parts", "share")
SHAPE = (*OF_PART, *(f"ring {ring} {of}" for of in ("mean", "sd") for ring in range(1, RINGS + 1)))


def cell_shape(levels_HW: np.ndarray) -> np.ndarray:
    """Return SHAPE of an image of a cell that stands in its middle, float64 [23]; zeros where it has one value.

    The part is the one nearest the middle of what is brighter than Otsu's threshold, holes filled. area: of the image; extent:
    area over bounding box; form factor: 4 pi area / perimeter^2; parts: how many there are; share: of all their pixels. Rings
    of the same width lie between the middle and the nearest edge; mean and sd of their levels are over 255. The image comes
    at its own minimum and maximum, so that no gain or offset changes a number but by rounding.
    """
    if levels_HW.max() == levels_HW.min():
        return np.zeros(len(SHAPE))
    return np.concatenate([_middle_part(levels_HW), _rings(levels_HW / 255)])


def _middle_part(levels_HW: np.ndarray) -> np.ndarray:
    from scipy import ndimage  # here, as skimage: it takes a second to import
    from skimage.filters import threshold_otsu
    from skimage.measure import regionprops

    bright_HW = ndimage.binary_fill_holes(levels_HW > threshold_otsu(levels_HW))
    part_HW, parts = ndimage.label(bright_HW, np.ones((3, 3)))
    away_HW = np.where(bright_HW, _from_middle(levels_HW.shape), np.inf)
    middle_HW = part_HW == part_HW.flat[away_HW.argmin()]
    part: Any = regionprops(middle_HW.astype(np.uint8))[0]
    form = 4 * np.pi * part.area / max(part.perimeter, 1) ** 2
    outline = (part.eccentricity, part.solidity, part.extent, form)
    return np.array([part.area / middle_HW.size, *outline, parts, part.area / bright_HW.sum()])


def _rings(light_HW: np.ndarray) -> np.ndarray:
    """Return mean and standard deviation of the light in each ring, float64 [2 * RINGS]."""
    ring_HW = (_from_middle(light_HW.shape) / (min(light_HW.shape) / 2) * RINGS).astype(np.int64)
    pixels_R, sum_R, square_R = (
        np.bincount(ring_HW.ravel(), None if power is None else power.ravel(), RINGS)[:RINGS]
        for power in (None, light_HW, light_HW**2)
    )
    mean_R = sum_R / np.maximum(pixels_R, 1)
    return np.concatenate([mean_R, np.sqrt(np.maximum(square_R / np.maximum(pixels_R, 1) - mean_R**2, 0))])


def _from_middle(shape: tuple[int, ...]) -> np.ndarray:
    """Return the distance of each pixel's centre from the middle of the image, float64 [H, W]."""
    y, x = (np.arange(length) - (length - 1) / 2 for length in shape)
    return np.hypot(y[:, None], x[None])
