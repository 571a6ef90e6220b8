"""The bodies of cells around known nuclei: the watershed of a stain that fills them. H W pixels, N cells."""

import numpy as np

SMOOTH_PX = 1.0  # standard deviation
COLUMNS = ("body_y", "body_x", "body_area_px")


def label_bodies(stain_HW: np.ndarray, nucleus_HW: np.ndarray) -> np.ndarray:
    """Return the cell of each pixel, int32 [H, W]: the number of its nucleus, 0 where there is no cell.

    A body is what lies above the Otsu threshold of the stain's square root, and the nuclei themselves; each pixel goes to the
    nucleus from which the watershed of the darkening stain reaches it. What no nucleus reaches is no cell.

    Args:
        stain_HW: of ER, RNA or whatever fills the cell, bright; any scale.
        nucleus_HW: what `kit.images.nuclei.label_nuclei` returns for the same site: nuclei on the edge keep their own bodies.
    """
    from scipy import ndimage
    from skimage.filters import threshold_otsu
    from skimage.segmentation import watershed

    light_HW = stain_HW.astype(np.float32)
    light_HW -= light_HW.min()
    smooth_HW = ndimage.gaussian_filter(np.minimum(light_HW, np.percentile(light_HW, 99.9)), SMOOTH_PX)
    bright_HW = nucleus_HW > 0
    if smooth_HW.max() > smooth_HW.min():
        root_HW = np.sqrt(smooth_HW)
        bright_HW = bright_HW | (root_HW > threshold_otsu(root_HW))
    return watershed(-smooth_HW, nucleus_HW, mask=bright_HW)


def body_columns(body_HW: np.ndarray, y_N: np.ndarray, x_N: np.ndarray) -> dict[str, np.ndarray]:
    """Return COLUMNS of the bodies around the nuclei with these centres: centre and area, pixels. The edge cuts bodies off."""
    number_N = body_HW[np.rint(y_N).astype(int), np.rint(x_N).astype(int)]
    place_K = np.flatnonzero(body_HW)
    body_K, (y_K, x_K) = body_HW.ravel()[place_K], np.divmod(place_K, body_HW.shape[1])
    area_L = np.bincount(body_K, minlength=1).astype(np.float64)
    centre = (np.bincount(body_K, line_K, 1) / np.maximum(area_L, 1) for line_K in (y_K, x_K))
    return dict(zip(COLUMNS, (*(line_L[number_N] for line_L in centre), area_L[number_N]), strict=True))
