"""The texture baseline: by value against plain numpy, what it does not see, and as a run of its own."""

import json
from dataclasses import replace

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from kit.errors import KitError, UsageError
from kit.images.stains import nuclear_channel
from kit.profiles.embed import embed
from kit.profiles.grains import grain_step, site_grains
from kit.profiles.nuclei import NUCLEI, fill_unknown, nuclei_bin, site_nuclei
from kit.profiles.texture import bands_and_correlations, correlations, texture
from tests.images.made_work import CHANNELS, make_work
from tests.profiles.test_embed import put_run


def made_site(C=3, H=41, W=37, seed=0):
    return np.random.default_rng(seed).integers(0, 100, (C, H, W)).astype(np.uint8)


@pytest.mark.parametrize(("H", "W"), [(41, 37), (150, 131)])  # less, and more than is multiplied at once
@pytest.mark.parametrize("least", [0, 250])
def test_correlations_are_numpys(H, W, least):
    site = np.random.default_rng(0).integers(least, 256, (3, H, W)).astype(np.uint8)
    np.testing.assert_allclose(correlations(site), np.corrcoef(site.reshape(3, -1)), rtol=1e-9, atol=1e-12)


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
    np.testing.assert_allclose(bands_and_correlations(site, 2), expected, rtol=1e-4)


def test_gain_and_offset_of_a_channel_change_nothing():
    site = made_site()
    changed = site.copy()
    changed[1] = 2 * changed[1] + 40
    np.testing.assert_allclose(bands_and_correlations(changed, 2), bands_and_correlations(site, 2), rtol=1e-5, atol=1e-6)


def test_a_channel_of_one_value_gives_zeros():
    site = made_site()
    site[2] = 9
    row = bands_and_correlations(site, 2)
    assert np.isfinite(row).all()
    assert not row[12:18].any()  # its bands
    assert row[-2:].tolist() == [0, 0]  # its correlations with the other two


def test_two_channels_alike_and_opposite_are_finite():
    site = made_site()
    site[1], site[2] = site[0], 200 - site[0]
    np.testing.assert_allclose(bands_and_correlations(site, 2)[-3:], np.arctanh([0.999999, -0.999999, -0.999999]), rtol=1e-6)


def test_grains_by_value():
    site = np.zeros((3, 80, 80), np.uint8)
    for channel, half in enumerate((0, 3)):
        site[channel, 40 - half : 41 + half, 30 - half : 31 + half] = 90  # half + 1 erosions take it
    site[1, 70, 70] = 90  # one of 50 pixels of light
    np.testing.assert_allclose(
        site_grains(site, 1).reshape(3, 5), [[1, 0, 0, 0, 0], [0.02**0.5, 0, 0.98**0.5, 0, 0], [0] * 5], rtol=1e-6
    )
    assert [grain_step(*size) for size in ((1080, 1080), (511, 2160), (512, 600), (40, 40))] == [4, 1, 2, 1]


def test_grains_know_no_gain_or_offset():
    site = gaussian_filter(made_site(C=1), (0, 2, 2))
    np.testing.assert_allclose(site_grains(3 * (site - site.min()) + 7, 1), site_grains(site, 1), atol=0.03)  # rounded background


EXTREMES = {
    "empty": np.zeros((2, 40, 40), np.uint8),
    "saturated": np.full((2, 40, 40), 255, np.uint8),
    "one pixel": np.pad(np.full((2, 1, 1), 255, np.uint8), ((0, 0), (20, 19), (20, 19))),
}


@pytest.mark.parametrize("site", EXTREMES.values(), ids=EXTREMES)
def test_extreme_sites_give_finite_numbers(site):
    assert np.isfinite(bands_and_correlations(site, 2)).all()
    assert np.isfinite(site_grains(site, 1)).all()


def nuclei_site(*places, side=120):
    """Discs (y, x, radius) on dark ground, uint8 [H, W]."""
    y, x = np.mgrid[:side, :side]
    light = sum(np.clip(radius - np.hypot(y - cy, x - cx) + 0.5, 0, 1) for cy, cx, radius in places)
    return (20 + 120 * light).astype(np.uint8)


def test_nuclei_by_value():
    image = nuclei_site((30, 30, 8), (30, 90, 10), (90, 30, 12))
    row = dict(zip(NUCLEI, site_nuclei(image, 1), strict=True))
    np.testing.assert_allclose([row["log count"], row["log diameter median"]], [np.log(4), np.log(20)], rtol=0.01)
    np.testing.assert_allclose(row["log diameter quartile range"], np.log(22 / 18), rtol=0.1)  # of 16, 20 and 24
    assert row["eccentricity median"] < 0.2
    assert row["solidity median"] > 0.95
    binned = site_nuclei(np.repeat(np.repeat(image, 3, axis=0), 3, axis=1), 3)
    np.testing.assert_allclose(binned - site_nuclei(image, 1), [0, np.log(3), 0, 0, 0, 0, 0], atol=1e-6)
    assert [nuclei_bin(*size) for size in ((1080, 1080), (1024, 1280), (256, 256))] == [3, 3, 1]


@pytest.mark.parametrize("level", [0, 255])
def test_a_site_without_nuclei_has_the_medians_of_the_others(level):
    none, one = (site_nuclei(image, 1) for image in (np.full((60, 60), level, np.uint8), nuclei_site((30, 30, 8), side=60)))
    assert none[0] == 0
    assert np.isnan(none[1:]).all()
    assert np.isfinite(one).all()
    filled = fill_unknown(np.stack([none, one, 2 * one, 4 * one]))
    np.testing.assert_array_equal(filled, [[0, *(2 * one)[1:]], one, 2 * one, 4 * one])
    assert not fill_unknown(np.stack([none, none])).any()


@pytest.mark.parametrize(
    ("channels", "stain"),
    [
        ("Mito,DNA", "DNA"),
        ("hoechst 33342,actin", "hoechst 33342"),
        ("OrigDNA", "OrigDNA"),
        ("RNA,Nucleoli,LowZBF", None),
        ("mtDNA,DAPI", "DAPI"),
    ],
)
def test_a_nuclear_stain_is_known_by_its_name(channels, stain):
    assert nuclear_channel(channels.split(",")) == stain


def test_what_is_said_of_the_nuclei(work):
    bare = embed(work, "hand", baseline="texture", channels=CHANNELS)
    assert bare.text().splitlines()[1].startswith("no nucleus columns: none of the channels Mito, AGP, RNA is named after DNA, ")
    stained = replace(texture(work, "hand", CHANNELS), channels=("DNA", *CHANNELS[1:]))
    assert stained.note == "nuclei: 7 columns from channel DNA"
    assert stained.names[-7:] == [f"DNA nuclei {of}" for of in NUCLEI]
    assert stained.names[:9] == [name.replace("Mito", "DNA") for name in texture(work, "hand", CHANNELS).names[:9]]


@pytest.fixture
def work(tmp_path):
    return make_work(tmp_path, plates=("P1", "P2"))


def test_it_is_a_run_and_needs_none(work):
    done = embed(work, "hand", baseline="texture", channels=CHANNELS)
    assert done.run == "hand-texture"
    facts = json.loads((work.run_folder("hand-texture") / "features" / "features.json").read_text())
    assert facts["parts"] == {"cls": [0, len(facts["features"])]}
    assert facts["features"][0] == f"{CHANNELS[0]} band 1 log share"
    assert facts["features"][-16] == f"{CHANNELS[-2]} {CHANNELS[-1]} correlation z"  # the last before the granularity
    assert facts["features"][-1] == f"{CHANNELS[-1]} granularity 9-16 root share"
    table = work.features("hand-texture")
    row = table.query("Metadata_Plate == 'P1' and Metadata_Well == 'A03' and Metadata_Site == 2").filter(like="f0").to_numpy()[0]
    site = work.read_site("P1", "A03", 2, channels=CHANNELS)
    levels = (len(row) - 3 - 15) // 9
    np.testing.assert_array_equal(row, np.concatenate([bands_and_correlations(site, levels), site_grains(site, 1)]))


def test_a_run_brings_its_channels(work):
    put_run(work.path, "tiny")
    assert embed(work, "tiny", baseline="texture").run == "tiny-texture"
    with pytest.raises(UsageError, match="run tiny takes"):
        embed(work, "tiny", baseline="texture", channels=CHANNELS[:1])
    with pytest.raises(KitError, match="no run nothing"):
        embed(work, "nothing", baseline="texture")
