"""The same walk on real CPJUMP1 files: eight sites of four compound plates, and CellProfiler's profiles of five plates."""

import json

import numpy as np
import pandas as pd
import pytest
import tifffile

import kit
from kit.config import CHANNELS
from tests.commands import kit_child, kit_command, paragraph, settings

COMPOUND_PLATES = ["BR00117010", "BR00117011", "BR00117012", "BR00117013"]
FEW_STEPS = ("train.max_steps=3", "train.batch=4", "train.warmup_steps=1", "crops.global_area=[0.05,0.1]", "embed.side=112")


@pytest.fixture(scope="module")
def listed(real_data) -> pd.DataFrame:
    """Return what is known of every image file: its plate, well, site, channel, stage position, least and largest count."""
    return pd.read_csv(real_data / "cpjump1_images" / "images.csv")


def test_ingest_finds_eight_full_sites_of_four_compound_plates(packed):
    sites = kit.open(packed[0]).sites
    full = sites[sites["channels"] == ",".join(CHANNELS)]
    assert sorted(full["Metadata_Plate"].unique()) == COMPOUND_PLATES
    assert len(full) == 8
    assert (full["Metadata_Cell_type"] == "U2OS").all()
    names = dict(zip(full["Metadata_Plate"] + full["Metadata_Well"], full["Metadata_pert_iname"], strict=True))
    assert names["BR00117010L09"] == names["BR00117012D08"] == "FK-866"
    assert names["BR00117013D14"] == "DMSO"


def test_the_plate_without_map_is_listed_as_incomplete_and_unlabelled(packed):
    said = paragraph(packed[1], "BR00117006")
    assert "without labels" in said
    assert "incomplete: no images of Mito, ER, HighZBF, LowZBF, Brightfield" in said
    wells = kit.open(packed[0]).wells.set_index("Metadata_Plate")
    assert wells.loc["BR00117006", "Metadata_broad_sample"] == ""


def test_positions_are_the_stages_or_those_of_another_plate(packed, listed):
    said = paragraph(packed[1], "BR00117011")
    assert "site positions read from plate BR00117010" in said
    sites = kit.open(packed[0]).sites
    assert (sites["position_source"] == "tag 65500").tolist() == (sites["Metadata_Plate"] != "BR00117011").tolist()
    key = ["plate", "well", "site"]
    true = listed.dropna(subset=["position_x_m"]).drop_duplicates(key).set_index(key)
    for row in sites.itertuples():
        place = true.loc[(row.Metadata_Plate, row.Metadata_Well, row.Metadata_Site)]
        assert (row.x_um, row.y_um) == pytest.approx((place["position_x_m"] * 1e6, place["position_y_m"] * 1e6), abs=1)


def test_stored_pixels_are_the_files(packed, listed, real_data):
    work = kit.open(packed[0])
    for row in listed[listed["channel"].isin((1, 5, 8)) & listed["plate"].isin(("BR00117010", "BR00117012"))].itertuples():
        counts = tifffile.imread(real_data / "cpjump1_images" / row.path).astype(np.int64)
        levels = (counts - row.min) * 255 // (row.max - row.min)
        np.testing.assert_array_equal(work.read_site(row.plate, row.well, row.site, [CHANNELS[row.channel - 1]])[0], levels)


def test_walk_to_a_checked_submission(packed, tmp_path):
    work = packed[0]
    groups = ("fluorescence", "brightfield")
    for run in groups:
        kit_command("train", "--work", work, "--recipe", "demo", "--channels", run, "--run", run, *settings(FEW_STEPS))
    runs = [word for run in groups for word in ("--run", run)]
    done = kit_command("embed", "--work", work, *runs)
    assert done.stdout.count("8 sites of 4 plates") == 2
    assert "BR00117006 A01 site 1 (Mito, ER)" in done.stdout
    kit_command("profile", "--work", work, *runs, "--merge", "mean", "--out", tmp_path / "profiles.parquet")
    wells = kit.open(work).wells.query("Metadata_Plate in @COMPOUND_PLATES")[["Metadata_Plate", "Metadata_Well"]]
    ids = wells.iloc[::-1].rename(columns=lambda name: name.removeprefix("Metadata_"))  # an order of their own
    ids.insert(0, "ID", [f"well-{number}" for number in range(len(ids))])
    ids.to_csv(tmp_path / "metadata_test.csv", index=False)
    submission = tmp_path / "submission.csv"
    kit_command("export", tmp_path / "profiles.parquet", "--ids", tmp_path / "metadata_test.csv", "--out", submission)
    assert "8 rows x 384 features" in kit_child("check", submission, "--ids", tmp_path / "metadata_test.csv").stdout
    written = pd.read_csv(submission, index_col="ID")
    assert written.index.tolist() == ids["ID"].tolist()
    assert not np.allclose(written.iloc[0], written.iloc[1])  # different wells, different features


def test_score_of_cellprofiler_profiles(real_data, tmp_path):
    """Five neighbours find the compound of two wells in five; with the rows of each plate shuffled, hardly any."""
    metadata, real = real_data / "cpjump1_metadata", real_data / "cpjump1_features_cellprofiler"
    shuffled = tmp_path / "shuffled"
    shuffled.mkdir()
    rng = np.random.default_rng(0)
    for path in sorted(real.glob("*.csv.gz")):
        table = pd.read_csv(path)
        features = [name for name in table if not name.startswith("Metadata_")]
        table[features] = table[features].to_numpy()[rng.permutation(len(table))]
        table.to_parquet(shuffled / f"{path.name.split('_')[0]}.parquet")
    out = tmp_path / "score.json"
    kit_command("score", real, shuffled, "--metadata", metadata, "--json", out)
    found = json.loads(out.read_text())["files"]
    assert found[str(real)]["n_classes"] == 306
    assert found[str(real)]["chance"] == pytest.approx(1 / 306)
    assert 0.38 < found[str(real)]["directions"]["U2OS->U2OS"]["accuracy"] < 0.42
    assert found[str(real)]["directions"]["U2OS->A549"]["reason"]
    assert found[str(shuffled)]["directions"]["U2OS->U2OS"]["accuracy"] < 0.01
