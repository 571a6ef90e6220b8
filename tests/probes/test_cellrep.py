"""kit benchmark cellrep: its numbers against scikit-learn written out, what is left out, and what it says of bad input."""

import json

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import precision_score

from kit.probes.cellrep import cellrep
from kit.probes.rows import Asked
from tests.commands import kit_command

from .made import cells


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def score(folder, table: pd.DataFrame, **options) -> dict:
    table.to_csv(folder / "x.csv", index=False)
    return cellrep([folder / "x.csv"], asked=Asked(), runs=1, **options)


def test_scores_are_those_of_a_logistic_regression_written_out(folder):
    table = cells(plates=4, treatments=6, mechanisms=3, features=4)
    found = score(folder, table, hold_out="plates")
    names = [f"x{i}" for i in range(4)]
    fields = table[table["Metadata_moa"] != ""].groupby(["Metadata_Plate", "Metadata_Well", "Metadata_Site"])
    wells = fields[names].mean().groupby(["Metadata_Plate", "Metadata_Well"]).mean().astype(np.float32)
    moa = fields["Metadata_moa"].first().groupby(["Metadata_Plate", "Metadata_Well"]).first().to_numpy()
    plate = wells.index.get_level_values(0).to_numpy()
    said = np.full_like(moa, "")
    for one in np.unique(plate):
        train = wells.to_numpy(np.float64)[plate != one]
        scaled = [(x - train.mean(0)) / train.std(0) for x in (train, wells.to_numpy(np.float64)[plate == one])]
        said[plate == one] = LogisticRegression(max_iter=1000).fit(scaled[0], moa[plate != one]).predict(scaled[1])
    runs = {name: found["scores"][name]["plain"]["runs"][0] for name in ("top1", "precision")}
    precision = precision_score(moa, said, average="weighted", zero_division=0)
    assert runs == {"top1": pytest.approx((said == moa).mean()), "precision": pytest.approx(precision)}
    assert (found["classes"], found["rows"], found["groups"]) == (3, 24, 4)
    assert found["chance"] == {"top1": pytest.approx(1 / 3), "precision": pytest.approx(1 / 9)}


def test_a_memory_for_compounds_does_not_count(folder):
    """Every treatment has a mark of its own that says nothing of its mechanism."""
    table = cells(plates=3, treatments=8, mechanisms=2, features=8)
    marks = 20 * np.eye(8)[table["Metadata_broad_sample"].str[4:].replace("", "0").astype(int)]
    table[[f"x{i}" for i in range(8)]] = marks + 0.01 * np.random.default_rng(0).normal(size=marks.shape)
    assert score(folder, table)["scores"]["top1"]["plain"]["mean"] < 0.6
    by_plates = score(folder, table, hold_out="plates")["scores"]["top1"]
    assert by_plates["plain"]["mean"] == 1
    assert by_plates["shuffled"]["mean"] == 1  # it says so


def test_the_most_frequent_and_no_mechanism_of_one_treatment(folder):
    table = cells(plates=2, treatments=9, mechanisms=4)  # m0 has three treatments, the others two
    assert score(folder, table, most=2)["rows"] == 2 * (3 + 2)
    lone = table.assign(Metadata_moa=table["Metadata_moa"].where(table["Metadata_broad_sample"] != "BRD-01", "m9"))
    found = score(folder, lone, unit="rows")
    assert (found["classes"], found["rows"], found["treatments"]) == (3, 2 * 7 * 5, 7)  # m1 has one left, m9 one


def test_table_and_numbers_at_the_command_line(folder):
    cells().to_csv("x.csv", index=False)
    said = kit_command("benchmark", "cellrep", "x.csv", "--runs", 2, "--json", "x.json").stdout.splitlines()
    of = json.loads((folder / "x.json").read_text())
    top1 = of["scores"]["top1"]["plain"]
    assert said[0].split() == ["CellRep's", "evaluation", "logistic", "chance", "shuffled"]
    assert said[1].split()[:5] == ["top-1", f"{top1['mean']:.3f}", "±", f"{top1['sd']:.3f}", "0.500"]
    assert said[3] == "moa: the 2 most frequent, 8 treatments, 24 wells, 5 features"
    assert said[4] == "8 treatments left out in turn, five folds; mean ± SD of 2 runs, seeds from 0 on"


@pytest.mark.parametrize(
    ("change", "options", "said"),
    [
        (lambda t: t.drop(columns="Metadata_moa"), [], "x.csv has no column of mechanisms: --moa COLUMN names one"),
        (lambda t: t, ["--moa", "mao"], "--moa mao: no such column; did you mean moa?"),
        (
            lambda t: t,
            ["--moa", "broad_sample"],
            "need two mechanisms (broad_sample) in two treatments each; none is",
        ),
        (lambda t: t, ["--hold-out", "plate"], "Invalid value for '--hold-out': 'plate'"),
    ],
)
def test_what_it_refuses(folder, change, options, said):
    change(cells(plates=1)).to_csv("x.csv", index=False)
    code = 1 if "broad_sample" in options else 2
    assert said in kit_command("benchmark", "cellrep", "x.csv", *options, code=code).stderr
