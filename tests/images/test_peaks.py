"""Peaks of spots against scikit-image."""

import numpy as np
import pytest
from scipy.ndimage import distance_transform_edt, gaussian_filter, label
from skimage.feature import peak_local_max

from kit.images.peaks import spot_peaks


@pytest.mark.parametrize("distance", [1, 2, 5])
@pytest.mark.parametrize("smooth", [0, 0.7])  # 0: many pixels of one height
def test_as_scikit_image_finds_them(distance, smooth):
    """Spots closer than the distance, of one pixel up to half the image, at its edges and touching at corners."""
    for seed, grain in enumerate((0, 1, 2, 3)):
        bright = gaussian_filter(np.random.default_rng(seed).normal(size=(45, 52)), grain) > 0
        hill, spot = gaussian_filter(distance_transform_edt(bright), smooth) * bright, label(bright)[0]
        expected = peak_local_max(hill, min_distance=distance, labels=spot, exclude_border=False)
        np.testing.assert_array_equal(spot_peaks(hill, spot, distance), expected)


def test_by_value():
    spot = np.array([[1, 1, 1, 1, 0, 2]])
    np.testing.assert_array_equal(spot_peaks(np.array([[3, 2, 2, 4, 0, 9.0]]), spot, 2), [[0, 3], [0, 0], [0, 5]])
    np.testing.assert_array_equal(spot_peaks(np.array([[3, 2, 2, 4, 0, 9.0]]), spot, 3), [[0, 3], [0, 5]])
    np.testing.assert_array_equal(spot_peaks(np.array([[4, 2, 2, 4, 0, 9.0]]), spot, 3), [[0, 0], [0, 3], [0, 5]])
    np.testing.assert_array_equal(spot_peaks(np.array([[4, 2, 4, 1, 0, 9.0]]), spot, 3), [[0, 0], [0, 5]])
    assert spot_peaks(np.zeros((3, 3)), np.zeros((3, 3), int), 2).shape == (0, 2)
