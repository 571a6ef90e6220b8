"""Plates in, store out: exact values, other readers, what lacks, what is set aside, and where it goes on."""

import shutil
from dataclasses import FrozenInstanceError, replace

import numpy as np
import pandas as pd
import pytest
import tifffile
import zarr

import kit
from kit.config import StoreConfig
from kit.errors import KitError, UsageError
from kit.images.ingest import well as packing
from kit.images.ingest.dry_run import dry_run
from kit.images.ingest.plan import IngestPlan
from kit.images.ingest.run import ingest
from kit.images.store.work import open_work
from tests.commands import paragraph
from tests.images.made_plates import acquisition_xml, counts, write_image, write_metadata, write_plate

LAYOUT = {1: (-0.0003, 0.0003), 2: (0.0003, 0.0003)}


@pytest.fixture
def made(tmp_path):
    """Two labelled plates of two wells, two sites, three channels."""
    source = tmp_path / "images"
    for barcode in ("BR01", "BR02"):
        write_plate(source, barcode, channels=(1, 2, 5), xml=acquisition_xml(LAYOUT))
    metadata = write_metadata(tmp_path / "metadata", {"BR01": "U2OS", "BR02": "A549"}, {"A01": "BRD-1", "B02": ""})
    return source, tmp_path / "work", metadata


def by_hand(barcode, well, site, channel):
    """SSLProfiler 1, section 3.2, in Python integers."""
    image = counts(barcode, well, site, channel)
    least, most = int(image.min()), int(image.max())
    return np.array([[(int(v) - least) * 255 // (most - least) for v in row] for row in image], np.uint8)


def snapshot(work):
    return {str(path.relative_to(work)): path.read_bytes() for path in sorted(work.rglob("*")) if path.is_file()}


def test_pixels_are_exact(made):
    source, work, metadata = made
    ingest(IngestPlan(source, work, metadata=metadata, jobs=2))
    opened = kit.open(work)
    assert opened.plates == ["BR01", "BR02"]
    assert opened.channels == ("Mito", "AGP", "DNA")
    for who in (("BR01", "A01", 1), ("BR02", "B02", 2)):
        site = opened.read_site(*who)
        assert site.dtype == np.uint8
        np.testing.assert_array_equal(site, [by_hand(*who, channel) for channel in (1, 2, 5)])
    np.testing.assert_array_equal(opened.read_site("BR01", "b2", 2, channels=["DNA"])[0], by_hand("BR01", "B02", 2, 5))


def test_zarr_python_opens_it_without_kit(made):
    source, work, metadata = made
    ingest(IngestPlan(source, work, metadata=metadata, jobs=1))
    pixels = zarr.open(work / "plates" / "BR02.zarr", mode="r")["pixels"]
    assert pixels.shape == (2, 2, 3, 24, 24)
    assert pixels.attrs["wells"] == ["A01", "B02"]
    np.testing.assert_array_equal(pixels[1, 0, 2], by_hand("BR02", "B02", 1, 5))


def test_tables_say_what_there_is(made):
    source, work, metadata = made
    ingest(IngestPlan(source, work, metadata=metadata, jobs=2))
    opened = open_work(work)
    sites = opened.sites.set_index(["Metadata_Plate", "Metadata_Well", "Metadata_Site"])
    row = sites.loc["BR02", "B02", 2]
    image = counts("BR02", "B02", 2, 5).astype(np.int64)
    assert (row["DNA_min"], row["DNA_max"]) == (image.min(), image.max()) == (row["DNA_black"], row["DNA_white"])
    assert row["DNA_mean"] == pytest.approx(image.mean(), rel=1e-14)
    assert row["DNA_sd"] == pytest.approx(image.std(), rel=1e-12)
    levels = by_hand("BR02", "B02", 2, 5).astype(np.int64)
    assert (row["DNA_sum8"], row["DNA_sumsq8"]) == (levels.sum(), (levels**2).sum())
    low, high = np.percentile(levels, (0.5, 99.5), method="inverted_cdf")
    assert row["DNA_levels"] == high - low
    assert (row["x_um"], row["y_um"], row["position_source"]) == (300, 300, "tag 65500")
    assert row["channels"] == "Mito,AGP,DNA"
    assert row["Metadata_Cell_type"] == "A549"
    wells = opened.wells.set_index(["Metadata_Plate", "Metadata_Well"])
    assert wells["n_sites"].tolist() == [2, 2, 2, 2]
    assert wells["Metadata_is_control"].tolist() == [False, True, False, True]
    assert wells.loc[("BR01", "A01"), "Metadata_pert_iname"] == "name-BRD-1"


def test_channel_stats_are_those_of_all_pixels(made):
    source, work, metadata = made
    ingest(IngestPlan(source, work, metadata=metadata, jobs=2))
    opened = open_work(work)
    sites = opened.sites[["Metadata_Plate", "Metadata_Well", "Metadata_Site"]].itertuples(index=False)
    pixels = np.stack([opened.read_site(*who) for who in sites]) / 255
    mean, deviation = opened.channel_stats(["DNA", "Mito"])
    np.testing.assert_allclose(mean, pixels.mean((0, 2, 3))[[2, 0]], rtol=1e-13)
    np.testing.assert_allclose(deviation, pixels.std((0, 2, 3))[[2, 0]], rtol=1e-12)
    with pytest.raises(KitError, match="no site has the channel ER"):
        opened.channel_stats(["ER"])


def test_threads_and_plate_by_plate_give_the_same_bytes(made):
    source, work, metadata = made
    ingest(IngestPlan(source, work, metadata=metadata, jobs=1))
    other = work.with_name("other")
    ingest(IngestPlan(source, other, metadata=metadata, jobs=4, plates=("BR02",)))
    ingest(IngestPlan(source, other, metadata=metadata, jobs=3, plates=("BR01",)))
    assert snapshot(work) == snapshot(other)


def test_a_complete_plate_is_left_alone(made):
    source, work, metadata = made
    ingest(IngestPlan(source, work, metadata=metadata))
    before = {path: path.stat().st_mtime_ns for path in (work / "plates").rglob("*") if path.is_file()}
    report = ingest(IngestPlan(source, work, metadata=metadata))
    assert report.already == ["BR01", "BR02"]
    assert before == {path: path.stat().st_mtime_ns for path in (work / "plates").rglob("*") if path.is_file()}


def test_missing_sites_and_channels_are_listed_and_named(made):
    source, work, metadata = made
    images = next(source.glob("BR01*")) / "Images"
    (images / "r01c01f01p01-ch2sk1fk1fl1.tiff").unlink()
    for channel in (1, 2, 5):
        (images / f"r02c02f02p01-ch{channel}sk1fk1fl1.tiff").unlink()
    text = ingest(IngestPlan(source, work, metadata=metadata)).text()
    assert "1 site missing: B02 site 2" in text
    assert "1 image missing: A01 site 1 AGP" in text
    opened = open_work(work)
    with pytest.raises(KitError, match="BR01 A01 site 1 has no AGP"):
        opened.read_site("BR01", "A01", 1)
    with pytest.raises(UsageError, match=r"^plate BR01 has no channel foo; it has Mito, AGP, DNA$"):
        opened.read_site("BR01", "A01", 1, ["DNA", "foo"])
    with pytest.raises(UsageError, match=r"^plate BR01 has no channel AGB; did you mean AGP\?; it has Mito, AGP, DNA$"):
        opened.read_site("BR01", "B02", 1, ["AGB"])
    np.testing.assert_array_equal(opened.read_site("BR01", "A01", 1, ["DNA"])[0], by_hand("BR01", "A01", 1, 5))
    with pytest.raises(KitError, match="no site 2 in well B02"):
        opened.read_site("BR01", "B02", 2)
    row = opened.sites.iloc[0]
    assert row["channels"] == "Mito,DNA"
    assert pd.isna(row["AGP_min"])


def test_bad_files_are_set_aside(made):
    source, work, _ = made
    write_plate(source, "BR03", wells=("A01", "B02"), sites=range(1, 10), channels=(1, 2, 5))
    images = next(source.glob("BR03*")) / "Images"
    cut = images / "r01c01f01p01-ch1sk1fk1fl1.tiff"
    cut.write_bytes(cut.read_bytes()[:400])
    (images / "r01c01f02p01-ch1sk1fk1fl1.tiff").write_text("no image")
    (images / "r01c01f03p01-ch1sk1fk1fl1.tiff").write_bytes(b"")
    tifffile.imwrite(images / "r02c02f01p01-ch1sk1fk1fl1.tiff", np.zeros((20, 24), np.uint16))
    report = ingest(IngestPlan(source, work, plates=("BR03",), channel_names="cpjump1"))
    reasons = {bad["path"][-32:]: bad["reason"] for bad in report.plates[0].bad}
    assert len(reasons) == 4
    assert "cut short" in " ".join(reasons.values())
    assert "empty file" in reasons.values()
    assert "20 x 24 pixels; the plate has 24 x 24" in reasons.values()
    assert "4 bad images set aside" in report.text()
    assert open_work(work).sites["channels"].tolist()[:4] == ["AGP,DNA"] * 3 + ["Mito,AGP,DNA"]
    with pytest.raises(KitError, match="--strict"):
        ingest(IngestPlan(source, work.with_name("strict"), plates=("BR03",), strict=True))


def test_a_plate_with_many_bad_images_fails_and_others_do_not(made):
    source, work, metadata = made
    for path in sorted(next(source.glob("BR01*")).glob("Images/*"))[:3]:
        path.write_bytes(b"II*\0")
    report = ingest(IngestPlan(source, work, metadata=metadata))
    assert len(report.failed) == 1
    assert "BR01: more than 10% of its 12 images are bad" in report.failed[0]
    assert open_work(work).plates == ["BR02"]


def test_constant_images_become_zeros_and_are_counted(made):
    source, work, metadata = made
    path = next(source.glob("BR01*")) / "Images" / "r01c01f01p01-ch1sk1fk1fl1.tiff"
    tifffile.imwrite(path, np.full((24, 24), 777, np.uint16), compression="lzw")
    report = ingest(IngestPlan(source, work, metadata=metadata))
    assert "stored as zeros: 1 image of a single value" in report.text()
    opened = open_work(work)
    assert not opened.read_site("BR01", "A01", 1, ["Mito"]).any()
    assert opened.sites.iloc[0]["Mito_min"] == opened.sites.iloc[0]["Mito_max"] == 777


def test_stopped_halfway_it_goes_on_to_the_same_bytes(made, monkeypatch):
    source, work, metadata = made
    ingest(IngestPlan(source, work, metadata=metadata, jobs=1))
    whole = snapshot(work)
    shutil.rmtree(work)
    decode, seen = packing.read_levels, []

    def failing(*args, **options):
        if len(seen) == 9:  # in the second well of the first plate
            raise OSError(28, "No space left on device")
        seen.append(1)
        return decode(*args, **options)

    monkeypatch.setattr(packing, "read_levels", failing)
    with pytest.raises(KitError, match="no space left"):
        ingest(IngestPlan(source, work, metadata=metadata, jobs=1))
    assert not list(work.rglob("*.part"))
    assert not list(work.rglob("*.parquet"))
    decoded = []
    monkeypatch.setattr(packing, "read_levels", lambda *args, **options: decoded.append(1) or decode(*args, **options))
    report = ingest(IngestPlan(source, work, metadata=metadata, jobs=1))
    assert snapshot(work) == whole
    assert report.plates[0].kept == 6
    assert len(decoded) == 24 - 6


def test_labels_are_required_where_asked_for(made):
    source, work, metadata = made
    write_plate(source, "BR09", wells=("A01",), sites=(1,), channels=(1,))
    with pytest.raises(KitError, match=r"BR09 has no labels .* not in experiment-metadata\.tsv"):
        ingest(IngestPlan(source, work, metadata=metadata, plates=("BR09",)))
    report = ingest(IngestPlan(source, work, metadata=metadata))
    assert "without labels: not in experiment-metadata.tsv" in report.text()
    opened = open_work(work)
    assert opened.wells["Metadata_is_control"].dtype == bool
    assert opened.wells.set_index("Metadata_Plate").loc["BR09", "Metadata_broad_sample"] == ""
    assert not opened.wells.set_index("Metadata_Plate").loc["BR09", "Metadata_is_control"]  # unknown is not DMSO
    for folder in list(source.iterdir()):
        if not folder.name.startswith("BR09"):
            shutil.rmtree(folder)
    with pytest.raises(KitError, match="BR09 has no labels"):
        ingest(IngestPlan(source, work, metadata=metadata))


def test_labels_that_come_later_pack_nothing_again(made, monkeypatch):
    source, work, metadata = made
    text = ingest(IngestPlan(source, work, channel_names="cpjump1")).text()
    assert "without labels: no --metadata or --labels" in text
    text = ingest(IngestPlan(source, work)).text()
    assert "already packed: BR01, BR02\nwithout labels: BR01, BR02; add them with kit ingest --work" in text
    before = snapshot(work)
    assert "its table would get the labels" in dry_run(IngestPlan(source, work, metadata=metadata)).text()
    assert snapshot(work) == before
    monkeypatch.setattr(packing, "read_levels", None)
    text = ingest(IngestPlan(source, work, metadata=metadata)).text()
    assert "labels updated, pixels unchanged: BR01, BR02" in text
    assert ingest(IngestPlan(source, work, metadata=metadata)).text() == "already packed: BR01, BR02"
    monkeypatch.undo()
    ingest(IngestPlan(source, work.parent / "at_once", metadata=metadata))
    assert snapshot(work) == snapshot(work.parent / "at_once")
    assert ingest(IngestPlan(source, work)).text() == "already packed: BR01, BR02", "labels are not lost for want of --metadata"


def test_complete_plates_get_their_labels_before_another_is_packed(made):
    source, work, metadata = made
    ingest(IngestPlan(source, work, plates=("BR02",)))
    next(source.glob("BR01*/Images/*")).write_bytes(b"II*\0")
    with pytest.raises(KitError, match="--strict"):
        ingest(IngestPlan(source, work, metadata=metadata, strict=True))
    assert open_work(work).plates == ["BR02"]
    assert open_work(work).wells["Metadata_Cell_type"].tolist() == ["A549", "A549"]


def test_a_plan_is_frozen_and_takes_paths_as_text(made):
    source, work, _ = made
    plan = IngestPlan(str(source), str(work), codec="jpegls", illum=str(source))
    assert (plan.work, plan.illum, plan.folder) == (work, source, work / "plates")
    assert plan.settings == StoreConfig(codec="jpegls", illumination=True)
    with pytest.raises(FrozenInstanceError):
        plan.bits = 16
    with pytest.raises(UsageError, match="--bits 12"):
        replace(plan, bits=12)


def test_corrected_labels_replace_the_old(made):
    source, work, metadata = made
    ingest(IngestPlan(source, work, metadata=metadata))
    plate_map = metadata / "M_platemap.txt"
    plate_map.write_text(plate_map.read_text().replace("BRD-1", ""))
    assert "labels updated" in ingest(IngestPlan(source, work, metadata=metadata)).text()
    assert open_work(work).wells["Metadata_is_control"].all()


def test_a_damaged_table_is_said_and_leaves_the_others(made):
    source, work, metadata = made
    ingest(IngestPlan(source, work, metadata=metadata))
    path = work / "plates" / "BR01.parquet"
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(KitError, match=r"BR01\.parquet is damaged .* delete it and ingest plate BR01 again"):
        _ = open_work(work).sites
    report = ingest(IngestPlan(source, work, metadata=metadata))
    assert report.already == ["BR02"]
    assert "BR01.parquet is damaged" in report.failed[0]
    path.unlink()
    assert [plate.barcode for plate in ingest(IngestPlan(source, work, metadata=metadata)).plates] == ["BR01"]


def test_settings_of_a_store_are_not_mixed(made):
    source, work, metadata = made
    ingest(IngestPlan(source, work, metadata=metadata))
    with pytest.raises(UsageError, match="was made with --scale image, not with --scale plate-percentile"):
        ingest(IngestPlan(source, work, metadata=metadata, scale="plate-percentile"))


def test_a_second_ingest_is_refused(made):
    import filelock

    source, work, metadata = made
    work.mkdir()
    with filelock.FileLock(work / ".ingest.lock"), pytest.raises(KitError, match="another kit ingest"):
        ingest(IngestPlan(source, work, metadata=metadata))


def test_other_images_than_it_was_begun_with(made):
    source, work, metadata = made
    ingest(IngestPlan(source, work, metadata=metadata, plates=("BR01",)))
    (work / "plates" / "BR01.parquet").unlink()
    write_image(next(source.glob("BR01*")) / "Images", "BR01", "C03", 1, 1)
    report = ingest(IngestPlan(source, work, metadata=metadata))
    assert "BR01: packing began with other images" in report.failed[0]
    assert open_work(work).plates == ["BR02"]


def test_work_that_is_no_store(tmp_path):
    with pytest.raises(UsageError, match="holds no store"):
        open_work(tmp_path)
    with pytest.raises(UsageError, match=rf"--work '{tmp_path}/my plates'$"):  # the command it names can be pasted
        open_work(tmp_path / "my plates")


def test_names_of_runs_stay_inside(made):
    source, work, metadata = made
    ingest(IngestPlan(source, work, metadata=metadata))
    opened = open_work(work)
    assert opened.run_folder("r1-a.b") == work / "runs" / "r1-a.b"
    for name in ("../x", "", "a/b", ".hidden"):
        with pytest.raises(UsageError, match="--run"):
            opened.run_folder(name)
    with pytest.raises(KitError, match="run r1 has no features"):
        opened.features("r1")


def test_real_sites(real_data, packed):
    work, said = packed
    opened = open_work(work)
    images = pd.read_csv(real_data / "cpjump1_images" / "images.csv")
    sites = opened.sites.set_index(["Metadata_Plate", "Metadata_Well", "Metadata_Site"])
    full = sites["channels"].str.count(",") == 7
    assert full.sum() == 8
    assert sorted({plate for plate, _, _ in sites.index[full]}) == ["BR00117010", "BR00117011", "BR00117012", "BR00117013"]
    for image in images.itertuples():
        row, name = sites.loc[image.plate, image.well, image.site], image.channel_name.split(" (")[0].replace(" ", "")
        name = {"BrightfieldH": "HighZBF", "BrightfieldL": "LowZBF"}.get(name, name)
        assert (row[f"{name}_min"], row[f"{name}_max"]) == (image.min, image.max)
        assert row[f"{name}_mean"] == pytest.approx(image.mean, abs=0.006)
        assert row[f"{name}_saturated"] == image.saturated_px
        if image.plate != "BR00117006":
            assert row["x_um"] == pytest.approx(image.position_x_m * 1e6)
    assert "site positions read from plate BR00117010" in paragraph(said, "BR00117011")
    assert "incomplete: no images of Mito, ER" in paragraph(said, "BR00117006")
    assert "without labels: JUMP-Target-1_orf_platemap.txt is missing" in paragraph(said, "BR00117006")
    names = opened.wells.set_index(["Metadata_Plate", "Metadata_Well"])["Metadata_pert_iname"]
    assert names["BR00117010", "L09"] == "FK-866"
    with pytest.raises(KitError, match="BR00117006 has no labels"):
        ingest(IngestPlan(real_data / "cpjump1_images", work, metadata=real_data / "cpjump1_metadata", plates=("BR00117006",)))
