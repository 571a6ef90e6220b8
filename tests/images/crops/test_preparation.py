"""Clipping and CLAHE of whole sites: numpy's percentiles, scikit-image's CLAHE, and the same wherever a site is read."""

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter
from skimage.exposure import equalize_adapthist

from kit.config import ViewsConfig
from kit.images.crops.equalise import clahe, clip_levels
from kit.images.crops.preparation import AS_STORED, Preparation
from kit.images.crops.reader import SiteReader
from tests.images.made_work import CHANNELS, made_site, make_work


def image(height: int, width: int, most: int = 255, seed: int = 0) -> np.ndarray:
    """Smooth and mostly dark, as stained cells are; `most` is the number of its levels."""
    smooth = gaussian_filter(np.random.default_rng(seed).normal(size=(height, width)), 2)
    return ((smooth - smooth.min()) / np.ptp(smooth)) ** 3 * most


@pytest.mark.parametrize("limit", [0.003, 0.01, 0.5])
@pytest.mark.parametrize(
    ("height", "width", "most", "tiles"),
    [(128, 128, 200, 8), (130, 141, 255, 8), (67, 50, 24, 8), (97, 33, 255, 3), (5, 9, 255, 8), (40, 41, 3, 1)],
)
def test_clahe_is_scikit_images(height, width, most, tiles, limit):
    levels = image(height, width, most).astype(np.uint8)
    kernel = [max(side // tiles, 1) for side in levels.shape]
    expected = equalize_adapthist(levels, kernel_size=kernel, clip_limit=limit) * 255
    assert np.abs(clahe(levels, limit=limit, tiles=tiles) - expected).max() < 0.52  # rounded to a level


def test_an_image_of_one_level_becomes_black():
    flat = np.full((32, 40), 77, np.uint8)
    assert not clahe(flat).any()
    assert not clip_levels(flat, 0.5, 99.5).any()


@pytest.mark.parametrize(("low", "high"), [(0.5, 99.5), (10, 50), (0, 99)])
def test_clipped_levels_are_numpys_percentiles(low, high):
    levels = image(61, 47, 90).astype(np.uint8)
    ends = np.percentile(levels, [low, high])
    expected = np.clip((levels - ends[0]) / (ends[1] - ends[0]), 0, 1) * 255
    found = clip_levels(levels, low, high)
    assert np.abs(found - expected).max() <= 0.5
    assert (found.min(), found.max()) == (0, 255)


def test_a_hot_pixel_no_longer_squeezes_the_rest():
    levels = (image(64, 64, 20)).astype(np.uint8)
    levels[3, 3] = 255
    assert clip_levels(levels, 0.5, 99.5).std() > 8 * levels.std()


def test_every_channel_is_prepared_by_itself_and_in_order():
    views = ViewsConfig(high_pass_brightfield=5, clip_percentiles=(1.0, 99.0), clahe=True, clahe_limit=0.02, clahe_tiles=2)
    prepare = Preparation.of(views, ("fluorescence", "brightfield"))
    assert prepare == Preparation((0, 5), (1.0, 99.0), (0.02, 2))
    site = made_site("P1", "A01", 1)[:2]
    passed = Preparation((0, 5))(site.copy())
    expected = np.stack([clahe(clip_levels(one, 1.0, 99.0), limit=0.02, tiles=2) for one in passed])
    np.testing.assert_array_equal(prepare(site.copy()), expected)
    np.testing.assert_array_equal(prepare.only([1])(site[1:].copy()), expected[1:])
    assert (prepare.changed(2), Preparation((0, 5)).changed(2), AS_STORED.changed(2)) == ([0, 1], [1], [])
    assert Preparation.of(ViewsConfig(), ("fluorescence",)) == Preparation((0,))


def test_the_reader_prepares_what_it_reads(tmp_path):
    work = make_work(tmp_path, plates=("P1",), wells=1, sites=1)
    prepare = Preparation(clahe=(0.01, 4))
    out = np.empty((3, 32, 32), np.uint8)
    SiteReader(work, CHANNELS, ["P1"], prepare).read("P1", "A01", 1, out)
    np.testing.assert_array_equal(out, [clahe(one, tiles=4) for one in made_site("P1", "A01", 1)])
