"""The texture baseline: by value against plain numpy, what it does not see, and as a run of its own."""

import json

import numpy as np
import pytest

from kit.errors import KitError, UsageError
from kit.profiles.embed import embed
from kit.profiles.texture import correlations, site_texture
from tests.images.made_work import CHANNELS, make_work
from tests.profiles.test_embed import put_run


def made_site(C=3, H=41, W=37, seed=0):
    return np.random.default_rng(seed).integers(0, 100, (C, H, W)).astype(np.uint8)


def test_correlations_are_numpys():
    site = made_site()
    np.testing.assert_allclose(correlations(site), np.corrcoef(site.reshape(3, -1)), rtol=1e-12)


def test_bands_by_value():
    from scipy.ndimage import convolve
    from scipy.stats import kurtosis, skew

    site = made_site(C=1)
    taps = np.outer([1, 4, 6, 4, 1], [1, 4, 6, 4, 1]) / 256
    image_HW, bands = site[0].astype(float), []
    for _ in range(2):
        blurred_HW = convolve(image_HW, taps, mode="mirror")
        bands.append((image_HW - blurred_HW).ravel())
        image_HW = blurred_HW[::2, ::2]
    energy = np.array([band.var() for band in bands])
    sharp = [np.log(kurtosis(band, fisher=False)) for band in bands]
    expected = [*np.log(energy / energy.sum()), *(np.arcsinh(skew(band)) for band in bands), *sharp]
    np.testing.assert_allclose(site_texture(site, 2), expected, rtol=1e-4)


def test_gain_and_offset_of_a_channel_change_nothing():
    site = made_site()
    changed = site.copy()
    changed[1] = 2 * changed[1] + 40
    np.testing.assert_allclose(site_texture(changed, 2), site_texture(site, 2), rtol=1e-5, atol=1e-6)


def test_a_channel_of_one_value_gives_zeros():
    site = made_site()
    site[2] = 9
    row = site_texture(site, 2)
    assert np.isfinite(row).all()
    assert not row[12:18].any()  # its bands
    assert row[-2:].tolist() == [0, 0]  # its correlations with the other two


def test_two_channels_alike_and_opposite_are_finite():
    site = made_site()
    site[1], site[2] = site[0], 200 - site[0]
    np.testing.assert_allclose(site_texture(site, 2)[-3:], np.arctanh([0.999999, -0.999999, -0.999999]), rtol=1e-6)


@pytest.fixture
def work(tmp_path):
    return make_work(tmp_path, plates=("P1", "P2"))


def test_it_is_a_run_and_needs_none(work):
    done = embed(work, "hand", baseline="texture", channels=CHANNELS)
    assert done.run == "hand-texture"
    facts = json.loads((work.run_folder("hand-texture") / "features" / "features.json").read_text())
    assert facts["parts"] == {"cls": [0, len(facts["features"])]}
    assert facts["features"][0] == f"{CHANNELS[0]} band 1 log share"
    assert facts["features"][-1] == f"{CHANNELS[-2]} {CHANNELS[-1]} correlation z"
    table = work.features("hand-texture")
    row = table.query("Metadata_Plate == 'P1' and Metadata_Well == 'A03' and Metadata_Site == 2").filter(like="f0").to_numpy()[0]
    levels = (len(row) - 3) // 9
    np.testing.assert_array_equal(row, site_texture(work.read_site("P1", "A03", 2, channels=CHANNELS), levels))


def test_a_run_brings_its_channels(work):
    put_run(work.path, "tiny")
    assert embed(work, "tiny", baseline="texture").run == "tiny-texture"
    with pytest.raises(UsageError, match="run tiny takes"):
        embed(work, "tiny", baseline="texture", channels=CHANNELS[:1])
    with pytest.raises(KitError, match="no run nothing"):
        embed(work, "nothing", baseline="texture")
