"""The companions at the command line: from which file the steps and the control wells are read, and what is said without."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

import kit
from kit.challenge.features import read_features
from kit.companions import board
from kit.companions.recorded import FINAL_ONLY, UNSEEN
from kit.neighbours import Gram
from kit.profiles.post_processing import post_process
from kit.profiles.table import write_profiles
from tests.commands import kit_command

from .made import made


@pytest.fixture(scope="module")
def made_once(tmp_path_factory):
    """Aligned noise as profiles.parquet and, of its compound wells, as submission.csv, with the wells' labels in labels.csv."""
    folder = tmp_path_factory.mktemp("aligned_noise")
    profiles = post_process(made(features=96), align=0.5)
    write_profiles(profiles, folder / "profiles.parquet")
    who = profiles.who.drop(columns="Metadata_is_control")
    who.to_csv(folder / "labels.csv", index=False)
    wells = who[who["Metadata_broad_sample"] != ""].sample(frac=1, random_state=0)
    ids = pd.DataFrame({"ID": range(len(wells)), "plate": wells["Metadata_Plate"], "well": wells["Metadata_Well"]})
    ids.to_csv(folder / "metadata_test.csv", index=False)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        kit_command("export", "profiles.parquet", "--ids", "metadata_test.csv", "--out", "submission.csv")
    return folder


@pytest.fixture
def aligned_noise(made_once, tmp_path, monkeypatch):
    """A copy of its own of these files, and the test in its folder."""
    shutil.copytree(made_once, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    return tmp_path


SCORE = ["--ids", "metadata_test.csv", "--labels", "labels.csv", "--label", "broad_sample", "--json", "score.json"]
CONTROLS = "submission.csv has no control wells: add --profiles profiles.parquet, which it was made from"


def scored(*words, code=0):
    said = kit_command("score", *words, code=code)
    with open("score.json") as file:
        return said.stdout.splitlines(), json.load(file)


def change(path):
    """Write the same table with other line ends."""
    content = Path(path).read_bytes()
    Path(path).write_bytes(content.replace(b"\n", b"\r\n"))


def test_the_manifest_of_a_submission_says_what_the_null_repeats(aligned_noise):
    lines, found = scored("submission.csv", *SCORE)
    assert found["null"]["align"] == 0.5
    assert found["null"]["value"] > 0.9 < found["mean"]
    assert found["verdict"]["value"] == "alignment"
    assert any(line.startswith("U2OS->U2OS: alignment: no more than alignment makes of shuffled wells: ") for line in lines)
    assert found["dmso_position"]["reason"] == found["plate"]["reason"] == CONTROLS
    assert f"control position: {CONTROLS}" in lines


def test_aligned_noise_without_its_manifest_gets_no_verdict(aligned_noise):
    shutil.copy("submission.csv", "alone.csv")
    lines, found = scored("alone.csv", *SCORE)
    assert found["mean"] > 0.9
    assert found["null"]["value"] < 0.2  # the null alone would call it a signal
    assert f"{FINAL_ONLY}: the features record no steps" in lines
    assert found["verdict"] == {
        "value": None, "reason": FINAL_ONLY, "directions": {"U2OS->U2OS": {"value": None, "reason": FINAL_ONLY}}
    }  # fmt: skip
    assert not any("signal" in line for line in lines)
    shutil.copy("submission.manifest.json", "alone.manifest.json")
    change("alone.csv")
    assert f"{FINAL_ONLY}: alone.manifest.json describes another alone.csv" in scored("alone.csv", *SCORE)[0]


def test_profiles_give_the_control_wells_of_a_submission(aligned_noise):
    _, own = scored("profiles.parquet", "--json", "score.json")
    _, found = scored("submission.csv", *SCORE, "--profiles", "profiles.parquet")
    assert found["dmso_position"]["value"] == own["dmso_position"]["value"] == 1.0
    for key in ("null", "cross_position", "plate", "verdict"):
        assert found[key] == own[key]
    _, picked = scored("profiles.parquet", "--ids", "metadata_test.csv", "--json", "score.json")  # a file has its controls
    assert picked["null"] == own["null"]
    assert picked["plate"] == own["plate"]


def test_all_wells_are_read_and_multiplied_once(aligned_noise, monkeypatch):
    made, of = [], Gram.of
    monkeypatch.setattr(board.Gram, "of", classmethod(lambda cls, rows, **how: made.append(len(rows)) or of(rows, **how)))
    monkeypatch.setattr(board, "read_features", lambda files: made.append(files[0].name) or read_features(files))
    _, found = scored("submission.csv", *SCORE, "--profiles", "profiles.parquet")
    wells = found["wells"]["scored"]
    everyone = len(read_features([Path("profiles.parquet")]).who)
    assert made[:3] == [wells, "profiles.parquet", everyone]
    assert made.count("profiles.parquet") == made.count(everyone) == 1  # for the companions and mAP together


def test_a_submission_of_some_wells_of_a_position_does_not_undo_alignment(aligned_noise):
    ids = pd.read_csv("metadata_test.csv")
    ids[ids["plate"] != "P1"].to_csv("metadata_test.csv", index=False)
    kit_command("export", "profiles.parquet", "--ids", "metadata_test.csv", "--out", "submission.csv")
    assert f"{FINAL_ONLY}: not all wells that were aligned are in the file" in "\n".join(scored("submission.csv", *SCORE)[0])
    _, found = scored("submission.csv", *SCORE, "--profiles", "profiles.parquet")
    assert found["null"]["align"] == 0.5
    assert found["null"]["value"] > 0.9


def test_a_file_of_rows_of_length_1_keeps_the_lengths_and_a_submission_reads_them_from_its_profiles(aligned_noise):
    _, long = scored("profiles.parquet", "--json", "score.json")
    write_profiles(post_process(made(features=96), align=0.5, l2=True), aligned_noise / "profiles.parquet")
    _, own = scored("profiles.parquet", "--json", "score.json")
    assert own["null"] == long["null"]  # by cosine
    kit_command("export", "profiles.parquet", "--ids", "metadata_test.csv", "--out", "submission.csv")
    assert f"{FINAL_ONLY}: the lengths of the rows before l2 are not known" in "\n".join(scored("submission.csv", *SCORE)[0])
    _, found = scored("submission.csv", *SCORE, "--profiles", "profiles.parquet", "--metric", "euclidean")
    assert found["null"]["value"] == own["null"]["value"]


def test_the_verdict_and_the_table_give_an_accuracy_one_interval():
    profiles = made()
    who = profiles.who
    keep_M = ((who["Metadata_Plate"] != "P1") | (who["Metadata_Well"] < "B05")).to_numpy()  # one plate has fewer wells
    result = kit.score(replace(profiles, who=who[keep_M].reset_index(drop=True), features_MF=profiles.features_MF[keep_M]))
    low, high = (f"{100 * bound:.1f}" for bound in result["directions"]["U2OS->U2OS"]["interval"])
    assert f" % [{low}, {high}]" in result["verdict"]["directions"]["U2OS->U2OS"]["text"]


def test_what_was_done_to_other_peoples_profiles_is_not_known(aligned_noise):
    pd.read_parquet("profiles.parquet").drop(columns="Metadata_is_control").to_csv("theirs.csv", index=False)
    kit_command("profile", "--from", "theirs.csv", "--out", "ours.parquet")
    lines, found = scored("ours.parquet", "--json", "score.json")
    assert f"{FINAL_ONLY}: {UNSEEN}" in lines
    assert found["verdict"]["value"] is None
    kit_command("profile", "--from", "theirs.csv", "--align", "0.9", "--out", "ours.parquet")
    lines, found = scored("ours.parquet", "--json", "score.json")
    assert found["null"]["align"] == 0.9  # of what is known
    assert f"no verdict: {UNSEEN}" in lines
    assert found["verdict"]["reason"] == found["verdict"]["directions"]["U2OS->U2OS"]["reason"] == UNSEEN


def test_the_user_vouches_for_other_peoples_profiles(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    profiles = made(compound=2.0)
    profiles.who.join(pd.DataFrame(profiles.features_MF, columns=list(profiles.names))).to_csv("theirs.csv", index=False)
    kit_command("profile", "--from", "theirs.csv", "--unaligned", "--out", "ours.parquet")
    assert scored("ours.parquet", "--json", "score.json")[1]["verdict"]["value"] == "signal"


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        ("profiles.parquet --profiles profiles.parquet", 2, "--profiles profiles.parquet: goes with a CSV that kit export wrote"),
        ("submission.csv --profiles other.parquet", 1, "was made from another file, profiles.parquet: checksums differ"),
        ("submission.csv --profiles nowhere.parquet", 2, "nowhere.parquet does not exist"),
        ("alone.csv --profiles profiles.parquet", 1, "alone.manifest.json is missing, which says what alone.csv was made from"),
        ("changed.csv --profiles profiles.parquet", 1, "changed.csv is not the file that changed.manifest.json describes"),
        ("submission.csv --shuffles 5", 2, "--shuffles 5: need at least 20 for a 95th percentile"),
    ],
)
def test_another_file_than_the_manifest_names_is_refused(aligned_noise, words, code, message):
    write_profiles(made(), aligned_noise / "other.parquet")
    shutil.copy("submission.csv", "alone.csv")
    shutil.copy("submission.csv", "changed.csv")
    change("changed.csv")
    shutil.copy("submission.manifest.json", "changed.manifest.json")
    assert message in kit_command("score", *words.split(), *SCORE, code=code).stderr
