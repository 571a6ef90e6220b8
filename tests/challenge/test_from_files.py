"""Anybody's profiles through the same steps: where plate, well and controls come from, and what is wrong with a file."""

import numpy as np
import pandas as pd
import pytest

from kit.challenge.from_files import Source, profiles_from
from kit.errors import KitError
from kit.profiles.normalise import normalise
from kit.profiles.table import Profiles, read_profiles, write_profiles

from ..commands import kit_command
from .conftest import compound_of_well, make_table


def cellprofiler(plates=("P1", "P2"), seed: int = 0) -> pd.DataFrame:
    """Four wells a plate, two of them DMSO, as the JUMP consortium writes them: an empty broad_sample, negcon."""
    rng = np.random.default_rng(seed)
    rows = [(plate, well) for plate in plates for well in ("A01", "A02", "B01", "B02")]
    table = pd.DataFrame(rows, columns=["Metadata_Plate", "Metadata_Well"])
    table["Metadata_broad_sample"] = [None if well in ("A01", "B02") else f"BRD-{well}" for _, well in rows]
    table["Metadata_control_type"] = ["negcon" if well in ("A01", "B02") else None for _, well in rows]
    values = rng.standard_normal((len(table), 3)) + 5
    return pd.concat([table, pd.DataFrame(values, columns=["Cells_a", "Nuclei_b", "Cytoplasm_c"])], axis=1)


def centred(table: pd.DataFrame) -> np.ndarray:
    values = table[["Cells_a", "Nuclei_b", "Cytoplasm_c"]].to_numpy()
    here = table["Metadata_Well"].isin(["A01", "B02"]).to_numpy()
    plates = table["Metadata_Plate"].to_numpy()
    return np.concatenate(
        [values[plates == plate] - values[here & (plates == plate)].mean(axis=0) for plate in np.unique(plates)]
    )


def write(table: pd.DataFrame, path) -> None:
    table.to_parquet(path) if path.suffix == ".parquet" else table.to_csv(path, index=False)


@pytest.mark.parametrize("name", ["p.parquet", "p.csv", "p.csv.gz"])
def test_cellprofilers_profiles_take_the_same_steps(tmp_path, name):
    write(cellprofiler(), tmp_path / name)
    said = kit_command("profile", "--from", tmp_path / name, "--normalize", "centre", "--out", tmp_path / "out.parquet")
    assert "8 wells of 2 plates x 3 features" in said.stdout
    made = read_profiles(tmp_path / "out.parquet")
    np.testing.assert_allclose(made.features_MF, centred(cellprofiler()), atol=1e-6)
    assert made.names == ("Cells_a", "Nuclei_b", "Cytoplasm_c")
    assert [step["step"] for step in made.steps] == ["from", "normalize"]
    assert made.steps[0]["files"][0]["file"] == name
    assert made.labels == {"perturbation": "Metadata_broad_sample", "control": "DMSO"}
    assert made.who["Metadata_is_control"].tolist() == [True, False, False, True] * 2


def test_two_files_are_one_set_and_plates_can_be_chosen(tmp_path):
    for plate in ("P1", "P2"):
        write(cellprofiler((plate,), seed=int(plate[1])), tmp_path / f"{plate}.csv")
    files = ("--from", tmp_path / "P1.csv", "--from", tmp_path / "P2.csv")
    kit_command("profile", *files, "--plates", "P2", "--out", tmp_path / "out.parquet")
    assert read_profiles(tmp_path / "out.parquet").who["Metadata_Plate"].tolist() == ["P2"] * 4
    said = kit_command("profile", *files, "--plates", "P3", "--out", tmp_path / "out.parquet", code=2)
    assert "--plates P3: " in said.stderr
    assert "has no such plate; did you mean P" in said.stderr


def test_kits_own_profiles_keep_their_steps(tmp_path):
    table = cellprofiler()
    who = table[["Metadata_Plate", "Metadata_Well"]].assign(Metadata_dose=["0", "1", "2", "0"] * 2)
    labels = {"perturbation": "Metadata_dose", "control": "0"}
    features = table[["Cells_a", "Nuclei_b"]].to_numpy(dtype=np.float32)
    step = {"step": "align", "a": 0.9, "uses_well_position": True}
    write_profiles(
        Profiles(features_MF=features, who=who, names=("a", "b"), steps=(step,), labels=labels), tmp_path / "p.parquet"
    )
    said = kit_command(
        "profile", "--from", tmp_path / "p.parquet", "--control", "0", "--normalize", "mad", "--out", tmp_path / "q.csv"
    )
    assert "uses the well position" in said.stdout
    kit_command("profile", "--from", tmp_path / "q.csv", "--l2", "--out", tmp_path / "r.parquet")
    again = read_profiles(tmp_path / "r.parquet")
    assert [step["step"] for step in again.steps] == ["align", "from", "normalize", "from", "l2"]
    assert again.labels == labels
    assert again.is_control_M.tolist() == [True, False, False, True] * 2


def test_row_and_column_and_other_names_of_a_well(tmp_path):
    table = cellprofiler()
    other = table.drop(columns=["Metadata_Plate", "Metadata_Well"])
    other.insert(0, "Barcode", table["Metadata_Plate"])
    other.insert(1, "Metadata_Row", table["Metadata_Well"].str[0])
    other.insert(2, "Metadata_Col", table["Metadata_Well"].str[1:].astype(int))
    write(other, tmp_path / "p.csv")
    kit_command("profile", "--from", tmp_path / "p.csv", "--normalize", "centre", "--out", tmp_path / "out.parquet")
    made = read_profiles(tmp_path / "out.parquet")
    assert made.who["Metadata_Well"].tolist() == table["Metadata_Well"].tolist()
    np.testing.assert_allclose(made.features_MF, centred(table), atol=1e-6)
    write(table.assign(Metadata_Well=table["Metadata_Well"].str.lower().str.replace("0", "")), tmp_path / "a1.csv")
    kit_command("profile", "--from", tmp_path / "a1.csv", "--out", tmp_path / "out.parquet")
    assert read_profiles(tmp_path / "out.parquet").who["Metadata_Well"].tolist() == table["Metadata_Well"].tolist()


def test_labels_of_a_table(tmp_path):
    table = cellprofiler()
    write(table.drop(columns=["Metadata_broad_sample", "Metadata_control_type"]), tmp_path / "p.csv")
    wells = table[["Metadata_Plate", "Metadata_Well"]].assign(drug=["water", "x", "y", "water"] * 2)
    wells.to_csv(tmp_path / "labels.csv", index=False)
    options = ("--labels", tmp_path / "labels.csv", "--perturbation", "drug", "--control", "water", "--normalize", "centre")
    kit_command("profile", "--from", tmp_path / "p.csv", *options, "--out", tmp_path / "out.parquet")
    made = read_profiles(tmp_path / "out.parquet")
    np.testing.assert_allclose(made.features_MF, centred(table), atol=1e-6)
    assert made.labels == {"perturbation": "Metadata_drug", "control": "water"}
    assert made.who["Metadata_drug"].tolist() == ["water", "x", "y", "water"] * 2
    assert normalise(made, "centre").is_control_M.sum() == 4


def test_a_compound_that_the_plate_map_does_not_know_there_is_an_error(metadata, tmp_path):
    table = make_table()
    samples = table["Metadata_Well"].map(compound_of_well()).where(table.index != 3, "BRD-9")
    write(table.assign(Metadata_broad_sample=samples), tmp_path / "p.csv")
    with pytest.raises(KitError, match=r"well A04 of plate U1: the features say .* BRD-9, the plate map says BRD-3"):
        profiles_from(Source(files=(tmp_path / "p.csv",), metadata=metadata))


BAD = [
    (lambda t: t.assign(Nuclei_b=t["Nuclei_b"].where(t.index != 3)), (), 1, "Nuclei_b of row 4 (P1 B02) is nan"),
    (lambda t: pd.concat([t, t.iloc[:1]]), (), 1, "plate P1 well A01 appears in more than one row"),
    (lambda t: t.assign(Metadata_Well="Z99"), (), 1, "Z99"),
    (lambda t: t.drop(columns="Metadata_Plate"), (), 2, "no column looks like the plate"),
    (lambda t: t.assign(Metadata_control_type=""), ("--normalize", "centre"), 1, "plate P1 has 0 DMSO wells"),
    (lambda t: t[["Metadata_Plate", "Metadata_Well"]], (), 1, "has no numeric feature column"),
    (lambda t: t, ("--merge", "mean"), 2, "--from takes profiles, a row a well: --merge belongs to --run"),
    (lambda t: t, ("--whiten-on", "sites"), 2, "--whiten-on belongs to --run"),
    (lambda t: t, ("--control", "water"), 2, "--control water: name its column with --perturbation"),
    (lambda t: t, ("--control", "DMSO", "--perturbation", "broad_sampel"), 2, "no such column; did you mean broad_sample"),
    (lambda t: t, ("--control", "BRD", "--perturbation", "broad_sample"), 2, "no well has this broad_sample"),
]  # fmt: skip


@pytest.mark.parametrize(("change", "options", "code", "message"), BAD)
def test_what_is_wrong_is_one_line(tmp_path, change, options, code, message):
    write(change(cellprofiler()), tmp_path / "p.csv")
    said = kit_command("profile", "--from", tmp_path / "p.csv", *options, "--out", tmp_path / "out.parquet", code=code)
    assert message in said.stderr
    assert said.stderr.count("\n") == 1
    assert not (tmp_path / "out.parquet").exists()


def test_features_with_missing_values_can_be_left_out(tmp_path):
    table = cellprofiler()
    table.loc[3, "Nuclei_b"] = np.nan
    table.loc[1, "Cells_a"] = np.inf
    table["Nuclei_none"] = np.nan
    write(table, tmp_path / "p.parquet")
    said = kit_command("profile", "--from", tmp_path / "p.parquet", "--drop-missing", "--out", tmp_path / "out.parquet")
    assert "3 features with missing or infinite values left out: Cells_a, Nuclei_b, Nuclei_none" in said.stderr
    made = read_profiles(tmp_path / "out.parquet")
    assert made.names == ("Cytoplasm_c",)
    assert made.steps[0]["missing_dropped"] == ["Cells_a", "Nuclei_b", "Nuclei_none"]
    write(table.assign(Cytoplasm_c=np.inf), tmp_path / "p.parquet")
    said = kit_command("profile", "--from", tmp_path / "p.parquet", "--drop-missing", "--out", tmp_path / "none.parquet", code=1)
    assert "p.parquet has no feature column without a missing or infinite value: Cells_a, " in said.stderr


def test_a_verb_without_a_source_says_what_to_give(tmp_path):
    said = kit_command("profile", "--out", tmp_path / "p.parquet", code=2)
    assert "--work is missing: give --work and --run, or --from FILES" in said.stderr
    said = kit_command("profile", "--work", tmp_path, "--run", "a", "--control", "x", "--out", tmp_path / "p.parquet", code=2)
    assert "--control belongs to --from: a work folder has its labels" in said.stderr
