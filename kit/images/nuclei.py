"""Find the nuclei of one image of a nuclear stain. H W pixels, K bright pixels, N nuclei.

Nothing has to be set: smoothing, splitting and the sizes kept follow the size of what is found. Diameters are right from about
six pixels on; below, blur and the pixel grid make them too large.
"""

from typing import Any

import numpy as np
import pandas as pd

from kit.errors import KitError
from kit.images.hulls import hull_areas
from kit.images.peaks import spot_peaks

COLUMNS = ("y", "x", "diameter_px", "area_px", "eccentricity", "solidity")
SMOOTH_PX = 0.7  # standard deviation; keeps a nucleus of six pixels
LEAST_DIAMETER = 4.0  # pixels: below are hot pixels and noise
SIZES = (0.4, 2.5)  # diameters kept, in units of the typical one: fragments and clumps are left out
SOLIDITY = 0.8  # least share of its convex hull that a nucleus fills
CONTRAST = 3.0  # least height of a nucleus above the background, in standard deviations of the pixel noise


def find_nuclei(image_HW: np.ndarray) -> pd.DataFrame:
    """Return the table of `nuclei_columns`."""
    return pd.DataFrame(nuclei_columns(image_HW))


def nuclei_columns(image_HW: np.ndarray) -> dict[str, np.ndarray]:
    """Return COLUMNS of the nuclei that lie wholly inside an image, empty where there is none: y, x (centre, pixels),
    diameter_px, area_px, eccentricity (0 a circle, towards 1 a line), solidity (share of the convex hull).

    A nucleus is a bright, convex spot above the image's Otsu threshold; touching ones are parted where the distance to the
    background has several maxima. Its border runs where the light has fallen halfway to the background, so that neither
    brightness nor blur changes the diameter, which is that of a circle of the same area.

    Args:
        image_HW: any scale, nuclei bright: grey levels or camera counts.

    Raises:
        KitError: scikit-image is not installed.
        ValueError: the image is not two-dimensional.
    """
    return measure_nuclei(label_nuclei(image_HW))


def measure_nuclei(label_HW: np.ndarray) -> dict[str, np.ndarray]:
    """Return what `nuclei_columns` does, of an image that `label_nuclei` has labelled."""
    if not label_HW.any():
        return {name: np.empty(0) for name in COLUMNS}
    return _measure(_segmentation().clear_border(label_HW))


def label_nuclei(image_HW: np.ndarray) -> np.ndarray:
    """Return the spot of each pixel, int32 [H, W]: a number from 1 each, 0 beside them; arguments and errors as `nuclei_columns`.

    Spots on the image's edge are among them, and such as have not the size or the shape of a nucleus.
    """
    if image_HW.ndim != 2:
        raise ValueError(f"an image of {image_HW.ndim} dimensions: need one channel, H x W")
    segmentation = _segmentation()
    from scipy import ndimage  # comes with scikit-image

    light_HW = image_HW.astype(np.float32)
    light_HW -= light_HW.min()
    light_HW = np.minimum(light_HW, np.percentile(light_HW, 99.9))  # a few hot pixels do not set the threshold
    smooth_HW = ndimage.gaussian_filter(light_HW, SMOOTH_PX)
    label_HW, depth_HW = _split(smooth_HW, segmentation)
    if not label_HW.any():
        return label_HW
    dark_HW = label_HW == 0
    noise = max(float((light_HW - smooth_HW)[dark_HW].std()), 0.3)  # 0.3: of rounding to whole levels
    return _trim(label_HW, depth_HW, smooth_HW, float(np.median(smooth_HW[dark_HW])), CONTRAST * noise)


def add_squares(image_HW: np.ndarray, side: int) -> np.ndarray:
    """Return the sums of squares of `side` x `side` pixels, uint32; what is left over at the right and below is left out."""
    height, width = (length // side for length in image_HW.shape)
    squares = image_HW[: height * side, : width * side].reshape(height, side, width, side)
    return squares.sum(axis=(1, 3), dtype=np.uint32)


def _segmentation() -> Any:
    try:
        from skimage import segmentation  # here: it takes a second to import
    except ImportError as error:
        raise KitError(f"finding nuclei needs scikit-image ({error}): pip install scikit-image") from error
    return segmentation


def _split(smooth_HW: np.ndarray, segmentation: Any) -> tuple[np.ndarray, np.ndarray]:
    """Return the label of each pixel above the threshold, a number per nucleus (else 0), and its distance to the background."""
    from scipy import ndimage
    from skimage.filters import threshold_otsu

    nothing = np.zeros(smooth_HW.shape, np.int32)
    if smooth_HW.max() <= smooth_HW.min():
        return nothing, nothing
    root_HW = np.sqrt(smooth_HW)  # dim nuclei next to bright ones stay above the threshold
    bright_HW = _filled(root_HW > threshold_otsu(root_HW))
    if bright_HW.all():
        return nothing, nothing
    depth_HW = _depths(bright_HW)
    spot_HW, spots = ndimage.label(bright_HW)
    depth_K, spot_K = depth_HW[bright_HW], spot_HW[bright_HW]
    radius = _typical(ndimage.maximum(depth_K, spot_K, np.arange(1, spots + 1)), np.bincount(spot_K)[1:])
    hill_HW = ndimage.gaussian_filter(depth_HW, 0.25 * radius) * bright_HW
    peak_N2 = spot_peaks(hill_HW, spot_HW, max(1, round(0.7 * radius)))
    numbers_N, spot_N = np.arange(1, len(peak_N2) + 1), spot_HW[tuple(peak_N2.T)]
    label_S = np.zeros(spots + 1, np.int32)
    label_S[spot_N] = numbers_N
    shared_S = np.bincount(spot_N) > 1  # spots of several peaks; the others are one nucleus each
    label_HW = label_S[spot_HW]
    if shared_S.any():
        seed_HW = nothing.copy()
        seed_HW[tuple(peak_N2.T)] = numbers_N * shared_S[spot_N]
        shared_HW = shared_S[spot_HW]
        label_HW[shared_HW] = segmentation.watershed(-hill_HW, seed_HW, mask=shared_HW)[shared_HW]
    return label_HW, depth_HW


def _depths(mask_HW: np.ndarray) -> np.ndarray:
    """Return scipy's distance_transform_edt of a mask: it reckons dark pixels too, here they stay 0."""
    from scipy import ndimage

    nearest_2HW = ndimage.distance_transform_edt(mask_HW, return_distances=False, return_indices=True)
    place_K = np.flatnonzero(mask_HW)
    nearest_2K = nearest_2HW.reshape(2, -1)[:, place_K]
    away_2K = nearest_2K - np.stack(np.divmod(place_K, mask_HW.shape[1]))
    depth_HW = np.zeros(mask_HW.shape)
    depth_HW.ravel()[place_K] = np.sqrt((away_2K**2).sum(axis=0))
    return depth_HW


def _typical(radius_N: np.ndarray, area_N: np.ndarray) -> float:
    """Return the radius of the spot that holds the middle pixel: specks have many spots and few pixels."""
    order = np.argsort(radius_N)
    area = np.cumsum(area_N[order])
    return float(radius_N[order][np.searchsorted(area, area[-1] / 2)])


def _trim(
    label_HW: np.ndarray, depth_HW: np.ndarray, smooth_HW: np.ndarray, background: float, least_height: float
) -> np.ndarray:
    """Return the labels up to half the height of each spot's inner half, those of lower spots as 0."""
    from scipy import ndimage

    inside_HW = label_HW > 0
    label_K, depth_K, smooth_K = label_HW[inside_HW], depth_HW[inside_HW], smooth_HW[inside_HW]
    numbers_N = np.arange(1, label_K.max() + 1)
    deepest_N = np.append(0, ndimage.maximum(depth_K, label_K, numbers_N))
    core_K = depth_K >= 0.5 * deepest_N[label_K]
    height_N = ndimage.median(smooth_K[core_K], label_K[core_K], numbers_N) - background
    edge_N = np.append(np.inf, np.where(height_N >= least_height, background + 0.5 * height_N, np.inf))
    return label_HW * _filled(smooth_HW > edge_N[label_HW])


def _filled(mask_HW: np.ndarray) -> np.ndarray:
    """Return scipy's binary_fill_holes of a mask, in a fifth of its time: the dark regions that touch no edge are holes."""
    from scipy import ndimage

    dark_HW, regions = ndimage.label(~mask_HW)
    hole_R = np.ones(regions + 1, dtype=bool)
    hole_R[0] = False
    for edge in (dark_HW[0], dark_HW[-1], dark_HW[:, 0], dark_HW[:, -1]):
        hole_R[edge] = False
    return mask_HW | hole_R[dark_HW]


def _measure(label_HW: np.ndarray) -> dict[str, np.ndarray]:
    """Return COLUMNS of the labelled spots that have the size and the shape of a nucleus."""
    place_K = np.flatnonzero(label_HW)
    label_K, (y_K, x_K) = label_HW.ravel()[place_K], np.divmod(place_K, label_HW.shape[1])
    area_L = np.bincount(label_K, minlength=1).astype(np.float64)
    diameter_L = 2 * np.sqrt(area_L / np.pi)
    keep_L = diameter_L >= LEAST_DIAMETER
    if keep_L.any():
        typical = _typical(diameter_L[keep_L], area_L[keep_L])
        keep_L &= (diameter_L >= SIZES[0] * typical) & (diameter_L <= SIZES[1] * typical)
    number_N = np.flatnonzero(keep_L)
    solidity_N = area_L[number_N] / hull_areas(label_HW, number_N)
    number_N, solidity_N = number_N[solidity_N >= SOLIDITY], solidity_N[solidity_N >= SOLIDITY]
    y_L, x_L = (np.bincount(label_K, line_K, 1) / np.maximum(area_L, 1) for line_K in (y_K, x_K))
    eccentricity_N = _eccentricities(label_K, y_K - y_L[label_K], x_K - x_L[label_K])[number_N]
    columns = (y_L[number_N], x_L[number_N], diameter_L[number_N], area_L[number_N], eccentricity_N, solidity_N)
    return dict(zip(COLUMNS, columns, strict=True))


def _eccentricities(label_K: np.ndarray, y_K: np.ndarray, x_K: np.ndarray) -> np.ndarray:
    """Return skimage's eccentricity of each label from the places of its pixels, measured from their mean."""
    yy_L, xx_L, yx_L = (np.bincount(label_K, product_K, 1) for product_K in (y_K**2, x_K**2, y_K * x_K))
    middle_L, away_L = (yy_L + xx_L) / 2, np.hypot((yy_L - xx_L) / 2, yx_L)  # of the two eigenvalues
    return np.sqrt(np.divide(2 * away_L, middle_L + away_L, out=np.zeros_like(away_L), where=away_L > 0))
