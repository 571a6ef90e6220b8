"""What stands around the pixels: verification, the dry run, quality flags, load_data as a source, other microscopes."""

import pickle

import numpy as np
import pandas as pd
import pytest
import tifffile
from scipy.ndimage import gaussian_filter

from kit.errors import KitError, UsageError
from kit.images.ingest.dry_run import dry_run
from kit.images.ingest.plan import IngestPlan
from kit.images.ingest.quality import add_quality
from kit.images.ingest.run import ingest
from kit.images.source.grid import draw_grid
from kit.images.store.work import open_work
from tests.images.made_plates import acquisition_xml, counts, write_metadata, write_plate
from tests.images.made_work import make_work

LAYOUT = {1: (-0.0003229, 0.0003229), 2: (-0.0009687, 0.0009687), 3: (0.0003229, 0.0009687)}


@pytest.fixture
def source(tmp_path):
    write_plate(tmp_path / "images", "BR00117010", sites=(1, 2, 3), channels=(1, 5), xml=acquisition_xml(LAYOUT))
    return tmp_path / "images"


def test_verify_reads_everything(source, tmp_path):
    report = ingest(IngestPlan(source, tmp_path / "w", verify=True))
    assert (report.verified, report.damaged, report.failed) == (12, [], [])
    assert "verified: 12 images read again, 0 damaged" in report.text()


@pytest.mark.parametrize("where", ["pixels", "index", "gone", "table"])
def test_verify_finds_one_changed_byte(source, tmp_path, where):
    work = tmp_path / "w"
    ingest(IngestPlan(source, work))
    shard = work / "plates" / "BR00117010.zarr" / "pixels" / "c" / "1" / "0" / "0" / "0" / "0"
    data = bytearray(shard.read_bytes())
    data[40 if where == "pixels" else -30] ^= 1
    if where in ("pixels", "index"):
        shard.write_bytes(data)
    elif where == "gone":
        shard.unlink()
    else:  # a table and pixels that are each whole but do not belong together
        other = shard.parents[4] / "0" / "0" / "0" / "0" / "0"
        shard.write_bytes(other.read_bytes())
    report = ingest(IngestPlan(source, work, verify=True))
    assert len(report.damaged) == {"pixels": 1, "index": 1, "gone": 1, "table": 6}[where]
    assert all("BR00117010 B02" in damage or "well B02" in damage for damage in report.damaged)
    assert len(report.failed) == len(report.damaged)
    if where == "pixels":
        with pytest.raises(KitError, match=r"well B02 site 1 Mito .* checksum mismatch"):
            open_work(work).read_site("BR00117010", "B02", 1)


def test_the_grid_is_drawn_as_the_sites_lie():
    fields = {number: (x * 1e6, y * 1e6) for number, (x, y) in LAYOUT.items()}
    assert draw_grid(fields).splitlines() == [
        "            -969  -323   323  um",
        "       969   f02     .   f03",
        "       323     .   f01     .",
    ]


def test_dry_run_says_what_there_is_and_writes_nothing(source, tmp_path):
    images = next(source.glob("BR00117010*/Images"))
    for channel in (1, 5):
        (images / f"r02c02f03p01-ch{channel}sk1fk1fl1.tiff").unlink()
    (images / "r01c01f01p01-ch5sk1fk1fl1.tiff").unlink()
    metadata = write_metadata(tmp_path / "m", {"BR00117010": "U2OS"}, {"A01": "", "B02": "BRD-1"})
    plan = dry_run(IngestPlan(source, tmp_path / "w", metadata=metadata, size=12))
    text = plan.text()
    assert not (tmp_path / "w").exists()
    for line in (
        "2 wells, 2 or 3 sites a well, 9 images of 2 channels, 24 x 24 pixels to be stored at 12 x 12",
        "site positions read from the TIFF's microscope metadata",
        "1 site missing: B02 site 3",
        "1 image missing: A01 site 1 DNA",
        "       323     .   f01     .",
        "nothing was written",
    ):
        assert line in text
    made = ingest(IngestPlan(source, tmp_path / "w", metadata=metadata, size=12))
    assert plan.plates[0].bytes_in == made.plates[0].bytes_in
    assert plan.plates[0].bytes_out == pytest.approx(made.plates[0].bytes_out, rel=0.5)
    assert "already packed" in dry_run(IngestPlan(source, tmp_path / "w", metadata=metadata, size=12)).text()


def test_quality_flags():
    columns = {
        "channels": "DNA,Brightfield",
        "DNA_saturated": [0, 10, 0, 0],
        "Brightfield_saturated": 0,
        "DNA_low": 300,
        "DNA_high": [3000, 3000, 400, 3000],
        "Brightfield_low": 9000,
        "Brightfield_high": 20000,
        "DNA_focus": [0.2, 0.2, 0.2, 0.05],
        "Brightfield_focus": 0.3,
    }
    table = pd.DataFrame(columns, index=range(4))
    table = add_quality(table, {"fluorescence": ("DNA",), "brightfield": ("Brightfield",)}, pixels=1000)
    assert table["saturated_share"].tolist() == [0, 0.01, 0, 0]
    assert table["empty"].tolist() == [False, False, True, False]
    assert table["focus"].tolist() == [1, 1, 1, 0.25]


def test_empty_and_blurred_sites_are_reported(source, tmp_path):
    rng = np.random.default_rng(0)
    for path in source.glob("BR00117010*/Images/*"):
        scene = gaussian_filter(rng.normal(size=(64, 64)), 4.0 if "r02c02f01p01-ch1" in path.name else 1.0)
        signal = 0 if "r01c01f02" in path.name else 800 * scene / scene.std()
        tifffile.imwrite(
            path, np.clip(3000 + signal + rng.normal(0, 5, scene.shape), 100, 9000).astype(np.uint16), compression="lzw"
        )
    report = ingest(IngestPlan(source, tmp_path / "w"))
    assert report.plates[0].empty == ["A01 site 2"]
    assert report.plates[0].blurred == ["B02 site 1"]
    assert "1 site looking empty: A01 site 2" in report.text()
    sites = open_work(tmp_path / "w").sites
    assert sites["empty"].tolist() == [False, True, False, False, False, False]
    assert (sites["focus"] < 0.5).tolist()[2:] == [False, True, False, False]


def test_sites_with_channels_keep_their_place_in_the_table(tmp_path):
    work = make_work(tmp_path, plates=("P1",), wells=2, sites=2)
    work.sites["channels"] = ["Mito,AGP,RNA", "Mito,RNA", "AGP", "RNA,Mito"]
    assert work.sites_with(("RNA", "Mito")).index.tolist() == [0, 1, 3]
    assert work.sites_with(["AGP"]).index.tolist() == [0, 2]
    assert work.sites_with(("Mito", "RN")).empty  # a part of a name is another name
    assert work.sites_with(()).equals(work.sites)
    assert make_work(tmp_path / "empty", plates=()).sites_with(("DNA",)).empty


def test_a_store_limited_to_some_plates_is_the_store_of_these_alone(tmp_path):
    both, alone = make_work(tmp_path / "both"), make_work(tmp_path / "alone", plates=("P2",), lines=("A549",))
    part = both.only(["P2"])
    for work in (part, pickle.loads(pickle.dumps(part))):
        assert work.plates == ["P2"]
        pd.testing.assert_frame_equal(work.sites, alone.sites)
        pd.testing.assert_frame_equal(work.wells, alone.wells)
        np.testing.assert_array_equal(work.channel_stats(["AGP"]), alone.channel_stats(["AGP"]))
    assert both.channel_stats(["AGP"])[0] != alone.channel_stats(["AGP"])[0]
    with pytest.raises(UsageError, match=r"plate P1 is not in .*; it holds P2"):
        part.only(["P1"])


def test_an_image_that_was_never_packed_is_not_called_damaged(tmp_path):
    work = make_work(tmp_path, plates=("P1",), wells=2, sites=2, lone=(("P1", "A02"),))
    with pytest.raises(KitError, match=r"plate P1 well A02 site 2 AGP in .*: it is not in the store"):
        work.read_counts("P1", "A02", 2, "AGP")


def test_doubtful_tags_are_reported(source, tmp_path):
    path = next(source.glob("BR00117010*/Images/r01c01f02p01-ch5*"))
    image = counts("BR00117010", "A01", 2, 5)
    tags = [(340, 3, 1, 0, False), (341, 3, 1, int(image.max()), False)]
    tifffile.imwrite(path, image, compression="lzw", extratags=tags)
    report = ingest(IngestPlan(source, tmp_path / "w"))
    assert report.plates[0].doubts == [str(path)]
    name = path.relative_to(source)
    assert f"  1 image with SMin/SMaxSampleValue that do not match the pixels: {name}\n" in report.text()
    assert open_work(tmp_path / "w").sites.loc[1, "DNA_min"] == image.min()


@pytest.fixture
def table_source(tmp_path):
    """A load_data table of another microscope: own names, two channels, 8 bit, 20 x 30 pixels, three wells."""
    rng, rows = np.random.default_rng(0), []
    (tmp_path / "scope").mkdir()
    for well, site in (("A1", 1), ("A1", 2), ("C12", 1)):
        row = {"Metadata_Plate": "week1", "Metadata_Well": well, "Metadata_Site": site, "Metadata_PositionX": 0.001 * site,
               "Metadata_PositionY": -0.0005}  # fmt: skip
        for channel in ("GFP", "OrigDNA"):
            name = f"{well}-{site}-{channel}.tif"
            tifffile.imwrite(tmp_path / "scope" / name, rng.integers(3, 200, (20, 30), dtype=np.uint8), compression="deflate")
            row |= {f"FileName_{channel}": name, f"PathName_{channel}": str(tmp_path / "scope")}
        rows.append(row)
    pd.DataFrame(rows).to_csv(tmp_path / "load_data.csv.gz", index=False)
    return tmp_path / "load_data.csv.gz"


def test_a_load_data_table_is_a_source(table_source, tmp_path):
    report = ingest(IngestPlan(table_source, tmp_path / "w"))
    assert "week1: 2 wells, 3 sites, 6 images of 2 channels" in report.text()
    assert "1 site missing: C12 site 2" in report.text()
    opened = open_work(tmp_path / "w")
    assert opened.channels == ("DNA", "GFP")
    image = tifffile.imread(tmp_path / "scope" / "A1-2-GFP.tif").astype(int)
    expected = (image - image.min()) * 255 // (image.max() - image.min())
    np.testing.assert_array_equal(opened.read_site("week1", "a1", 2, ["GFP"])[0], expected)
    row = opened.sites.iloc[1]
    assert (row["x_um"], row["y_um"]) == pytest.approx((2000, -500))
    assert row["position_source"] == "load_data"


def test_files_of_the_table_that_are_gone_are_missing(table_source, tmp_path):
    (tmp_path / "scope" / "A1-1-GFP.tif").unlink()
    for channel in ("GFP", "OrigDNA"):
        (tmp_path / "scope" / f"C12-1-{channel}.tif").unlink()
    report = ingest(IngestPlan(table_source, tmp_path / "w"))
    assert report.plates[0].bad == []
    assert len(report.plates[0].gone) == 3
    assert "3 images listed but missing" in report.text()
    assert open_work(tmp_path / "w").sites["channels"].tolist() == ["DNA", "DNA,GFP"]


def test_tables_that_are_no_source(table_source, tmp_path):
    table = pd.read_csv(table_source)
    with pytest.raises(UsageError, match="does not exist"):
        ingest(IngestPlan(tmp_path / "none.csv", tmp_path / "w"))
    table.drop(columns="Metadata_Plate").to_csv(table_source, index=False)
    with pytest.raises(KitError, match="no column Metadata_Plate"):
        ingest(IngestPlan(table_source, tmp_path / "w"))
    table.drop(columns=[c for c in table if "Name_" in c]).to_csv(table_source, index=False)
    assert "no column FileName_<channel>" in ingest(IngestPlan(table_source, tmp_path / "w")).failed[0]


def test_a_real_plate_of_another_microscope(real_data, tmp_path):
    folder = real_data / "bbbc013_u2os_translocation" / "images"
    files = sorted(path.name for path in folder.iterdir())
    channels = sorted({name.split("-")[0] for name in files})
    rows = []
    for name in (name for name in files if name.startswith(channels[0])):
        rest = name[len(channels[0]) :]
        row = {
            "Metadata_Plate": "BBBC013",
            "Metadata_Well": rest.split("-")[2] + rest.split("-")[3].split(".")[0],
            "Metadata_Site": 1,
        }
        for channel in channels:
            row |= {f"FileName_{channel}": channel + rest, f"PathName_{channel}": str(folder)}
        rows.append(row)
    pd.DataFrame(rows).to_csv(tmp_path / "load_data.csv", index=False)
    report = ingest(IngestPlan(tmp_path / "load_data.csv", tmp_path / "w"))
    assert (report.plates[0].wells, report.plates[0].images, report.failed) == (96, 192, [])
