"""Scores for any labels and groups: from the official tables, a lab's own file, or the features' own columns."""

import json
import shlex
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

import kit
from kit.challenge.score import score, scores_text
from kit.errors import KitError, UsageError
from kit.profiles.table import Profiles, write_profiles
from tests.commands import kit_command

from .conftest import PLATES, compound_of_well, make_table

LINES = PLATES | {"H1": "HeLa", "H2": "HeLa", "H3": "HeLa"}


def own_table(plates=tuple(PLATES), **columns) -> pd.DataFrame:
    """Features with a lab's own columns: compound (DMSO where it is the control) and the cell line."""
    table = make_table(plates)
    compounds = table["Metadata_Well"].map(compound_of_well()).replace("", "DMSO")
    return table.assign(Metadata_compound=compounds, Metadata_Cell_type=table["Metadata_Plate"].map(LINES)).assign(**columns)


def labels_file(table: pd.DataFrame, path, **columns):
    wells = table[["Metadata_Plate", "Metadata_Well", "Metadata_compound", "Metadata_Cell_type"]]
    wells = wells.rename(columns=lambda name: name.removeprefix("Metadata_")).assign(**columns)
    wells.to_csv(path, index=False)
    return path


def bare(table: pd.DataFrame) -> pd.DataFrame:
    return table.drop(columns=[name for name in table if name.startswith("Metadata_") and name[9:] not in ("Plate", "Well")])


def test_other_lines_score_as_the_challenge_s_do(metadata, tmp_path):
    """The same plates under another name of the line: the same numbers."""
    plates = tuple(plate for plate, line in PLATES.items() if line == "U2OS")
    expected = score(make_table(plates), metadata)["directions"]["U2OS->U2OS"]
    own = score(own_table(plates, Metadata_Cell_type="HeLa"), label="compound", control="DMSO")
    assert own["directions"] == {"HeLa->HeLa": expected}
    assert (own["mean"], own["mean_of"], own["group"]) == (expected["accuracy"], ["HeLa->HeLa"], "Cell_type")
    renamed = tmp_path / "metadata"
    renamed.mkdir()
    for path in metadata.iterdir():
        (renamed / path.name).write_text(path.read_text().replace("U2OS", "HeLa").replace("A549", "HEK"))
    assert score(make_table(plates), renamed)["directions"] == own["directions"]
    assert score(make_table(), renamed)["directions"] == {
        name.replace("U2OS", "HeLa").replace("A549", "HEK"): value
        for name, value in sorted(score(make_table(), metadata)["directions"].items())
    }


def test_three_groups_give_nine_directions_each_as_if_it_were_alone():
    table = own_table(tuple(LINES))
    result = score(table, label="compound", control="DMSO", seeds=2)
    lines = ("U2OS", "A549", "HeLa")
    assert list(result["directions"]) == [f"{source}->{target}" for source in lines for target in lines]
    pair = table[table["Metadata_Cell_type"] != "A549"]
    alone = score(pair, label="compound", control="DMSO", seeds=2)["directions"]
    assert alone == {name: result["directions"][name] for name in alone}
    assert set(alone) == {"U2OS->U2OS", "U2OS->HeLa", "HeLa->U2OS", "HeLa->HeLa"}
    rows = [line.split() for line in scores_text(result).splitlines()]
    for name, direction in result["directions"].items():  # a line for each
        assert [name, f"{100 * direction['accuracy']:.1f}"] in [row[:2] for row in rows]
    assert ["mean", f"{100 * result['mean']:.1f}"] in rows


def test_the_file_s_own_columns_score_as_the_tables_do(metadata):
    table = own_table(Metadata_is_control=lambda own: own["Metadata_compound"] == "DMSO")
    own = score(table, label="Metadata_compound")
    assert own["directions"] == score(make_table(), metadata)["directions"]
    assert (own["label"], own["labels"], own["chance"]) == ("compound", "the file's own columns", 1 / 10)
    assert own["wells"] == {"scored": 84, "controls": 21, "unlabelled": 0, "ungrouped": 0}
    assert "labels: the file's own columns\n21 controls left out" in scores_text(own)
    assert score(table, label="COMPOUND", control="DMSO")["directions"] == own["directions"]


def test_labels_of_one_plate_are_counted():
    table = own_table()
    lone = table.assign(Metadata_compound=table["Metadata_compound"].mask(table.index < 2, "new"))
    notes = score(lone, label="compound", control="DMSO")["notes"]
    assert "1 of 11 labels are on one plate only: their wells cannot be recognised" in notes
    assert not [note for note in score(table, label="compound", control="DMSO")["notes"] if "one plate only" in note]


def test_without_a_known_control_every_label_is_a_class():
    result = score(own_table(), label="compound")
    assert result["chance"] == 1 / 11
    assert result["wells"]["controls"] is None
    assert "controls unknown" in scores_text(result)
    none = score(own_table(Metadata_is_control=False), label="compound")  # a store without --control says so of every well
    assert none["directions"] == result["directions"]
    assert none["wells"]["controls"] is None


def test_the_recorded_perturbation_is_the_default_label(tmp_path):
    table = own_table(Metadata_is_control=lambda own: own["Metadata_compound"] == "DMSO", Metadata_dose="1 uM")
    who = table.filter(like="Metadata_")
    profiles = Profiles(features_MF=bare(table).iloc[:, 2:].to_numpy(np.float32), who=who, names=tuple("abcdef"),
                        labels={"perturbation": "Metadata_compound", "control": "DMSO"})  # fmt: skip
    write_profiles(profiles, tmp_path / "profiles.parquet")
    result = score(tmp_path / "profiles.parquet")
    assert result == score(profiles)
    assert result == score(table, label="compound") | {"uses_well_position": False}
    with pytest.raises(
        UsageError, match=r"^name the column of the labels with --label; the file's own columns are compound, Cell_type, dose"
    ):
        score(table)


def test_the_recorded_control_is_looked_for_in_the_file_of_labels(tmp_path):
    """A control of the features' day that the labels now call a drug is no control passed over, but a disagreement."""
    table = own_table(Metadata_is_control=lambda own: own["Metadata_compound"] == "DMSO")
    profiles = Profiles(features_MF=bare(table).iloc[:, 2:].to_numpy(np.float32), who=table.filter(like="Metadata_"),
                        names=tuple("abcdef"), labels={"perturbation": "Metadata_compound", "control": "DMSO"})  # fmt: skip
    path = labels_file(table, tmp_path / "labels.csv")
    assert score(profiles, labels=path)["directions"] == score(profiles)["directions"]
    unmarked = replace(profiles, who=profiles.who.drop(columns=["Metadata_compound", "Metadata_is_control"]))
    assert score(unmarked, labels=path)["directions"] == score(profiles)["directions"]
    path.write_text(path.read_text().replace("U1,C01,DMSO", "U1,C01,BRD-4"))
    with pytest.raises(KitError, match=r"well C01 of plate U1: the features say Metadata_compound DMSO, labels\.csv says BRD-4"):
        score(profiles, labels=path)


def test_a_lab_s_file_of_labels(tmp_path, metadata):
    table = own_table()
    path = labels_file(table, tmp_path / "labels.csv", moa=table["Metadata_compound"].str.replace("BRD-1", "BRD-0"))
    result = score(bare(table), labels=path, label="compound", control="DMSO")
    assert result["directions"] == score(make_table(), metadata)["directions"]
    assert result["labels"] == "labels.csv"
    assert score(bare(table), labels=path, label="moa", control="DMSO")["chance"] == 1 / 9
    by_perturbation = score(bare(table), labels=path, perturbation="compound", control="DMSO")
    assert by_perturbation["directions"] == result["directions"]
    with pytest.raises(UsageError, match=r"--control DMSO: no well has this Cell_type; it stands in compound and moa: name"):
        score(bare(table), labels=path, label="Cell_type", control="DMSO")
    with pytest.raises(UsageError, match="--label drug: no such column; there are: compound, Cell_type, moa"):
        score(bare(table), labels=path, label="drug")


def test_what_the_labels_lack_is_left_out(tmp_path):
    table = own_table()
    path = labels_file(table[table["Metadata_Plate"] != "A4"], tmp_path / "labels.csv")
    result = score(bare(table), labels=path, label="compound", control="DMSO")
    assert result["directions"] == score(table[table["Metadata_Plate"] != "A4"], label="compound", control="DMSO")["directions"]
    assert "labels.csv has no plate A4" in result["notes"]
    with pytest.raises(KitError, match=r"labels.csv has no plate of the table \(A4\); it has: U1, U2, U3"):
        score(bare(table[table["Metadata_Plate"] == "A4"]), labels=path)


def test_wells_without_a_label_are_neither_control_nor_class():
    table = own_table(Metadata_is_control=lambda own: own["Metadata_compound"] == "DMSO")
    blank = (table["Metadata_Plate"] == "U1") & table["Metadata_Well"].isin(["A01", "A02", "B03"])
    for nothing in ("", None, " "):
        result = score(table.assign(Metadata_compound=table["Metadata_compound"].mask(blank, nothing)), label="compound")
        assert result["directions"] == score(table[~blank], label="compound")["directions"]
        assert result["wells"] == {"scored": 81, "controls": 21, "unlabelled": 3, "ungrouped": 0}
        assert "3 wells without a label (compound) left out" in scores_text(result)


def test_a_compound_without_the_label_asked_for_is_left_out_of_the_challenge_too(metadata, tmp_path):
    lacking = tmp_path / "metadata"
    lacking.mkdir()
    for path in metadata.iterdir():
        (lacking / path.name).write_text(path.read_text().replace("KEY-4", ""))
    result, whole = score(make_table(), lacking, label="inchikey"), score(make_table(), metadata, label="inchikey")
    assert result["notes"] == ["7 wells without a label (InChIKey) left out"]
    assert result["wells"] == {"scored": 77, "dmso": 21, "of_other_lines": 0, "unlabelled": 7}
    assert result["chance"] == 1 / 9
    assert list(result["directions"]) == list(whole["directions"])


def test_without_cell_lines_all_wells_are_one_group():
    table = own_table().drop(columns="Metadata_Cell_type")
    result = score(table, label="compound", control="DMSO")
    assert list(result["directions"]) == ["all->all"]
    assert result["directions"]["all->all"]["n_test"] == 12 * 7
    assert result["group"] is None
    assert "no Metadata_Cell_type: all wells are one group" in scores_text(result)
    blank = score(table.assign(Metadata_Cell_type=""), label="compound", control="DMSO")
    assert blank["directions"] == result["directions"]
    alone = score(table[table["Metadata_Plate"] == "U1"], label="compound", control="DMSO")["directions"]["all->all"]
    assert alone == {"accuracy": None, "reason": "only one plate: no other is left to train on"}


def test_a_group_that_is_no_cell_line_is_called_a_group():
    table = own_table(Metadata_Time=[24 if plate == "U1" else 48 for plate in make_table()["Metadata_Plate"]])
    directions = score(table, label="compound", control="DMSO", group="Time")["directions"]
    assert directions["24->24"]["reason"] == "only one plate in group 24: no other is left to train on"
    assert directions["24->48"]["reason"].startswith("a group with one plate leaves none to train on")


def test_any_column_groups_and_wells_without_a_group_are_left_out():
    table = own_table(
        Metadata_Time=[24.0 if plate in ("U1", "U2", "A1", "A2") else 5.0 for plate in make_table()["Metadata_Plate"]]
    )
    result = score(table, label="compound", control="DMSO", group="Time")
    assert list(result["directions"]) == ["5->5", "5->24", "24->5", "24->24"]
    assert result["directions"]["24->24"]["n_folds"] == 4
    lone = table.assign(Metadata_Time=table["Metadata_Time"].mask(table["Metadata_Plate"] == "A2"))
    fewer = score(lone, label="compound", control="DMSO", group="Metadata_Time")
    assert (
        fewer["directions"]
        == score(table[table["Metadata_Plate"] != "A2"], label="compound", control="DMSO", group="Time")["directions"]
    )
    assert "12 wells without a group (Time) left out" in fewer["notes"]
    with pytest.raises(UsageError, match="--group Tme: no such column; did you mean Time"):
        score(table, label="compound", group="Tme")
    with pytest.raises(KitError, match="well A01 of plate U1: a group named U2OS->x"):
        score(table.assign(Metadata_Cell_type="U2OS->x"), label="compound")


def test_what_cannot_be_scored_says_why_and_hides_nothing_else():
    table = own_table(tuple(LINES))
    few = table[(table["Metadata_Cell_type"] != "HeLa") | table["Metadata_Well"].isin(["A01", "A02"])]
    directions = score(few, label="compound", control="DMSO")["directions"]
    assert directions["HeLa->HeLa"] == {"accuracy": None, "reason": "a fold has only 4 training wells: use a smaller --k than 5"}
    assert directions["U2OS->HeLa"]["accuracy"] is not None
    apart = table.assign(Metadata_compound=table["Metadata_compound"] + table["Metadata_Cell_type"].replace("A549", "U2OS"))
    directions = score(apart, label="compound")["directions"]
    assert "no label of a tested well" in directions["U2OS->HeLa"]["reason"]
    said = scores_text(score(apart, label="compound"))
    assert [line.split()[0] for line in said.splitlines()[1:6]] == [
        "U2OS->U2OS",
        "U2OS->A549",
        "A549->U2OS",
        "A549->A549",
        "HeLa->HeLa",
    ]
    assert "U2OS->HeLa, A549->HeLa, HeLa->U2OS, HeLa->A549: no label of a tested well is on another plate that trains" in said
    assert directions["U2OS->A549"]["accuracy"] is not None
    alone = table[table["Metadata_Plate"].isin(["U1", "A1", "H1"])]
    said = scores_text(score(alone, label="compound")).splitlines()
    assert [line.split()[0] for line in said[:3]] == ["%", "mean", "chance"], "no direction of nine has a value"
    assert "U2OS->U2OS: only one U2OS plate: no other is left to train on" in said
    one = table.assign(Metadata_compound=table["Metadata_compound"].mask(table["Metadata_Cell_type"] == "HeLa", "taxol"))
    directions = score(one, label="compound", control="DMSO")["directions"]  # each HeLa well would be "recognised"
    assert directions["HeLa->HeLa"] == {"accuracy": None, "reason": "all wells that train have one label: nothing to tell apart"}


@pytest.mark.parametrize(
    ("column", "message"),
    [
        ("compound", "well A02 of plate U2: the features say Metadata_compound wrong, labels.csv says BRD-1"),
        ("Cell_type", "well A02 of plate U2: the features say Metadata_Cell_type wrong, labels.csv says U2OS"),
    ],
)
def test_a_disagreement_names_the_well(tmp_path, column, message):
    table = own_table()
    path = labels_file(table, tmp_path / "labels.csv")
    row = (table["Metadata_Plate"] == "U2") & (table["Metadata_Well"] == "A02")
    wrong = table.assign(**{f"Metadata_{column}": table[f"Metadata_{column}"].mask(row, "wrong")})
    with pytest.raises(KitError, match=message):
        score(wrong, labels=path, label="compound")
    with pytest.raises(KitError, match=r"well A02 of plate U2: the features say Metadata_Cell_type HeLa, labels.csv says U2OS"):
        score(table.assign(Metadata_Cell_type=table["Metadata_Cell_type"].mask(row, "HeLa")), labels=path, label="compound")


@pytest.fixture
def plate_files(tmp_path):
    table = own_table(Metadata_is_control=lambda own: own["Metadata_compound"] == "DMSO")
    for plate in ("U1", "U2", "U3"):
        table[table["Metadata_Plate"] == plate].to_parquet(tmp_path / f"{plate}.parquet")
    return tmp_path


def test_plates_in_files_of_their_own_are_scored_together(plate_files, monkeypatch):
    monkeypatch.chdir(plate_files)
    words = ("score", "U1.parquet", "U2.parquet", "U3.parquet", "--label", "compound", "--json", "score.json")
    said = kit_command(*words, code=1)
    assert said.stderr == (
        "kit: nothing was scored: each file holds one plate, so none has another to train on: "
        "add --together to score the files as one set\n"
    )
    kept = json.loads((plate_files / "score.json").read_text())["files"]["U2.parquet"]
    assert kept["directions"] == {"U2OS->U2OS": {"accuracy": None, "reason": "only one U2OS plate: no other is left to train on"}}
    kit_command(*words, "--together")
    kept = json.loads((plate_files / "score.json").read_text())
    assert kept["directions"] == score(own_table(("U1", "U2", "U3")), label="compound", control="DMSO")["directions"]
    assert kit.score(["U1.parquet", "U2.parquet", "U3.parquet"], label="compound", together=True) == kept
    again = kit_command("score", "U1.parquet", "U1.parquet", "--together", code=1).stderr
    assert "plate U1 well A01 appears in more than one row; a table has a row a well" in again
    assert "and files of one set hold different wells" in again
    table = pd.read_parquet("U3.parquet").rename(columns={"x0": "y0"})
    table.to_parquet("U3.parquet")
    assert "x0 is a column in only one of U1.parquet and U3.parquet" in kit_command(*words, "--together", code=1).stderr
    assert "nothing was scored: U2OS->U2OS: only one U2OS plate" in kit_command(*words[:2], *words[4:], code=1).stderr


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("--metadata . --labels labels.csv", "--metadata and --labels both say what is in a well: give one of them"),
        ("--label compund", "--label compund: no such column; did you mean compound?"),
        ("--label compound --control DSMO", "--control DSMO: no well has this compound; did you mean DMSO?"),
        ("--label compound --group ''", "--group is empty: give a column, or omit the option"),
        ("--labels nowhere.csv", "nowhere.csv does not exist"),
    ],
)
def test_bad_options_are_one_line(plate_files, monkeypatch, words, message):
    monkeypatch.chdir(plate_files)
    error = kit_command("score", "U1.parquet", *shlex.split(words), code=2).stderr
    assert message in error
    assert len(error.splitlines()) == 1


def test_features_without_any_label_need_tables():
    table = bare(own_table())
    with pytest.raises(UsageError, match="the table has no column Metadata_<label>: give --metadata DIR or --labels FILE"):
        score(table)
    with pytest.raises(KitError, match=r"nothing to score; 21 controls .* left out"):
        score(own_table().query("Metadata_compound == 'DMSO'"), label="compound", control="DMSO")
