"""How an ingest scales counts: hot pixels with image-robust, the scale that a store goes on with, and what the report says."""

import numpy as np
import pytest
import tifffile

from kit.bench.scales import scale_table
from kit.errors import UsageError
from kit.images.ingest.dry_run import dry_run
from kit.images.ingest.plan import IngestPlan
from kit.images.ingest.prepare import shrink
from kit.images.ingest.run import ingest
from kit.images.store.robust import scale_robust_reference
from kit.images.store.settings import read_settings
from kit.images.store.work import open_work
from tests.images.made_plates import counts, write_plate

HOT = ((30, 30), (8, 39))


@pytest.fixture
def plate(tmp_path):
    """A plate of one well, two sites, Mito and DNA; site 1 of DNA has two hot pixels. Return its folder and that image."""
    images = write_plate(tmp_path / "images", "BR00117010", wells=("A01",), channels=(1, 5), side=40)
    image = counts("BR00117010", "A01", 1, 5, 40)
    for place in HOT:
        image[place] = 65535
    most = [(341, 3, 1, 65535, False)]  # SMaxSampleValue: of the file as it is
    tifffile.imwrite(images / "r01c01f01p01-ch5sk1fk1fl1.tiff", image, metadata=None, extratags=most)
    return tmp_path / "images", image


@pytest.mark.parametrize("size", [0, 20])
def test_hot_pixels_are_replaced_in_8_and_16_bits_alike(plate, tmp_path, size):
    source, image = plate
    expected, stats, sound = scale_robust_reference(shrink(image, size or 40, size or 40))
    works = []
    for bits in (8, 16):
        report = ingest(IngestPlan(source, tmp_path / f"w{bits}", scale="image-robust", bits=bits, size=size, verify=True))
        assert "hot pixels replaced: DNA 2" in report.text()
        assert (report.damaged, report.plates[0].doubts) == ([], [])
        work = open_work(tmp_path / f"w{bits}")
        np.testing.assert_array_equal(work.read_site("BR00117010", "A01", 1, ["DNA"])[0], expected)
        row = work.sites.iloc[0]
        assert [row[f"DNA_{name}"] for name in ("hot", "max", "black", "white")] == [2, stats.most, stats.black, stats.white]
        assert row["DNA_saturated"] == stats.saturated == (0 if size else 2)
        assert (row["Mito_hot"], stats.most < 10000) == (0, True)
        works.append(work)
    np.testing.assert_array_equal(works[1].read_counts("BR00117010", "A01", 1, "DNA"), sound)
    np.testing.assert_array_equal(*(work.read_site("BR00117010", "A01", 2) for work in works))
    for ours, theirs in zip(*(work.channel_stats(["Mito", "DNA"]) for work in works), strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_plain_scaling_is_told_of_the_way_out(plate, tmp_path):
    source, _ = plate
    report = ingest(IngestPlan(source, tmp_path / "w"))
    assert "fewer than 32 grey levels in DNA: hot pixels" not in report.text()  # one site in two
    assert not [name for name in open_work(tmp_path / "w").sites if name.endswith("_hot")]
    (source / "BR00117010__2020-11-08T18_18_00-Measurement1" / "Images" / "r01c01f02p01-ch5sk1fk1fl1.tiff").unlink()
    texts = {scale: ingest(IngestPlan(source, tmp_path / scale, scale=scale)).text() for scale in ("image", "image-robust")}
    assert (
        "fewer than 32 grey levels in DNA: hot pixels or bright specks stretch the scale; with --scale image-robust"
        in texts["image"]
    )
    assert "hot pixels replaced" not in texts["image"]
    assert "fewer than" not in texts["image-robust"]
    work = open_work(tmp_path / "image-robust")
    by_hand = work.read_site("BR00117010", "A01", 1, ["DNA"]).std() / 255
    row = scale_table(work).set_index("channel").loc["DNA"]
    assert f", DNA {by_hand:.3f}\n" in texts["image-robust"].partition("SD of an image's levels, 0 to 1 (median): Mito")[2]
    assert (row["images"], row["with hot pixels"], row["flat"], row["sd"]) == (1, 1, 0, pytest.approx(by_hand))


@pytest.mark.parametrize("scale", ["image-robust", "plate-percentile"])
def test_a_store_goes_on_with_its_own_scale(plate, tmp_path, scale):
    source, _ = plate
    work, more = tmp_path / "work", tmp_path / "more"
    write_plate(more, "BR00117011", wells=("A01",), sites=(1,), channels=(1, 5))
    ingest(IngestPlan(source, work, scale=scale))
    assert "1 plate to pack" in dry_run(IngestPlan(more, work)).text()
    ingest(IngestPlan(more, work))
    assert read_settings(work).scale == scale
    ingest(IngestPlan(more, tmp_path / "at_once", scale=scale))
    np.testing.assert_array_equal(*(open_work(both).read_site("BR00117011", "A01", 1) for both in (work, tmp_path / "at_once")))
    with pytest.raises(UsageError, match=f"was made with --scale {scale}, not with --scale image:"):
        ingest(IngestPlan(more, work, scale="image"))
