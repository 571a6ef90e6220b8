"""Nuclei of one image: discs of known place and size, and what is none."""

import sys

import numpy as np
import pandas as pd
import pytest
from scipy.ndimage import binary_fill_holes, distance_transform_edt
from skimage import segmentation
from skimage.measure import regionprops_table

from kit.errors import KitError
from kit.images.nuclei import _depths, _filled, _measure, _split, find_nuclei


def discs(*places, side=120, height=120.0, ground=20.0, noise=2.0, seed=0):
    """An image of discs (y, x, radius) whose edge is one pixel wide."""
    y, x = np.mgrid[:side, :side]
    light = np.zeros((side, side))
    for cy, cx, radius in places:
        light = np.maximum(light, np.clip(radius - np.hypot(y - cy, x - cx) + 0.5, 0, 1))
    return ground + height * light + np.random.default_rng(seed).normal(0, noise, light.shape)


def test_place_and_diameter_of_each_nucleus():
    found = find_nuclei(discs((30, 40, 9), (80.5, 70, 12), (60, 20, 10)).astype(np.uint8)).sort_values("y")
    np.testing.assert_allclose(found[["y", "x"]], [[30, 40], [60, 20], [80.5, 70]], atol=0.2)
    np.testing.assert_allclose(found["diameter_px"], [18, 20, 24], rtol=0.03)
    np.testing.assert_allclose(found["area_px"], np.pi * found["diameter_px"] ** 2 / 4)


def test_brightness_and_unit_change_no_diameter():
    bright, dim = discs((60, 60, 10), height=2000, ground=300), discs((60, 60, 10), height=60)
    with_brighter = np.maximum(bright, discs((25, 25, 10), height=9000, ground=300))
    diameters = [find_nuclei(image)["diameter_px"] for image in (bright, dim, with_brighter)]
    assert [len(found) for found in diameters] == [1, 1, 2]
    np.testing.assert_allclose(np.concatenate(diameters), 20, rtol=0.03)


def test_shape_by_value():
    """Against scikit-image, and for an ellipse of axes 2 : 1 against the formula."""
    y, x = np.mgrid[:120, :120]
    labels = np.zeros((120, 120), np.int32)
    labels[np.hypot((y - 60) / 30, (x - 60) / 15) <= 1] = 4
    labels[5:20, 5:50], labels[100, 100] = 2, 7  # one pixel is none
    labels[80:110, 5:19], labels[80:94, 5:30] = 1, 1
    found = pd.DataFrame(regionprops_table(labels, properties=("centroid", "area", "eccentricity", "solidity")))[:3]
    measured = pd.DataFrame(_measure(labels)).drop(columns="diameter_px")
    assert measured["solidity"].is_unique
    np.testing.assert_allclose(measured, found[["centroid-0", "centroid-1", "area", "eccentricity", "solidity"]], atol=1e-7)
    nucleus = find_nuclei(100.0 * (labels == 4)).iloc[0]
    np.testing.assert_allclose(nucleus[["eccentricity", "solidity"]], [0.75**0.5, 0.98], atol=0.02)


def test_the_distances_are_scipys():
    mask = np.random.default_rng(0).random((40, 33)) < 0.8
    np.testing.assert_array_equal(_depths(mask), distance_transform_edt(mask))


def test_a_nucleus_of_its_own_is_no_part_of_its_neighbours_split():
    """Nuclei that touch and nuclei that stand alone, in one image: as the watershed of the whole image labels them."""
    image = discs((60, 45, 10), (60, 64, 10), (25, 25, 10), (95, 90, 8), (100, 30, 9))
    split_HW, depth_HW = _split(image, segmentation)
    assert split_HW.max() >= 5
    assert len({split_HW[place] for place in ((60, 45), (60, 64), (25, 25), (95, 90), (100, 30))} - {0}) == 5
    np.testing.assert_array_equal(split_HW > 0, depth_HW > 0)


def test_holes_are_filled_as_scipy_fills_them():
    for share in (0.3, 0.5, 0.7):
        mask = np.random.default_rng(0).random((40, 33)) < share
        np.testing.assert_array_equal(_filled(mask), binary_fill_holes(mask))


def test_touching_nuclei_are_parted():
    found = find_nuclei(discs((60, 45, 10), (60, 64, 10), (70, 100, 10))).sort_values("x")
    np.testing.assert_allclose(found["x"], [45, 64, 100], atol=1.5)
    np.testing.assert_allclose(found["diameter_px"], 20, rtol=0.06)


def test_what_the_edge_cuts_and_what_has_another_size_is_left_out():
    found = find_nuclei(discs((4, 50, 10), (60, 118, 10), (60, 60, 10), (90, 30, 10), (30, 90, 2.5)))
    np.testing.assert_allclose(found.sort_values("y")["y"], [60, 90], atol=0.3)


def test_a_crescent_is_no_nucleus():
    crescent = discs((60, 60, 14)) - np.clip(discs((60, 68, 12), ground=0, noise=0), 0, 120)
    assert len(find_nuclei(np.maximum(crescent, discs((25, 25, 10))))) == 1


RNG = np.random.default_rng(3)
NOTHING = {
    "black": np.zeros((40, 40), np.uint8),
    "flat": np.full((40, 50), 7, np.uint8),
    "one pixel": np.full((1, 1), 7, np.uint8),
    "noise": RNG.normal(100, 10, (120, 120)).astype(np.uint8),
    "all levels": RNG.integers(0, 256, (120, 120), dtype=np.uint8),
    "few photons": RNG.poisson(1.0, (120, 120)).astype(np.uint8),
    "a slope": (np.linspace(40, 90, 120)[:, None] + RNG.normal(0, 3, (120, 120))).astype(np.uint8),
}


@pytest.mark.parametrize("image", NOTHING.values(), ids=NOTHING)
def test_where_no_nucleus_is_none_is_found(image):
    found = find_nuclei(image)
    assert len(found) == 0
    assert list(found) == ["y", "x", "diameter_px", "area_px", "eccentricity", "solidity"]


def test_hot_pixels_hide_no_nucleus_and_are_none():
    image = discs((60, 60, 10))
    image[[5, 50, 90], [100, 20, 90]] = 60_000
    np.testing.assert_allclose(find_nuclei(image)["diameter_px"], [20], rtol=0.03)


def test_several_channels_are_refused():
    with pytest.raises(ValueError, match="3 dimensions: need one channel"):
        find_nuclei(np.zeros((2, 8, 8)))


def test_without_scikit_image_one_line_says_so(monkeypatch):
    monkeypatch.setitem(sys.modules, "skimage", None)
    with pytest.raises(KitError, match=r"needs scikit-image .*: pip install scikit-image"):
        find_nuclei(discs((60, 60, 10)))
