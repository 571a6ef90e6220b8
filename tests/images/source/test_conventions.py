"""File and folder names of microscopes: what they say, which plate they are, and what is refused with a way out."""

from pathlib import Path

import fsspec
import numpy as np
import pytest

from kit.errors import KitError, UsageError
from kit.images.ingest.plan import IngestPlan
from kit.images.ingest.run import ingest
from kit.images.source.conventions import CONVENTIONS, is_thumbnail, read_name
from kit.images.source.find import find_plates
from kit.images.source.folders import Folder, Reader
from kit.images.source.plates import Pick, list_plate
from kit.images.source.source import open_source
from kit.images.store.levels import scale_image
from kit.images.store.work import open_work
from tests.commands import kit_command
from tests.images.made_plates import counts, write_tiff

GUID = "1A52B117-9DC7-4534-9623-9DCA396EFA00"  # starts with digits, which must not become part of a number
HARMONY, CELLVOYAGER, IMAGEXPRESS, COLUMBUS = (convention.name for convention in CONVENTIONS)


@pytest.mark.parametrize(
    ("name", "convention", "said"),  # plate, well, site, channel, plane, time
    [
        ("r02c11f04p01-ch3sk1fk1fl1.tiff", HARMONY, (None, "B11", 4, 3, 1, 1)),
        ("R16C24F09P05-CH8SK2FK1FL1.TIF", HARMONY, (None, "P24", 9, 8, 5, 2)),
        ("r01c01f01p02-ch02t03.tiff", HARMONY, (None, "A01", 1, 2, 2, 3)),
        (f"P1_B02_s3_w2{GUID}.tif", IMAGEXPRESS, ("P1", "B02", 3, 2, None, None)),
        (f"P_1 x_B02_s12_w1{GUID}.TIF", IMAGEXPRESS, ("P_1 x", "B02", 12, 1, None, None)),
        (f"P1_B02_w1{GUID}.tif", IMAGEXPRESS, ("P1", "B02", 1, 1, None, None)),
        (f"P1_B02_s1{GUID}.tif", IMAGEXPRESS, ("P1", "B02", 1, None, None, None)),
        (f"P1_AF48{GUID}.tif", IMAGEXPRESS, ("P1", "AF48", 1, None, None, None)),
        ("P1_B02_s3_w12.tif", IMAGEXPRESS, ("P1", "B02", 3, 12, None, None)),
        ("P1_B02.tif", IMAGEXPRESS, ("P1", "B02", 1, None, None, None)),
        ("B02_s1_w1.tif", IMAGEXPRESS, (None, "B02", 1, 1, None, None)),
        ("Dest210809-141456_K06_T0001F009L01A03Z02C04.tif", CELLVOYAGER, ("Dest210809-141456", "K06", 9, 4, 2, 1)),
        ("AssayPlate_Gr_#655_C02_T0002F001L01A01Z01C01.tif", CELLVOYAGER, ("AssayPlate_Gr_#655", "C02", 1, 1, 1, 2)),
        ("003002-14-001001002.tif", COLUMBUS, (None, "C02", 14, 2, 1, 1)),
    ],
)  # fmt: skip
def test_what_names_say(name, convention, said):
    assert [kind.name for kind in CONVENTIONS if kind.pattern.fullmatch(name)] == [convention], "one convention alone"
    for first in CONVENTIONS:  # the order of trying changes nothing
        found = read_name(name, first)
        assert (found.convention.name, found.plate, found.well, found.site, found.channel, found.plane, found.time) == (
            convention,
            *said,
        )


@pytest.mark.parametrize(
    "name",
    [
        "image1.tif",
        "A - 01(fld 1 wv DAPI - DAPI).tif",
        "DC_sCMOS #1_CAM1.tif",
        "r01c01f01p01-ch1sk1fk2fl1.tiff",
        "001001000.flex",
    ],
)
def test_what_names_say_nothing(name):
    assert read_name(name) is None


def test_thumbnails_are_no_images():
    name = f"P1_B02_s1_w1_thumb{GUID}.tif"
    assert read_name(name) is None
    assert is_thumbnail(name)
    assert not is_thumbnail(f"P1_B02_s1_w1{GUID}.tif")


def touch(folder: Path, *names: str) -> Folder:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
    return Folder(str(folder))


@pytest.mark.parametrize(
    ("files", "plates"),
    [
        (["P1/P1_A01_s1_w1.tif", "P2/x_A01_s1_w1.tif"], {"P1": "P1", "P2": "P2"}),
        (["P1/TimePoint_1/P1_A01_s1_w1.tif"], {"P1": "P1"}),
        (["P1/TimePoint_1/ZStep_1/P1_A01.tif"], {"P1": "P1"}),
        (["P1/2020-11-04/1028/x_A01_s1_w1.tif"], {"P1": "P1/2020-11-04/1028"}),
        (["2020-11-04/1028/P1_A01.tif", "2020-11-05/1029/TimePoint_1/P2_A01.tif", "2020-11-05/7/A01.tif"],
         {"P1": "2020-11-04/1028", "P2": "2020-11-05/1029", "7": "2020-11-05/7"}),
        (["m1/AssayPlate_Greiner_#655090/AssayPlate_Greiner_#655090_B02_T0001F001L01A01Z01C01.tif"],
         {"m1": "m1/AssayPlate_Greiner_#655090"}),
        (["P1__2020-Measurement1/Images/r01c01f01p01-ch1sk1fk1fl1.tiff", "P2/001001-1-001001001.tif"],
         {"P1": "P1__2020-Measurement1/Images", "P2": "P2"}),
        (["P1_A01_s1_w1.tif"], {"source": ""}),
        (["TimePoint_1/P1_A01_s1_w1.tif"], {"source": ""}),
    ],
)  # fmt: skip
def test_plates_are_found_in_the_folders_of_microscopes(tmp_path, files, plates):
    source = touch(tmp_path / "source", *files)
    memory = fsspec.filesystem("memory")
    memory.put(source.path, f"{tmp_path}/source", recursive=True)
    for place in (source, Folder(f"memory://{tmp_path}/source")):  # a URL alike
        expected = {barcode: f"{place.path}/{folder}".rstrip("/") for barcode, folder in plates.items()}
        found = find_plates(place)
        assert {barcode: folder.path for barcode, folder in found.items()} == expected
        assert all(len(list_plate(barcode, folder).files()) == 1 for barcode, folder in found.items())


@pytest.mark.parametrize("inside", ["P1/TimePoint_1", "P1/TimePoint_1/ZStep_1", "P1"])
def test_the_source_may_be_a_part_of_a_plate(tmp_path, inside):
    touch(tmp_path, "P1/TimePoint_1/ZStep_1/P1_A01.tif")
    assert list(find_plates(Folder(str(tmp_path / inside)))) == ["P1"]


def test_images_beside_plates_are_refused(tmp_path):
    source = touch(tmp_path, "P1/P1_A01.tif", "overview_A01.tif")
    with pytest.raises(KitError, match=r"has both images and plates, such as .*P1: give one of them"):
        find_plates(source)


def test_unknown_names_come_with_the_lines_of_a_table(tmp_path):
    source = touch(tmp_path / "screen", "P1/notes.txt", "P1/Exp, well A1 DAPI.tif")
    with pytest.raises(UsageError) as refused:
        find_plates(source)
    header, row = refused.value.lines
    table = tmp_path / "screen" / "load_data.csv"
    assert str(refused.value).startswith(f"{source.path} holds no plate: no TIFF has a name that kit knows")
    assert str(refused.value).endswith(f"for example P1/Exp, well A1 DAPI.tif; write {table}, one row a site, and ingest it:")
    said = kit_command("ingest", source.path, "--work", tmp_path / "work", code=2).stderr
    assert said.splitlines() == [f"kit: {refused.value}", header, row]
    table.write_text(f"{header}\n{row}\n")  # copied as they are, the two lines work
    with pytest.raises(UsageError, match=r"holds no plate: give its table as SOURCE, .*/screen/load_data\.csv"):
        open_source(tmp_path / "screen", Reader())
    plate = open_source(table, Reader()).plate("P1")
    assert {key: next(iter(files.values())).path for key, files in plate.images.items()} == {
        ("A01", 1): str(tmp_path / "screen/P1/Exp, well A1 DAPI.tif")
    }
    (tmp_path / "screen/P1/Images").mkdir()  # a plate's folder, empty but for other files
    with pytest.raises(KitError, match="need folders named"):
        open_source(tmp_path / "screen", Reader()).plate("P1")


def test_flex_files_are_refused(tmp_path):
    with pytest.raises(UsageError, match=r"001001000\.flex is an Opera \.flex file, .*: export the plate as TIFF"):
        find_plates(touch(tmp_path, "P1/001001000.flex"))


@pytest.mark.parametrize(
    ("files", "message"),
    [
        (["P1_A01_s1_w1.tif", "001001-1-001001001.tif"], r"the names of two microscopes, 001001-1-001.*\(Columbus .*load_data"),
        (["P1_A01_s1_w1.tif", "P2_A02_s1_w1.tif"], r"the files of two plates, P1_A01_s1.* and P2_A02_s1.*: one folder"),
        (["P1_A01_s1_w1.tif", "P1_A02_s1.tif"], r"names with a channel and without, P1_A01_s1_w1\.tif and P1_A02_s1\.tif"),
        (["P1_A01_s1_w1.tif", f"P1_A01_s1_w1{GUID}.tif"], r"two files of the same image, .* move one away"),
        (["r01c01f01p01-ch1sk1fk1fl1.tiff", "r01c01f01p03-ch1sk1fk1fl1.tiff"],
         r"a z-stack of 2 planes \(1, 3\), r01c01f01p01.* project it first, or take one plane with --plane 1"),
        (["P_A01_T0001F001L01A01Z01C01.tif", "P_A01_T0002F001L01A01Z01C01.tif"],
         r"a time series of 2 time points \(1, 2\), .* take one time point with --time 1"),
        (["TimePoint_1/P1_A01_w1.tif", "TimePoint_2/P1_A01_w1.tif"], r"a time series of 2 .*TimePoint_1/P1_A01_w1.* --time 1"),
        (["ZStep_1/P1_A01_w1.tif", "ZStep_2/P1_A01_w1.tif", "P1_A01_w1.tif"], r"a z-stack of 3 planes \(0, 1, 2\).*--plane 0"),
    ],
)  # fmt: skip
def test_what_is_not_one_plate_of_single_images(tmp_path, files, message):
    with pytest.raises(KitError, match=message):
        list_plate("P1", touch(tmp_path, *files))


def test_one_plane_and_time_point_can_be_taken(tmp_path):
    names = [f"r01c01f01p{plane:02d}-ch1sk{time}fk1fl1.tiff" for plane in (1, 2, 3) for time in (1, 2)]
    folder = touch(tmp_path, *names)
    plate = list_plate("P1", folder, Pick(plane=3, time=2))
    assert [file.path for file in plate.files()] == [f"{tmp_path}/r01c01f01p03-ch1sk2fk1fl1.tiff"]
    assert len(plate.ignored) == 5
    with pytest.raises(KitError, match=r"--plane 4: no such image; its images have 1, 2, 3"):
        list_plate("P1", folder, Pick(plane=4))
    with pytest.raises(KitError, match=r"--time 1: no such image; its file names do not say"):
        list_plate("P1", touch(tmp_path / "ix", "P1_A01.tif"), Pick(time=1))


def test_a_plane_of_each_channel_is_no_stack(tmp_path):
    """Brightfield is often taken at another height: every image has one plane, and nothing is left out."""
    plate = list_plate("P1", touch(tmp_path, "P_A01_T0001F001L01A01Z01C01.tif", "P_A01_T0001F001L01A02Z02C02.tif"))
    assert len(plate.files()) == 2


NAMES = {
    IMAGEXPRESS: "P1/TimePoint_1/P1_{well}_s{site}_w{channel}" + GUID + ".tif",
    CELLVOYAGER: "P1/P1_{well}_T0001F00{site}L01A01Z01C0{channel}.tif",
    COLUMBUS: "P1/{row:03d}{col:03d}-{site}-00100100{channel}.tif",
}


@pytest.mark.parametrize("name", NAMES.values(), ids=NAMES)
def test_the_pixels_of_every_microscope_arrive(tmp_path, name):
    for well, row, col in (("A01", 1, 1), ("B02", 2, 2)):
        for site in (1, 2):
            for channel in (1, 3):
                path = tmp_path / "in" / name.format(well=well, row=row, col=col, site=site, channel=channel)
                write_tiff(path, counts("P1", well, site, channel, side=12))
    report = ingest(IngestPlan(tmp_path / "in", tmp_path / "work", jobs=1))
    assert (report.failed, report.plates[0].barcode, report.plates[0].images) == ([], "P1", 8)
    work = open_work(tmp_path / "work")
    for well, site in (("A01", 2), ("B02", 1)):
        expected = [scale_image(counts("P1", well, site, channel, side=12))[0] for channel in (1, 3)]
        np.testing.assert_array_equal(work.read_site("P1", well, site), expected)
