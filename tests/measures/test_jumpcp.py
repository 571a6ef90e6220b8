"""The JUMP-CP benchmark: its numbers, when they may stand beside published ones, and what it refuses."""

import json

import numpy as np
import pandas as pd
import pytest

from kit.measures.jumpcp import PLATES, jumpcp
from tests.challenge.conftest import compound_of_well, make_table
from tests.commands import kit_command

from .made import RECORD


def table_of(plates=PLATES, **options) -> pd.DataFrame:
    table = make_table(plates, **options)
    sample = table["Metadata_Well"].map(compound_of_well())
    return table.assign(Metadata_broad_sample=sample)


@pytest.fixture
def run(tmp_path, monkeypatch):
    """Write a table and run the benchmark on it at the command line."""
    monkeypatch.chdir(tmp_path)

    def of(table: pd.DataFrame, *options: str, code: int = 0):
        table.to_csv("x.csv", index=False)
        done = kit_command("benchmark", "jumpcp", "x.csv", *options, code=code)
        return done.stdout if code == 0 else done.stderr

    return of


def test_seven_plates_stand_beside_published_numbers(run, tmp_path):
    said = run(table_of(signal=3.0), "--json", "x.json").splitlines()
    found = json.loads((tmp_path / "x.json").read_text())
    assert said[0].split("  ")[0] == "JUMP-CP, U2OS"
    assert said[1].split() == ["these", "features", f"{found['active']:.3f}", f"{found['map_of_active']:.3f}"]
    assert said[2].split() == ["CellProfiler,", "published", "0.817", "0.587"]
    assert (found["comparable"], found["missing"], found["compounds"], found["controls"]) == (True, [], 10, 21)
    assert found["active"] > 0.9


def test_fewer_plates_do_not(run):
    said = run(table_of(PLATES[:5]))
    assert "CellProfiler" not in said
    assert said.splitlines()[-1] == ("not comparable with published numbers: 5 of 7 plates; BR00117025, BR00117026 are missing")


def test_inactive_compounds_count_as_zero(tmp_path):
    table_of(signal=2.0).to_csv(tmp_path / "x.csv", index=False)
    found = jumpcp([tmp_path / "x.csv"], draws=0)
    assert 0 < found["active"] < 1
    assert found["map_of_active"] < found["map"]


def test_other_plates_and_features_with_gaps_are_left_out(run):
    table = table_of()
    alone = run(table)
    gap = table.assign(extra=np.where(table.index == 3, np.nan, 7.0))
    more = run(pd.concat([gap, table_of(["OTHER"]).assign(extra=1.0)]))
    assert more == alone.replace("6 features", "6 features (1 with a gap left out)")


def test_labels_of_the_files_and_of_the_tables_give_the_same(run, tmp_path):
    official = tmp_path / "official"
    official.mkdir()
    wells = compound_of_well()
    pd.DataFrame({"well_position": list(wells), "broad_sample": list(wells.values())}).to_csv(
        official / "map_platemap.txt", sep="\t", index=False
    )
    plates = pd.DataFrame({"Batch": "b", "Plate_Map_Name": "map_platemap", "Assay_Plate_Barcode": PLATES, "Cell_type": "U2OS"})
    plates.to_csv(official / "experiment-metadata.tsv", sep="\t", index=False)
    names = pd.DataFrame(columns=["broad_sample", "InChIKey", "pert_iname", "pert_type", "control_type"])
    names.to_csv(official / "map_metadata.tsv", sep="\t", index=False)
    table = table_of()
    assert run(table.drop(columns="Metadata_broad_sample"), "--metadata", "official") == run(table)
    assert run(table.replace({"Metadata_broad_sample": {"": "DMSO"}})) == run(table)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda t: t.assign(Metadata_Plate="P" + t["Metadata_Plate"]), "has none of the benchmark's plates, BR00117010, "),
        (lambda t: t[t["Metadata_broad_sample"] != ""], "no DMSO well on BR00117010"),
        (lambda t: t.rename(columns={"Metadata_broad_sample": "Metadata_x"}), "no column Metadata_broad_sample: give --metadata"),
        (lambda t: pd.concat([t, t[:1]]), "plate BR00117010 well A01 appears in more than one row"),
        (lambda t: t.assign(**{f"x{index}": np.nan for index in range(6)}), "has no numeric feature column"),
        (lambda t: t.assign(**{f"x{index}": t["x0"].where(t.index > 0) for index in range(6)}), "no feature column without a"),
        (lambda t: t.replace({"x2": {t["x2"][0]: np.inf}}), "x2 of row 1 (BR00117010 A01) is inf"),
    ],
)  # fmt: skip
def test_what_it_refuses(run, change, said):
    table = change(table_of(PLATES[:2]))
    error = run(table, code=2 if "give --metadata" in said else 1)
    assert said in error
    assert len(error.splitlines()) == 1


def test_real_plates_give_what_copairs_gives(real_data):
    folder, theirs = real_data / "cpjump1_features_cellprofiler", json.loads(RECORD.read_text())["real"]
    found = jumpcp([folder], draws=0)
    assert found["map"] == pytest.approx(theirs["map"], abs=1e-7)
    assert found["active"] == theirs["retrieved"] == pytest.approx(0.692810, abs=1e-6)
    assert found["map_of_active"] == pytest.approx(0.529135, abs=1e-6)
