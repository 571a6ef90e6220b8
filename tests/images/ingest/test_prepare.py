"""What may happen before scaling, and the choices of a store: sizes, bits, plate percentiles, illumination, codecs."""

from fractions import Fraction

import numpy as np
import pytest
import zarr

import kit
from kit.errors import UsageError
from kit.images import zarr_codecs  # noqa: F401 - registers JPEG-LS and JPEG XL with zarr-python
from kit.images.ingest.plan import IngestPlan
from kit.images.ingest.prepare import correct_illumination, read_illumination, shrink, shrunken_shape
from kit.images.ingest.run import ingest
from kit.images.store.work import open_work
from tests.images.made_plates import counts, write_plate


@pytest.fixture
def source(tmp_path):
    write_plate(tmp_path / "images", "BR00117010", channels=(1, 5))
    return tmp_path / "images"


def shares(length: int, parts: int, part: int) -> list[Fraction]:
    low, high = Fraction(part * length, parts), Fraction((part + 1) * length, parts)
    return [max(Fraction(0), min(high, k + 1) - max(low, k)) for k in range(length)]


@pytest.mark.parametrize(("H", "W", "height", "width"), [(8, 8, 4, 4), (7, 9, 3, 4), (10, 6, 7, 4), (5, 5, 5, 5), (9, 12, 1, 1)])
def test_area_averaging_in_fractions(H, W, height, width):
    image = np.random.default_rng(0).integers(0, 65536, (H, W)).astype(np.uint16)
    expected = np.zeros((height, width), np.uint16)
    for y in range(height):
        for x in range(width):
            down, across = shares(H, height, y), shares(W, width, x)
            total = sum(v * w * int(image[j, i]) for j, v in enumerate(down) for i, w in enumerate(across))
            mean = total * height * width / Fraction(H * W)
            expected[y, x] = int(mean + Fraction(1, 2))
    np.testing.assert_array_equal(shrink(image, height, width), expected)


def test_sizes():
    assert shrunken_shape(1080, 1080, 540) == (540, 540)
    assert shrunken_shape(1080, 1360, 340) == (270, 340)
    assert shrunken_shape(1080, 1080, 0) == (1080, 1080)
    with pytest.raises(UsageError, match="averaging cannot enlarge"):
        shrunken_shape(1080, 1080, 1081)


def test_size_12_averages_counts_then_scales(source, tmp_path):
    ingest(IngestPlan(source, tmp_path / "w", size=12))
    opened = open_work(tmp_path / "w")
    image = counts("BR00117010", "A01", 1, 5).astype(int).reshape(12, 2, 12, 2).sum((1, 3))
    image = (2 * image + 4) // 8
    expected = (image - image.min()) * 255 // (image.max() - image.min())
    np.testing.assert_array_equal(opened.read_site("BR00117010", "A01", 1, ["DNA"])[0], expected)
    assert opened.sites.loc[0, "DNA_max"] == image.max()


def test_16_bits_keep_counts_and_scale_on_reading(source, tmp_path):
    ingest(IngestPlan(source, tmp_path / "w8"))
    ingest(IngestPlan(source, tmp_path / "w16", bits=16))
    opened = open_work(tmp_path / "w16")
    stored = zarr.open(tmp_path / "w16" / "plates" / "BR00117010.zarr", mode="r")["pixels"]
    np.testing.assert_array_equal(stored[1, 1, 0], counts("BR00117010", "B02", 2, 1))
    for site in (1, 2):
        np.testing.assert_array_equal(
            opened.read_site("BR00117010", "B02", site), open_work(tmp_path / "w8").read_site("BR00117010", "B02", site)
        )
    for ours, theirs in zip(opened.channel_stats(["DNA"]), open_work(tmp_path / "w8").channel_stats(["DNA"]), strict=True):
        assert ours == theirs
    with pytest.raises(UsageError, match="made with --bits 16, not with --bits 8"):
        ingest(IngestPlan(source, tmp_path / "w16"))


@pytest.mark.parametrize("bits", [8, 16])
def test_plate_percentiles_scale_all_images_of_a_channel_alike(source, tmp_path, bits):
    ingest(IngestPlan(source, tmp_path / "w", scale="plate-percentile", bits=bits))
    images = {(w, s): counts("BR00117010", w, s, 5).astype(np.int64) for w in ("A01", "B02") for s in (1, 2)}
    pooled = np.stack(list(images.values()))
    black, white = np.percentile(pooled, (0.1, 99.9), method="inverted_cdf")
    opened = open_work(tmp_path / "w")
    for (well, site), image in images.items():
        expected = (np.clip(image, black, white) - black) * 255 // (white - black)
        np.testing.assert_array_equal(opened.read_site("BR00117010", well, site, ["DNA"])[0], expected)
    row = opened.sites.iloc[0]
    assert (row["DNA_black"], row["DNA_white"]) == (black, white)
    assert row["DNA_max"] == images["A01", 1].max()


def test_illumination_is_divided_out_before_scaling(source, tmp_path):
    function = np.linspace(1, 2, 24 * 24).reshape(24, 24)
    folder = tmp_path / "illum" / "BR00117010"
    folder.mkdir(parents=True)
    np.save(folder / "BR00117010_IllumDNA.npy", function)
    ingest(IngestPlan(source, tmp_path / "w", illum=tmp_path / "illum"))
    opened = open_work(tmp_path / "w")
    image = np.floor(counts("BR00117010", "A01", 1, 5) / function + 0.5).astype(int)
    expected = (image - image.min()) * 255 // (image.max() - image.min())
    np.testing.assert_array_equal(opened.read_site("BR00117010", "A01", 1, ["DNA"])[0], expected)
    plain = counts("BR00117010", "A01", 1, 1).astype(int)  # Mito has no function
    expected = (plain - plain.min()) * 255 // (plain.max() - plain.min())
    np.testing.assert_array_equal(opened.read_site("BR00117010", "A01", 1, ["Mito"])[0], expected)
    with pytest.raises(UsageError, match="made with --illum, not without"):
        ingest(IngestPlan(source, tmp_path / "w"))


def test_illumination_that_cannot_be_used(source, tmp_path):
    assert correct_illumination(np.array([[65535]], np.uint16), np.array([[0.5]])) == 65535
    report = ingest(IngestPlan(source, tmp_path / "w", illum=tmp_path))
    assert "no BR00117010_Illum<Channel>.npy" in report.failed[0]
    np.save(tmp_path / "BR00117010_IllumDNA.npy", np.ones((4, 4)))
    report = ingest(IngestPlan(source, tmp_path / "w", illum=tmp_path))
    assert "shape (4, 4); the plate's images have (24, 24)" in report.failed[0]
    np.save(tmp_path / "BR00117010_IllumDNA.npy", np.zeros((24, 24)))
    read_illumination.cache_clear()
    assert "positive and finite" in ingest(IngestPlan(source, tmp_path / "w", illum=tmp_path)).failed[0]


@pytest.mark.parametrize("codec", ["zstd", "jpegls", "jpegxl"])
@pytest.mark.parametrize("bits", [8, 16])
def test_codecs_lose_nothing_and_open_in_zarr_python(source, tmp_path, codec, bits):
    ingest(IngestPlan(source, tmp_path / "w", codec=codec, bits=bits))
    ingest(IngestPlan(source, tmp_path / "plain", bits=bits))
    for well, site in (("A01", 1), ("B02", 2)):
        np.testing.assert_array_equal(
            kit.open(tmp_path / "w").read_site("BR00117010", well, site),
            kit.open(tmp_path / "plain").read_site("BR00117010", well, site),
        )
    ours, theirs = (zarr.open(tmp_path / name / "plates" / "BR00117010.zarr", mode="r")["pixels"] for name in ("w", "plain"))
    np.testing.assert_array_equal(ours[:], theirs[:])


def test_what_a_store_cannot_be(source, tmp_path):
    wrongs = {
        "codec": "gif",
        "bits": 12,
        "scale": "z",
        "size": -1,
        "jobs": 0,
        "max_bad": 2,
    }
    for key, value in wrongs.items():
        with pytest.raises(UsageError, match=f"--{key.replace('_', '-')} {value}"):
            ingest(IngestPlan(source, tmp_path / "w", **{key: value}))
    for key, value in {"load_data": "none", "layout": "x.csv"}.items():
        with pytest.raises(UsageError, match=rf"^{value} does not exist; .*--{key.replace('_', '-')}"):
            ingest(IngestPlan(source, tmp_path / "w", **{key: value}))
    with pytest.raises(UsageError, match="averaging cannot enlarge"):
        ingest(IngestPlan(source, tmp_path / "w", size=99))
