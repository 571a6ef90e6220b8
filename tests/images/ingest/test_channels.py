"""Names and groups of channels: CPJUMP1's where they are sure, a lab's own where it gives them, else as the files have them."""

import json
import logging
from pathlib import Path

import pytest

import kit
from kit.errors import KitError, UsageError
from kit.images.ingest.dry_run import dry_run
from kit.images.ingest.naming import name_channels
from kit.images.ingest.plan import IngestPlan
from kit.images.ingest.run import ingest
from kit.images.metadata import read_metadata
from kit.images.source.folders import ImageFile
from kit.images.source.plates import Plate
from tests.commands import kit_here
from tests.images.made_plates import write_metadata, write_plate

NAMES = {"ch1": "DNA", "ch2": "Actin", "ch3": "BF"}
GROUPS = {"brightfield": ("BF",)}


def listed(barcode: str, *channels: str) -> Plate:
    """A plate of one site, as its listing gives it."""
    return Plate(barcode, "", {("A01", 1): {channel: ImageFile(channel) for channel in channels}})


@pytest.fixture
def lab(tmp_path, monkeypatch) -> Path:
    """Plates LAB1 and LAB2 of one well, one site and three channels, in images/ of the current folder."""
    monkeypatch.chdir(tmp_path)
    for barcode in ("LAB1", "LAB2"):
        write_plate(tmp_path / "images", barcode, wells=("A01",), sites=(1,), channels=(1, 2, 3), side=8)
    return Path("images")


@pytest.mark.parametrize(
    ("barcode", "asked", "named", "source"),
    [
        ("BR00116991", None, "Mito DNA", "CPJUMP1's names: the barcode is one of its plates"),
        ("BR00118050", None, "Mito DNA", "CPJUMP1's names: the barcode is one of its plates"),
        ("BR00116994F", None, "Mito DNA", "CPJUMP1's names: the barcode is one of its plates"),
        ("MADE0012", None, "Mito DNA", "CPJUMP1's names: a made plate"),
        ("KNOWN", None, "Mito DNA", "CPJUMP1's names: the plate is in experiment-metadata.tsv"),
        ("LAB1", "cpjump1", "Mito DNA", "CPJUMP1's names: --channel-names cpjump1"),
        ("LAB1", None, "ch1 ch5", "as in the file names"),
        ("BR00117007", None, "ch1 ch5", "as in the file names"),  # no plate of CPJUMP1 has this number
        ("BR00121423", None, "ch1 ch5", "as in the file names"),
        ("MADE", None, "ch1 ch5", "as in the file names"),
        ("LAB1", {"ch5": "Actin"}, "Actin ch1", "ch5 by --channel-names, the others as in the file names"),
        ("MADE0012", {"ch5": "H2B", "ch1": "Tom20"}, "Tom20 H2B", "--channel-names"),
    ],
)
def test_which_plates_have_the_names_of_cpjump1(tmp_path, barcode, asked, named, source):
    metadata = read_metadata(write_metadata(tmp_path, {"KNOWN": "U2OS"}, {"A01": ""}))
    plate, naming = name_channels(listed(barcode, "ch5", "ch1"), asked, metadata, numbered=True)
    assert (set(naming.channels), naming.source) == (set(named.split()), source)
    assert plate.images["A01", 1] == {name: ImageFile(own) for own, name in naming.names.items()}
    assert naming.official == naming.source.startswith("CPJUMP1's names")


def test_the_names_of_a_table_are_used_as_they_are_and_may_be_changed():
    table = listed("BR00116991", "ch1", "HOECHST 33342")
    assert name_channels(table, None, None, numbered=False)[1].text() == "HOECHST 33342, ch1 (as in the load_data table)"
    assert name_channels(table, {"HOECHST 33342": "DNA"}, None, numbered=False)[1].channels == ("DNA", "ch1")
    with pytest.raises(KitError, match=r"^'a,b' cannot be a channel's name"):
        name_channels(listed("P", "a,b"), None, None, numbered=False)
    for asked, said in (
        ("cpjump1", "names ch1 to ch8; its channels are DNA, Actin"),
        ({"DNA": "Actin"}, "DNA and Actin are both"),
    ):
        with pytest.raises(KitError, match=said):
            name_channels(listed("P", "DNA", "Actin"), asked, None, numbered=False)


def test_sixteen_channels_stand_in_the_order_of_their_numbers():
    plate = listed("LAB1", *sorted(f"ch{number}" for number in range(1, 17)))
    assert name_channels(plate, None, None, numbered=True)[1].channels == tuple(f"ch{number}" for number in range(1, 17))


def test_a_dry_run_says_the_names_and_groups_and_where_they_come_from(lab, capsys):
    kit_here("ingest images --work w --channel-names ch1=DNA,ch2=Actin,ch3=BF --groups brightfield=BF --plates LAB1 --dry-run")
    text = capsys.readouterr().out
    assert "\n  channels: ch1 = DNA, ch2 = Actin, ch3 = BF (--channel-names)\n" in text
    assert "\n  groups: fluorescence: DNA, Actin; brightfield: BF (--groups, the others by default)\n" in text
    assert "warning" not in text
    assert not Path("w").exists()
    text = dry_run(IngestPlan(lab, "w")).text()
    assert text.count("no site positions") == text.count("positions") == 2, "once a plate"
    assert "\n  channels: ch1, ch2, ch3 (as in the file names)\n  groups: fluorescence: ch1, ch2, ch3 (by default; " in text
    assert text.count("warning: the channels of plate LAB1 are called ch1, ch2, ch3") == 1
    assert "--channel-names ch1=NAME1,ch2=NAME2,ch3=NAME3" in text


def test_the_store_keeps_names_and_groups(lab, caplog):
    report = ingest(IngestPlan(lab, "w", channel_names=NAMES, groups=GROUPS)).text()
    assert report.count("channels: ch1 = DNA, ch2 = Actin, ch3 = BF (--channel-names); groups: fluorescence: DNA, Actin; ") == 2
    assert "incomplete" not in report
    work = kit.open("w")
    assert (work.channels, work.groups) == (("DNA", "Actin", "BF"), {"fluorescence": ("DNA", "Actin"), "brightfield": ("BF",)})
    attributes = json.loads(Path("w/plates/LAB1.zarr/pixels/zarr.json").read_text())["attributes"]
    assert attributes["groups"] == {"fluorescence": ["DNA", "Actin"], "brightfield": ["BF"]}
    assert caplog.text == ""


def test_numbers_for_names_are_warned_of_once(lab, caplog):
    with caplog.at_level(logging.WARNING):
        report = ingest(IngestPlan(lab, "w"))
    assert [record.message.split(",")[0] for record in caplog.records] == ["the channels of plate LAB1 are called ch1"]
    assert report.failed == []
    assert kit.open("w").channels == ("ch1", "ch2", "ch3")


def test_groups_are_changed_without_reading_a_pixel(lab, tmp_path, capsys):
    ingest(IngestPlan(lab, "w", channel_names=NAMES))
    assert kit.open("w").groups == {"fluorescence": ("DNA", "Actin", "BF")}
    with pytest.raises(UsageError, match=r"--groups puts BF into brightfield; plate LAB2 of w has it in fluorescence"):
        ingest(IngestPlan(lab, "w", groups=GROUPS, plates=("LAB1",)))
    for image in tmp_path.rglob("*.tiff"):
        image.write_bytes(b"")
    plan = IngestPlan(lab, "w", groups=GROUPS)
    text = dry_run(plan).text()
    assert kit.open("w").groups == {"fluorescence": ("DNA", "Actin", "BF")}, text
    assert "groups of channels updated, pixels unchanged: LAB1, LAB2" in ingest(plan).text()
    assert kit.open("w").groups == {"fluorescence": ("DNA", "Actin"), "brightfield": ("BF",)}
    assert ingest(plan).regrouped == []
    kit_here("ingest --work w --groups stains=DNA,Actin")
    assert kit.open("w").groups == {"brightfield": ("BF",), "stains": ("DNA", "Actin")}
    kit_here("ingest --work w --groups stains=DMA", 2)
    assert "--groups: no plate has a channel DMA; did you mean DNA?; there are DNA, Actin, BF" in capsys.readouterr().err


def test_new_plates_follow_the_groups_of_the_store(lab):
    ingest(IngestPlan(lab, "w", channel_names=NAMES, groups=GROUPS, plates=("LAB1",)))
    ingest(IngestPlan(lab, "w", channel_names=NAMES))
    assert kit.open("w").groups == {"fluorescence": ("DNA", "Actin"), "brightfield": ("BF",)}


def test_a_channel_that_one_plate_lacks_is_named_and_nothing_is_lost(lab):
    for path in lab.glob("LAB2*/Images/*-ch3*"):
        path.unlink()
    said = "warning: LAB2 has no images of BF, which LAB1 has"
    plan = IngestPlan(lab, "w", channel_names=NAMES, groups=GROUPS)
    assert said in dry_run(plan).text()
    ingest(IngestPlan(lab, "w", channel_names=NAMES, groups=GROUPS, plates=("LAB1",)))
    report = ingest(plan)
    assert (report.lacking, report.failed) == ([said], [])
    assert said in report.text()
    assert kit.open("w").sites["channels"].tolist() == ["DNA,Actin,BF", "DNA,Actin"]


def test_a_store_from_before_has_the_groups_of_its_names(lab):
    ingest(IngestPlan(lab, "w", channel_names={"ch1": "DNA", "ch2": "LowZBF", "ch3": "BF"}))
    for path in Path("w").rglob("pixels/zarr.json"):
        table = json.loads(path.read_text())
        del table["attributes"]["groups"]
        path.write_text(json.dumps(table))
    assert kit.open("w").groups == {"fluorescence": ("DNA", "BF"), "brightfield": ("LowZBF",)}


def test_two_plates_that_disagree_are_named(lab):
    ingest(IngestPlan(lab, "w", channel_names=NAMES))
    path = Path("w/plates/LAB2.zarr/pixels/zarr.json")
    path.write_text(path.read_text().replace('"fluorescence"', '"stains"'))
    with pytest.raises(KitError, match="DNA is in group fluorescence on plate LAB1 and in stains on plate LAB2"):
        _ = kit.open("w").groups


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ("--channel-names ch1", "'ch1' is no pair: need chN=NAME"),
        ("--channel-names ''", "'' is no pair"),
        (
            "--channel-names 'ch1=DNA,Hoechst'",
            "'Hoechst' is no pair: need chN=NAME, separated by commas (names cannot contain one)",
        ),
        ("--channel-names ch1=DNA,ch1=RNA", "names ch1 twice: DNA and RNA"),
        ("--channel-names ch1=DNA,ch2=DNA", "calls ch1 and ch2 both DNA"),
        ("--channel-names ch1=a/b", "'a/b' cannot be a channel's name"),
        ("--channel-names ch1=all", "'all' cannot be a channel's name"),
        ("--channel-names ch1=DNA,ch9=BF", "no plate has a channel ch9; did you mean ch3?; there are ch1, ch2, ch3"),
        ("--groups brightfield", "'brightfield' is no group: need GROUP=CHANNEL,CHANNEL"),
        ("--groups 'a=ch1 a=ch2'", "has the group a twice"),
        ("--groups 'a=ch1 b=ch2,ch1'", "ch1 is in a and in b; a channel has one group"),
        ("--groups 'all=ch1'", "and not all"),
        ("--groups 'ch1=ch2,ch3 b=ch1'", "ch1 is a channel and a group of others"),
        ("--groups brightfield=BF", "no plate has a channel BF; there are ch1, ch2, ch3"),
    ],
)
def test_what_cannot_be_meant_is_one_line(lab, options, said, capsys):
    kit_here(f"ingest images --work w {options}", 2)
    found = capsys.readouterr().err
    assert said in found
    assert found.count("\n") == 1
    assert not Path("w").exists()
