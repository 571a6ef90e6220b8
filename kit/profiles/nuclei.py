"""The nuclei of a site, as a few features: how many, how large, of what shape. H W pixels, N sites, D features."""

import numpy as np

from kit.images.nuclei import add_squares, nuclei_columns

FULL_SIDE = 320  # pixels, on the shorter side: below twice that, pixels are not binned; nuclei keep a diameter of eight or more
NUCLEI = (
    "log count",
    "log diameter median",
    "log diameter quartile range",
    "eccentricity median",
    "eccentricity quartile range",
    "solidity median",
    "solidity quartile range",
)


def nuclei_bin(height: int, width: int) -> int:
    """Return the side of the squares of pixels that are added up before nuclei are sought: three for sites of 1080 pixels."""
    return max(1, min(height, width) // FULL_SIDE)


def site_nuclei(image_HW: np.ndarray, side: int) -> np.ndarray:
    """Return NUCLEI of an image of a nuclear stain, float32 [7]: logarithm of 1 + count; of diameters in pixels.

    Without a nucleus, all but the count are NaN: see `fill_unknown`.

    Args:
        image_HW: uint8 levels.
        side: see `nuclei_bin`.
    """
    found = nuclei_columns(add_squares(image_HW, side))
    count = len(found["diameter_px"])
    if not count:
        return np.array([0, *[np.nan] * (len(NUCLEI) - 1)], dtype=np.float32)
    shape_3N = np.stack([np.log(side * found["diameter_px"]), found["eccentricity"], found["solidity"]])
    low_3, median_3, high_3 = np.percentile(shape_3N, [25, 50, 75], axis=1)
    return np.array([np.log1p(count), *np.stack([median_3, high_3 - low_3], axis=1).ravel()], dtype=np.float32)


def fill_unknown(features_ND: np.ndarray) -> np.ndarray:
    """Return the features with each NaN replaced by the median of its column over the other sites, 0 if there are none."""
    known_ND = np.isfinite(features_ND)
    median_D = [np.median(column[known]) if known.any() else 0 for column, known in zip(features_ND.T, known_ND.T, strict=True)]
    return np.where(known_ND, features_ND, np.array(median_D, dtype=features_ND.dtype))
