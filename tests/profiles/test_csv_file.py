"""Profiles as CSV: the same table as the parquet, to the bit, and the same facts in the manifest beside it."""

import gzip
import hashlib

import numpy as np
import pandas as pd
import polars as pl
import pytest

from kit.challenge.features import read_features
from kit.errors import UsageError
from kit.profiles import csv_file
from kit.profiles.places import NINE_PLACES
from kit.profiles.profile import profile
from kit.profiles.table import Profiles, file_facts, read_facts, write_profiles

from .made_runs import make_runs


@pytest.fixture
def work(tmp_path):
    return make_runs(tmp_path, {"0012": NINE_PLACES})  # a barcode that looks like a number


@pytest.mark.parametrize("name", ["p.csv", "p.csv.gz"])
def test_the_csv_is_the_parquet_to_the_bit(work, name, tmp_path):
    made = profile(work, ["fluo"], tmp_path / name, align=0.9)
    profile(work, ["fluo"], tmp_path / "p.parquet", align=0.9)
    back, known = pd.read_csv(tmp_path / name, dtype={"Metadata_Plate": str}), pd.read_parquet(tmp_path / "p.parquet")
    assert list(back) == list(known) == [*made.who, *made.names]
    np.testing.assert_array_equal(back[list(made.names)].to_numpy(dtype=np.float32), made.features_MF)
    assert back["Metadata_Plate"].tolist() == known["Metadata_Plate"].tolist() == ["0012"] * 3
    assert back["Metadata_broad_sample"].fillna("").tolist() == ["BRD-A01", "BRD-A02", ""]
    csv, parquet = (read_features(tmp_path / file) for file in (name, "p.parquet"))
    np.testing.assert_array_equal(csv.features_MF, parquet.features_MF)
    pd.testing.assert_frame_equal(csv.who, parquet.who)
    assert csv.uses_well_position is parquet.uses_well_position is True


def test_the_manifest_holds_what_the_parquet_says_of_itself(work, tmp_path):
    made = profile(work, ["fluo"], tmp_path / "p.csv")
    said, facts = read_facts(tmp_path / "p.csv"), file_facts(made)
    assert {key: said[key] for key in facts if key != "rows"} == {key: facts[key] for key in facts if key != "rows"}
    assert (said["profiles"], said["rows"], said["columns"]) == ("p.csv", 3, 36)
    assert said["sha256"] == hashlib.sha256((tmp_path / "p.csv").read_bytes()).hexdigest()


def test_the_same_profiles_are_the_same_packed_bytes(work, tmp_path):
    one, two = tmp_path / "one.csv.gz", tmp_path / "two.csv.gz"
    for path in (one, two):
        profile(work, ["fluo"], path)
    assert one.read_bytes() == two.read_bytes()
    profile(work, ["fluo"], tmp_path / "plain.csv")
    assert gzip.decompress(one.read_bytes()) == (tmp_path / "plain.csv").read_bytes()


def test_a_write_that_fails_leaves_what_was_there(tmp_path, monkeypatch):
    who = pd.DataFrame({"Metadata_Plate": ["P"], "Metadata_Well": ["A01"]})
    one = Profiles(features_MF=np.ones((1, 1), dtype=np.float32), who=who, names=("f",))
    write_profiles(one, tmp_path / "p.csv")
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}

    def full(self, file):
        file.write(b"Metadata_Plate,Meta")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(pl.DataFrame, "write_csv", full)
    with pytest.raises(OSError, match=r"p\.csv"):
        write_profiles(one, tmp_path / "p.csv")
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_a_kill_between_the_two_files_leaves_no_other_tables_manifest(tmp_path, monkeypatch):
    who = pd.DataFrame({"Metadata_Plate": ["P"], "Metadata_Well": ["A01"]})
    one = Profiles(features_MF=np.ones((1, 1), dtype=np.float32), who=who, names=("f",))
    write_profiles(one, tmp_path / "p.csv")
    monkeypatch.setattr(csv_file, "write_manifest", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        write_profiles(one.after(one.features_MF, step="align", uses_well_position=True), tmp_path / "p.csv")
    assert read_facts(tmp_path / "p.csv") == {}  # unknown, not False


def test_the_manifest_of_the_packed_table_does_not_speak_for_another(work, tmp_path):
    profile(work, ["fluo"], tmp_path / "p.csv", align=0.9)
    profile(work, ["fluo"], tmp_path / "p.csv.gz")
    assert read_facts(tmp_path / "p.csv") == {}
    assert read_facts(tmp_path / "p.csv.gz")["uses_well_position"] is False
    (tmp_path / "p.csv").write_bytes(gzip.decompress((tmp_path / "p.csv.gz").read_bytes()))
    (tmp_path / "p.csv.gz").unlink()  # as gunzip does
    assert read_facts(tmp_path / "p.csv")["uses_well_position"] is False


@pytest.mark.parametrize("name", ["p.txt", "p", "p.tsv", "p.gz", "p.parquet.gz"])
def test_another_ending_is_refused_before_any_work(name, tmp_path):
    with pytest.raises(UsageError, match=r"use a name with one of these endings"):
        profile(None, ["fluo"], tmp_path / name)
