"""Plates, wells and labels: found as they are named, and said so where they are not."""

import pytest

from kit.errors import KitError, UsageError
from kit.images.metadata import read_metadata
from kit.images.names import normalise_well, order_channels, well_name, well_position
from kit.images.source.find import find_plates
from kit.images.source.folders import Folder, Reader
from kit.images.source.plates import list_plate
from kit.images.source.source import choose_plates, open_source
from tests.images.made_plates import write_metadata, write_plate


@pytest.mark.parametrize(("text", "well"), [("D8", "D08"), ("d08", "D08"), ("P24", "P24"), ("AF1", "AF01"), (" a001 ", "A01")])
def test_wells_have_one_name(text, well):
    assert normalise_well(text) == well
    assert well_name(*well_position(well)) == well


@pytest.mark.parametrize("text", ["", "8D", "D", "D0", "1", "ABC1", "D100"])
def test_what_is_no_well(text):
    with pytest.raises(KitError, match="not a well"):
        normalise_well(text)


def test_known_channels_come_first():
    assert order_channels(["other", "DNA", "Mito", "ch9"]) == ("Mito", "DNA", "other", "ch9")


def test_a_plate_folder_is_read_by_its_file_names(tmp_path):
    images = write_plate(tmp_path, "BR01", wells=("D08",), sites=(3,), channels=(1, 6, 8))
    (images / "thumb.tiff").touch()
    (images / "Index.idx.xml").touch()
    plate = list_plate("BR01", Folder(str(images)))
    assert list(plate.images) == [("D08", 3)]
    assert plate.channels == ("ch1", "ch6", "ch8")
    assert plate.ignored == ["thumb.tiff"]


def test_what_lacks_is_listed(tmp_path):
    images = write_plate(tmp_path, "BR01", wells=("A01", "B02"), sites=(1, 2), channels=(1, 2))
    for name in ("r01c01f02p01-ch1", "r01c01f02p01-ch2", "r02c02f01p01-ch2"):
        (images / f"{name}sk1fk1fl1.tiff").unlink()
    plate = list_plate("BR01", Folder(str(images)))
    assert plate.missing_sites() == [("A01", 2)]
    assert plate.missing_channels() == [("B02", 1, "ch2")]


@pytest.mark.parametrize(
    "inside", ["", "BR01__2020-11-08T18_18_00-Measurement1", "BR01__2020-11-08T18_18_00-Measurement1/Images"]
)
def test_source_may_be_plates_or_one_plate(tmp_path, inside):
    images = write_plate(tmp_path, "BR01", wells=("A01",), sites=(1,), channels=(1,))
    found = find_plates(Folder(str(tmp_path / inside)))
    assert {barcode: folder.path for barcode, folder in found.items()} == {"BR01": str(images)}


def test_bare_barcodes_and_the_folder_above(tmp_path):
    (tmp_path / "images" / "BR02" / "Images").mkdir(parents=True)
    assert list(find_plates(Folder(str(tmp_path)))) == ["BR02"]


def test_two_folders_of_one_plate_are_refused(tmp_path):
    for start in ("a", "b"):
        (tmp_path / f"BR01__{start}-Measurement1" / "Images").mkdir(parents=True)
    with pytest.raises(KitError, match="BR01 has two folders"):
        find_plates(Folder(str(tmp_path)))


def test_wrong_sources_and_plates(tmp_path):
    with pytest.raises(UsageError, match="does not exist"):
        open_source(tmp_path / "nowhere", Reader())
    with pytest.raises(UsageError, match="holds no plate"):
        find_plates(Folder(str(tmp_path)))
    with pytest.raises(UsageError, match=r"no such plate; did you mean BR02\?; available: BR01, BR02"):
        choose_plates({"BR01": tmp_path, "BR02": tmp_path}, ("BR03",))


def test_metadata_labels_wells(tmp_path):
    metadata = read_metadata(write_metadata(tmp_path, {"BR01": "U2OS"}, {"A01": "BRD-1", "b2": ""}))
    wells = metadata.wells("BR01").set_index("Metadata_Well")
    assert list(wells.index) == ["A01", "B02"]
    assert wells.loc["A01", "Metadata_pert_iname"] == "name-BRD-1"
    assert wells.loc["A01", "Metadata_InChIKey"] == "KEY-BRD-1"
    assert wells.loc["B02", "Metadata_broad_sample"] == ""
    assert wells["Metadata_is_control"].tolist() == [False, True]
    assert set(wells["Metadata_Cell_type"]) == {"U2OS"}
    assert metadata.batch("BR01") == "BATCH"


def test_what_a_caller_changes_stays_its_own(tmp_path):
    metadata = read_metadata(write_metadata(tmp_path, {"BR01": "U2OS"}, {"A01": "BRD-1"}))
    wells = metadata.wells("BR01")
    wells.loc[0, "Metadata_broad_sample"] = "mine"
    assert metadata.wells("BR01")["Metadata_broad_sample"].tolist() == ["BRD-1"]


def test_unknown_plates_and_missing_maps_are_unlabelled(tmp_path):
    metadata = read_metadata(write_metadata(tmp_path, {"BR01": "U2OS"}, {"A01": ""}))
    assert metadata.is_labelled("BR01")
    assert metadata.why_unlabelled("BR99") == "not in experiment-metadata.tsv"
    (tmp_path / "M_platemap.txt").unlink()
    assert read_metadata(tmp_path).why_unlabelled("BR01") == "M_platemap.txt is missing"
    with pytest.raises(KitError, match=r"BR01 has no labels .* M_platemap\.txt is missing"):
        read_metadata(tmp_path).wells("BR01")


@pytest.mark.parametrize(
    ("name", "column"),
    [("experiment-metadata.tsv", "Cell_type"), ("barcode_platemap.csv", "Plate_Map_Name"), ("M_platemap.txt", "broad_sample"),
     ("M_metadata.tsv", "InChIKey")],
)  # fmt: skip
def test_a_missing_column_is_named(tmp_path, name, column):
    write_metadata(tmp_path, {"BR01": "U2OS"}, {"A01": "BRD-1"})
    path = tmp_path / name
    path.write_text(path.read_text().replace(column, "Other"))
    with pytest.raises(KitError, match=rf"{name} has no column {column}"):
        read_metadata(tmp_path).wells("BR01")


def test_tables_that_disagree(tmp_path):
    write_metadata(tmp_path, {"BR01": "U2OS"}, {"A01": "", "A1": "BRD-1"})
    with pytest.raises(KitError, match="well A01 has more than one row"):
        read_metadata(tmp_path).wells("BR01")
    (tmp_path / "barcode_platemap.csv").write_text("Assay_Plate_Barcode,Plate_Map_Name\nBR01,Other\n")
    with pytest.raises(KitError, match=r"says plate map M_platemap, .* says Other"):
        read_metadata(tmp_path)


def test_a_plate_in_two_batches_keeps_its_first_row(tmp_path):
    write_metadata(tmp_path, {"BR01": "U2OS"}, {"A01": ""})
    path = tmp_path / "experiment-metadata.tsv"
    path.write_text(path.read_text() + "AGAIN\tM_platemap\tBR01\tU2OS\t24\n")
    assert read_metadata(tmp_path).batch("BR01") == "BATCH"
    path.write_text(path.read_text() + "AGAIN\tM_platemap\tBR01\tA549\t24\n")
    with pytest.raises(KitError, match="rows of plate BR01 disagree"):
        read_metadata(tmp_path)


def test_official_tables(real_data):
    metadata = read_metadata(real_data / "cpjump1_metadata")
    wells = metadata.wells("BR00117012").set_index("Metadata_Well")
    assert len(wells) == 384
    assert wells["Metadata_is_control"].sum() == 64
    assert wells.loc["D08", "Metadata_pert_iname"] == "FK-866"
    assert wells.loc[~wells["Metadata_is_control"], "Metadata_broad_sample"].nunique() == 306
    assert metadata.plates["Metadata_Plate"].is_unique
    assert metadata.why_unlabelled("BR00117006") == "JUMP-Target-1_orf_platemap.txt is missing"
