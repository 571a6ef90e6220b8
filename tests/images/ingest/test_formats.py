"""Images as labs have them: several channels a file, 12 bits, z-stacks, colour, mixed sizes. Pixels arrive or a line says why."""

from dataclasses import replace

import numpy as np
import pytest

from kit.errors import KitError, UsageError
from kit.images.ingest.dry_run import dry_run
from kit.images.ingest.plan import IngestPlan
from kit.images.ingest.run import ingest
from kit.images.source.folders import Reader
from kit.images.store.levels import scale_image
from kit.images.store.work import open_work
from kit.model.run_data import resolve
from kit.recipe import load_recipe
from tests.images.made_plates import counts, write_image, write_plate, write_tiff

SIDE = 10


def stack(well: str, site: int, channels: int = 3) -> np.ndarray:
    return np.stack([counts("P1", well, site, channel, SIDE) for channel in range(1, channels + 1)])


def table(path, header: str, *rows: str):
    path.write_text("\n".join((f"Metadata_Plate,Metadata_Well,Metadata_Site,{header}", *rows)) + "\n")
    return path


def pack(source, work, **options):
    """Pack and return the work folder and the report of its only plate."""
    report = ingest(IngestPlan(source, work, jobs=1, **options))
    assert report.failed == []
    return open_work(work), report.plates[0]


@pytest.fixture
def stacks(tmp_path):
    """A folder of one file a site, three pages each: two wells of two sites."""
    for name in ("A01", "B02"):
        for site in (1, 2):
            write_tiff(tmp_path / "in" / "P1" / f"P1_{name}_s{site}.tif", stack(name, site), compression="lzw", predictor=True)
    return tmp_path / "in"


def test_the_planes_of_a_file_are_the_channels_of_its_site(stacks, tmp_path, monkeypatch):
    reads = []
    monkeypatch.setattr(Reader, "_attempt", lambda self, file: reads.append(file.path) or self(file))
    work, report = pack(stacks, tmp_path / "work")
    assert (report.images, report.bytes_in) == (12, sum(path.stat().st_size for path in stacks.rglob("*.tif")))
    assert sorted(reads) == sorted(str(path) for path in stacks.rglob("*.tif")), "each file once, not once a channel"
    assert work.channels == ("ch1", "ch2", "ch3")
    np.testing.assert_array_equal(work.read_site("P1", "B02", 2), [scale_image(plane)[0] for plane in stack("B02", 2)])


@pytest.mark.parametrize(
    ("header", "row"),
    [
        ("FileName_DNA,FileName_Actin,FileName_Tubulin", "{file},{file},{file}"),  # planes in the order of the columns
        ("FileName_DNA,Plane_DNA,FileName_Actin,Plane_Actin,FileName_Tubulin,Plane_Tubulin", "{file},1,{file},2,{file},3"),
        ("FileName_OrigDNA,Frame_OrigDNA,FileName_OrigActin,Frame_OrigActin,FileName_OrigTubulin,Frame_OrigTubulin",
         "{file},0,{file},1,{file},2"),
    ],
)  # fmt: skip
def test_a_table_names_the_planes(stacks, tmp_path, header, row):
    rows = [f"P1,{name},{site}," + row.format(file=f"P1/P1_{name}_s{site}.tif") for name in ("A01", "B02") for site in (1, 2)]
    work, _ = pack(table(stacks / "load_data.csv", header, *rows), tmp_path / "work")
    found = work.read_site("P1", "A01", 2, channels=["DNA", "Actin", "Tubulin"])
    np.testing.assert_array_equal(found, [scale_image(plane)[0] for plane in stack("A01", 2)])


def test_one_plane_of_a_stack_named_in_a_table(tmp_path):
    write_tiff(tmp_path / "z.tif", stack("A01", 1), photometric="minisblack", imagej=True, metadata={"axes": "ZYX"})
    row = "P1,A01,1,z.tif"
    report = ingest(IngestPlan(table(tmp_path / "load_data.csv", "FileName_DNA", row), tmp_path / "work"))
    (failure,) = report.failed
    assert failure.startswith(f"P1: none of 1 image can be read, for example {tmp_path}/z.tif (a z-stack: 3 planes in one file;")
    assert "name one plane in a load_data.csv's column Plane_<channel>" in failure
    work, _ = pack(table(tmp_path / "load_data.csv", "FileName_DNA,Plane_DNA", f"{row},2"), tmp_path / "work2")
    np.testing.assert_array_equal(work.read_site("P1", "A01", 1)[0], scale_image(stack("A01", 1)[1])[0])


@pytest.mark.parametrize(
    ("header", "rows", "message"),
    [
        ("FileName_DNA,Plane_DNA", ["P1,A01,1,a.tif,0"], "row 2: Plane_DNA is '0'; it counts from 1"),
        ("FileName_DNA,Frame_DNA", ["P1,A01,1,a.tif,x"], "row 2: Frame_DNA is 'x', not a whole number"),
        (
            "FileName_DNA",
            ["P1,A01,1,t1.tif", "P1,A01,1,t2.tif"],
            "two rows for A01 site 1, whose DNA is .*t1.tif and .*t2.tif: keep",
        ),
    ],
)
def test_tables_that_cannot_be_meant(tmp_path, header, rows, message):
    report = ingest(IngestPlan(table(tmp_path / "load_data.csv", header, *rows), tmp_path / "work"))
    with pytest.raises(KitError, match=message):
        raise KitError(*report.failed)


def test_a_file_with_other_planes_than_the_rest_is_set_aside(stacks, tmp_path):
    write_tiff(stacks / "P1" / "P1_B02_s1.tif", stack("B02", 1, channels=2))
    _, report = pack(stacks, tmp_path / "work", max_bad=0.3)
    assert [bad["reason"] for bad in report.bad] == ["2 planes in the file, 3 channels expected of it"] * 3


def test_a_stack_in_files_with_a_channel_in_their_names_is_refused(tmp_path):
    for site in (1, 2):
        write_tiff(tmp_path / "P1" / f"P1_A01_s{site}_w1.tif", stack("A01", site))
    report = ingest(IngestPlan(tmp_path, tmp_path / "work"))
    assert (
        "that stands for one channel; project a z-stack first, or name each channel's plane in a load_data.csv"
        in report.failed[0]
    )
    assert dry_run(IngestPlan(tmp_path, tmp_path / "work")).failed == report.failed


def test_colour_is_refused(tmp_path):
    write_tiff(tmp_path / "P1" / "P1_A01_w1.tif", np.moveaxis(stack("A01", 1), 0, 2), photometric="rgb")
    report = ingest(IngestPlan(tmp_path, tmp_path / "work"))
    assert "P1_A01_w1.tif (3 samples a pixel: a colour image" in report.failed[0]
    assert "save each channel as a greyscale TIFF" in report.failed[0]


def test_a_z_stack_by_name_is_refused_and_one_plane_taken(tmp_path):
    images = write_plate(tmp_path / "in", "BR01", wells=("A01",), sites=(1,), channels=(1,), side=SIDE)
    second = write_image(images, "BR01", "A01", 2, 1, SIDE).rename(images / "r01c01f01p02-ch1sk1fk1fl1.tiff")
    report = ingest(IngestPlan(tmp_path / "in", tmp_path / "work"))
    assert "BR01: a z-stack of 2 planes (1, 2)" in report.failed[0]
    work, packed = pack(tmp_path / "in", tmp_path / "work", plane=2)
    np.testing.assert_array_equal(work.read_site("BR01", "A01", 1)[0], scale_image(counts("BR01", "A01", 2, 1, SIDE))[0])
    assert packed.ignored == 1
    with pytest.raises(KitError, match="packing began with --plane 2, not with --plane 1"):
        ingest(IngestPlan(tmp_path / "in", tmp_path / "work", plane=1))
    (tmp_path / "work" / "plates" / "BR01.parquet").unlink()  # begun, not complete
    (failure,) = ingest(IngestPlan(tmp_path / "in", tmp_path / "work", plane=1)).failed
    assert "packing began with --plane 2, not with --plane 1" in failure
    with pytest.raises(UsageError, match="--plane and --time are for folders"):
        ingest(IngestPlan(table(tmp_path / "l.csv", "FileName_A", f"P1,A01,1,{second}"), tmp_path / "w", plane=1))


@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize("tags", [[(281, 3, 1, 4095, False)], []])
def test_saturation_is_counted_at_the_largest_count_of_the_camera(tmp_path, bits, tags):
    image = np.minimum(counts("P1", "A01", 1, 1, SIDE), 4095)
    image[:2] = 4095
    image[9, 9] = 4094
    write_tiff(tmp_path / "P1" / "P1_A01_s1_w1.tif", image, extratags=tags)
    write_tiff(tmp_path / "P1" / "P1_A01_s2_w1.tif", image >> 1, extratags=tags)
    work, report = pack(tmp_path, tmp_path / "work", bits=bits)
    expected = int((image == 4095).sum()) if tags else 0  # without a word of it the camera has 16 bits
    assert work.sites["ch1_saturated"].tolist() == [expected, 0]
    assert work.sites["ch1_white"].tolist() == [4095, 2047], "levels go by each image's own range all the same"
    assert report.doubts == []


def test_channels_of_two_sizes_are_refused(tmp_path):
    images = write_plate(tmp_path / "in", "BR01", channels=(1, 2), side=SIDE)
    for name in ("A01", "B02"):
        for site in (1, 2):
            write_image(images, "BR01", name, site, 5, SIDE // 2)
    (failure,) = ingest(IngestPlan(tmp_path / "in", tmp_path / "work")).failed
    assert "ch5 has 5 x 5 pixels" in failure or "DNA has 5 x 5 pixels" in failure
    assert "r01c01f01p01-ch5sk1fk1fl1.tiff), " in failure
    assert "10 x 10: a plate has one size; bring" in failure


def test_one_image_of_another_size_is_set_aside_even_if_it_is_the_first(tmp_path):
    images = write_plate(tmp_path / "in", "BR01", channels=(1, 2, 3), side=SIDE)
    write_image(images, "BR01", "A01", 1, 1, SIDE // 2)
    _, report = pack(tmp_path / "in", tmp_path / "work")
    assert (report.images, [bad["reason"] for bad in report.bad]) == (11, ["5 x 5 pixels; the plate has 10 x 10"])
    write_image(images, "BR01", "A01", 2, 1, SIDE // 2)
    failure = ingest(IngestPlan(tmp_path / "in", tmp_path / "work2")).failed[0]
    assert "are bad, for example" in failure
    assert "name the good ones in a load_data.csv, or allow more with --max-bad" in failure


def test_a_plane_is_cut_before_counts_are_pooled(stacks, tmp_path):
    """--scale plate-percentile counts the planes one by one too."""
    work, _ = pack(stacks, tmp_path / "work", scale="plate-percentile")
    for channel in (1, 2, 3):
        pooled = np.concatenate([stack(name, site)[channel - 1].ravel() for name in ("A01", "B02") for site in (1, 2)])
        assert set(work.sites[f"ch{channel}_white"]) == {int(np.sort(pooled)[-1])}


def test_a_channel_missing_on_one_plate_is_listed_and_the_others_train(tmp_path, caplog):
    for plate, channels in (("P1", (1, 2)), ("P2", (1,))):
        for channel in channels:
            write_tiff(tmp_path / "in" / plate / f"{plate}_A01_s1_w{channel}.tif", counts(plate, "A01", 1, channel, SIDE))
    report = ingest(IngestPlan(tmp_path / "in", tmp_path / "work", jobs=1))
    assert "warning: P2 has no images of ch2, which P1 has" in report.text().splitlines()
    work = open_work(tmp_path / "work")
    assert work.sites_with(["ch2"])["Metadata_Plate"].tolist() == ["P1"]
    np.testing.assert_array_equal(work.read_site("P2", "A01", 1), [scale_image(counts("P2", "A01", 1, 1, SIDE))[0]])
    data = resolve(work, replace(load_recipe("demo", ["train.knn_epochs=0"]), channels=("ch1", "ch2")))
    assert (data.sites, list(data.pixels)) == (1, ["P1"])
    assert caplog.messages[-1:] == ["left out, as they lack a channel of ch1,ch2: P2"]
