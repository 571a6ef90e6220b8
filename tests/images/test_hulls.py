"""Convex hulls of labelled regions against scikit-image."""

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter, label
from skimage.measure import regionprops_table

from kit.images.hulls import hull_areas


@pytest.mark.parametrize("smooth", [0, 1, 2.5])
def test_as_scikit_image_counts(smooth):
    """Regions with holes, bays and corners at the edges of the image; and of several parts, rows missing between."""
    noise = np.random.default_rng(0).normal(size=(47, 38))
    connected = label(gaussian_filter(noise, smooth) > 0)[0]
    scattered = np.where(noise > 1.5, np.arange(47 * 38).reshape(noise.shape) % 5, 0)
    for label_HW in (connected, scattered):
        found = regionprops_table(label_HW, properties=("label", "area_convex"))
        np.testing.assert_array_equal(hull_areas(label_HW, found["label"]), found["area_convex"])


def test_by_value():
    label_HW = np.zeros((9, 12), np.int32)
    label_HW[0, 0] = 1
    label_HW[2:6, 3:8] = 7  # a full rectangle is its own hull
    label_HW[[8, 8], [0, 11]] = 4  # two pixels: the line between them
    label_HW[[3, 5, 7], [9, 11, 9]] = 2  # an arrow head of 5 x 3 pixels
    np.testing.assert_array_equal(hull_areas(label_HW, np.array([7, 1, 4, 2])), [20, 1, 12, 9])
    assert len(hull_areas(label_HW, np.empty(0, int))) == 0
    assert len(hull_areas(np.zeros((3, 3), int), np.empty(0, int))) == 0
