"""The whole walk by the command line, on tiny made plates: TIFFs to a checked submission and its score, in seconds."""

import json
from pathlib import Path

import pandas as pd
import pytest

import kit
from kit.profiles.table import read_profiles
from tests.commands import SHORT, TINY, kit_child, kit_command, settings


@pytest.fixture(scope="module")
def walked(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("walk")
    plates, work = folder / "plates", folder / "work"
    kit_child("phantom", plates, "--seed", 3, "--jobs", 1, *settings((*TINY, "side=72")))
    kit_command(
        "ingest", plates / "images", "--metadata", plates / "metadata", "--load-data", plates / "load_data", "--work", work
    )
    for run in ("fluorescence", "brightfield"):
        kit_command("train", "--work", work, "--recipe", "demo", "--channels", run, "--run", run, *settings(SHORT))
        kit_command("embed", "--work", work, "--run", run)
    out = folder / "profiles.parquet"
    kit_command("profile", "--work", work, "--run", "fluorescence", "--run", "brightfield", "--normalize", "centre",
                "--whiten", "sphere", "--out", out)  # fmt: skip
    kit_command("export", out, "--ids", plates / "metadata_test.csv", "--out", folder / "submission.csv")
    return folder


def test_plates_and_sites(walked):
    work = kit.open(walked / "work")
    assert work.plates == ["MADE0001", "MADE0002", "MADE0003", "MADE0004"]
    per_well = work.sites.groupby(["Metadata_Plate", "Metadata_Well"]).size().groupby("Metadata_Plate").max()
    assert per_well.tolist() == [9, 16, 9, 16]  # the last plate of each line has all sixteen places
    assert set(work.wells["Metadata_Cell_type"]) == {"U2OS", "A549"}
    row = work.sites.iloc[0]
    pixels = work.read_site(row.Metadata_Plate, row.Metadata_Well, row.Metadata_Site)
    assert pixels.shape == (8, 72, 72)
    assert (pixels.min(axis=(1, 2)) == 0).all()
    assert (pixels.max(axis=(1, 2)) == 255).all()


def test_profiles_are_nine_sites_of_two_models(walked):
    profiles = read_profiles(walked / "profiles.parquet")
    width = 2 * 96  # class token and mean patch of the demo's network
    assert profiles.features_MF.shape == (4 * (4 * 2 + 3), 2 * 9 * width)
    names = pd.Series(profiles.names)
    assert names.iloc[0] == "fluorescence_s1_cls_0"
    assert names.iloc[-1] == "brightfield_s9_patch_95"


def test_submission_is_whole_and_scored(walked):
    plates = walked / "plates"
    done = kit_child("check", walked / "submission.csv", "--ids", plates / "metadata_test.csv")
    assert "32" in done.stdout  # 4 plates x 8 compound wells
    scores = walked / "score.json"
    tables = ("--metadata", plates / "metadata", "--ids", plates / "metadata_test.csv")
    said = kit_command("score", walked / "submission.csv", *tables, "--profiles", walked / "profiles.parquet", "--k", 3,
                       "--json", scores)  # fmt: skip
    assert "\ntexture by hand beside it, and both together: kit score " in said.stdout
    found = json.loads(scores.read_text())
    assert found["schema"] == 1
    assert found["chance"] == pytest.approx(1 / 4)
    assert list(found["directions"]) == ["U2OS->U2OS", "U2OS->A549", "A549->U2OS", "A549->A549"]
    assert all(0 <= direction["accuracy"] <= 1 for direction in found["directions"].values())
    assert found == kit.score(walked / "profiles.parquet", plates / "metadata", ids=plates / "metadata_test.csv", k=3) | {
        key: found[key] for key in found if key in ("file", "source")
    }
    own = kit.score(walked / "profiles.parquet", k=3)  # by the file's own columns
    assert own["directions"] == found["directions"]
    assert own["wells"] == {"scored": 32, "controls": 12, "unlabelled": 0, "ungrouped": 0}


def test_texture_beside_a_network_says_what_it_lacks(walked):
    words = ("score", walked / "profiles.parquet", "--texture", walked / "work")
    said = kit_command(*words, code=1).stderr
    assert f"kit embed --work {walked / 'work'} --run fluorescence --baseline texture" in said
    assert "goes with one file of profiles: 2 are given" in kit_command(*words, walked / "submission.csv", code=2).stderr


def test_ids_and_csv_agree_with_the_plates(walked):
    ids = pd.read_csv(walked / "plates" / "metadata_test.csv", dtype=str)
    submission = pd.read_csv(walked / "submission.csv", dtype={"ID": str})
    assert submission["ID"].tolist() == ids["ID"].tolist()
    assert submission.drop(columns="ID").notna().all(axis=None)


def test_a_run_is_never_overwritten(walked):
    words = ("train", "--work", walked / "work", "--recipe", "demo", "--channels", "fluorescence", "--run", "fluorescence",
             *settings(SHORT))  # fmt: skip
    assert "--resume" in kit_command(*words, code=2).stderr
    kit_command(*words, "--resume")  # finished: nothing to do, and no error


def test_views_and_report(walked):
    said = kit_command("views", walked / "work", "--recipe", "demo", "--out", walked / "views.png").stdout.splitlines()
    assert (said[0].split(",")[0], said[-1]) == ("SD of the noise over SD of the crop", str(walked / "views.png"))
    assert (walked / "views.png").read_bytes().startswith(b"\x89PNG")
    kit_command("report", "--work", walked / "work", "--out", walked / "report.html")
    assert "MADE_3" in (walked / "report.html").read_text()
