"""--scale image-robust: which pixels are hot, what they become, and the range after that. H W pixels."""

import numpy as np
import pytest

from kit.images.ingest import image as reading
from kit.images.ingest.image import read_levels
from kit.images.source import tiff
from kit.images.store import levels as plain
from kit.images.store import robust
from kit.images.store.levels import scale_image, to_level
from kit.images.store.robust import find_hot, scale_robust, scale_robust_reference
from tests.images.source.test_tiff import needs_compiled, tiff_bytes

BOTH = (scale_robust, scale_robust_reference)


def scene(H, W, top=4095, seed=0):
    """Camera noise on a background, and a cell that covers a ninth of the image."""
    counts = np.random.default_rng(seed).poisson(300, (H, W))
    counts[H // 3 : 2 * H // 3, W // 3 : 2 * W // 3] += 500
    return np.minimum(counts, top).astype(np.uint16)


@pytest.mark.parametrize("place", [(20, 20), (0, 20), (0, 0), (39, 49), (39, 0), (17, 49)])  # inside, edges, corners
def test_a_lone_pixel_becomes_the_median_of_its_neighbours(place):
    clean = scene(40, 50)
    y, x = place
    around = sorted(
        int(clean[j, i])
        for j in range(max(y - 1, 0), min(y + 2, 40))
        for i in range(max(x - 1, 0), min(x + 2, 50))
        if (j, i) != place
    )
    assert len(around) in (3, 5, 8)
    hot, expected = clean.copy(), clean.copy()
    hot[place], expected[place] = 4095, around[(len(around) - 1) // 2]
    before = hot.copy()
    for scale in BOTH:
        levels, stats, counts = scale(hot)
        np.testing.assert_array_equal(counts, expected)
        assert (stats.hot, stats.brightest, stats.most) == (1, 4095, expected.max())
        np.testing.assert_array_equal(levels, scale(expected)[0])
        assert stats.sum == expected.sum()
    np.testing.assert_array_equal(hot, before)  # the image that came is not written to


def test_white_and_black_are_percentiles_and_the_rest_is_clipped():
    counts = np.arange(10000, dtype=np.uint16).reshape(100, 100) + 50
    for scale in BOTH:
        levels, stats, same = scale(counts)
        assert (stats.black, stats.white, stats.hot) == (59, 10039, 0)  # the 10th and the 9,990th of 10,000
        np.testing.assert_array_equal(levels, to_level(counts, 59, 10039))
        np.testing.assert_array_equal(same, counts)


@pytest.mark.parametrize("spot", [[(9, 9), (9, 10)], [(9, 9), (10, 10)], [(0, 0), (1, 1)], [(5, 5), (5, 6), (6, 5), (6, 6)]])
def test_what_covers_two_pixels_is_structure(spot):
    counts = scene(60, 60)
    for place in spot:
        counts[place] = 4095
    for scale in BOTH:
        levels, stats, same = scale(counts)
        assert stats.hot == 0
        assert all(levels[place] == 255 for place in spot)
        np.testing.assert_array_equal(same, counts)


def test_a_bright_peak_with_lit_neighbours_is_structure():
    """Points of light, 1.3 pixels wide at half their height, as a lens sharper than most draws them: neighbours have a fifth."""
    counts = scene(60, 60).astype(int)
    y, x = np.mgrid[:60, :60]
    for place in ((10, 10), (10.3, 44.6)):
        counts = counts + 3600 * 2.0 ** -(4 * ((y - place[0]) ** 2 + (x - place[1]) ** 2) / 1.3**2)
    counts = counts.astype(np.uint16)
    assert counts[10, 10] > 3800
    assert not find_hot(counts)


def test_how_far_a_pixel_must_stand_out():
    """By more than percentile 99.5 lies above 0.5, 99 here: beside neighbours of 100 a pixel of 199 does not, one of 200 does."""
    counts = np.tile(np.arange(1, 101, dtype=np.uint16), (200, 1))
    counts[:, -1] = 100
    low, high = np.percentile(counts, (0.5, 99.5), method="inverted_cdf")
    assert (low, high) == (1, 100)
    for value, hot in ((199, 0), (200, 1)):
        counts[100, -1] = value
        assert len(find_hot(counts)) == hot
        for scale in BOTH:
            assert scale(counts)[1].hot == hot


def test_noise_alone_has_no_hot_pixel():
    for seed in range(3):
        noise = np.random.default_rng(seed).normal(1000, 50, (400, 400)).astype(np.uint16)
        assert not find_hot(noise)
        assert scale_robust(noise)[1].hot == 0


def test_images_without_a_range():
    flat = np.full((40, 40), 777, np.uint16)
    for scale in BOTH:
        levels, stats, _ = scale(flat)
        assert not levels.any()
        assert (stats.black, stats.white, stats.hot) == (777, 777, 0)
    flat[7, 7] = 65535  # alone on a flat image: hot, and nothing is left
    for scale in BOTH:
        assert not scale(flat)[0].any()
    flat[20:22, 20] = 900  # two pixels in 1600 are more than one in a thousand; in 2500 they are not, and stay visible
    wide = np.full((50, 50), 777, np.uint16)
    wide[20:22, 20] = 900
    for scale in BOTH:
        assert scale(flat)[0].sum() == scale(wide)[0].sum() == 2 * 255
        assert scale(wide)[1].white == 900


@needs_compiled
@pytest.mark.parametrize("shape", [(1, 1), (2, 3), (1, 451), (451, 1), (2, 301), (33, 31), (40, 127)])
@pytest.mark.parametrize("bits", [8, 12, 16])
def test_the_compiled_path_is_the_reference_bit_for_bit(shape, bits):
    rng, top, seen = np.random.default_rng([*shape, bits]), (1 << bits) - 1, 0
    for number in range(30):
        counts = np.minimum(rng.poisson(rng.choice([0.02, 1, 60]), shape) * rng.integers(1, 30), top)
        for _ in range(number % 4):
            counts[rng.integers(shape[0]), rng.integers(shape[1])] = rng.choice([top, rng.integers(0, top + 1)])
        if number % 5 == 4:
            counts[rng.integers(shape[0]) :, rng.integers(shape[1]) :] = top
        counts = counts.astype(np.uint8 if bits == 8 else np.uint16)
        ours, reference = scale_robust(counts), scale_robust_reference(counts)
        np.testing.assert_array_equal(ours[0], reference[0])
        np.testing.assert_array_equal(ours[2], reference[2])
        assert (ours[1], ours[2].dtype) == (reference[1], counts.dtype)
        seen += reference[1].hot
    assert seen > 3 or max(shape) < 4  # there were some to find; below 200 pixels percentile 99.5 is the largest count


@pytest.mark.parametrize("top", [255, 65535])
def test_a_file_is_scaled_like_its_counts(top, monkeypatch):
    counts = np.minimum(scene(40, 50, top), 200).astype(np.uint8 if top == 255 else np.uint16)
    counts[::8] //= 2
    counts[11, 4] = top
    data = tiff_bytes(counts, compression="lzw", rowsperstrip=40)
    expected = scale_robust_reference(counts)
    levels, stats, _ = read_levels(data, robust=True)
    np.testing.assert_array_equal(levels, expected[0])
    assert stats == expected[1]
    for module in (tiff, plain, robust, reading):
        monkeypatch.setattr(module, "cpu_extension", lambda: None)
    without = read_levels(data, robust=True)
    np.testing.assert_array_equal(without[0], levels)
    assert without[1] == stats


def test_plain_scaling_looks_for_none():
    counts = scene(40, 50)
    counts[20, 20] = 65535
    assert (scale_image(counts)[1].hot, scale_image(counts)[1].white) == (-1, 65535)
