"""kit benchmark cell-dino: its table, its numbers, and what it says of bad input."""

import json

import pandas as pd
import pytest

from kit.probes import classify
from tests.commands import kit_command

from .made import cells


@pytest.fixture
def run(tmp_path, monkeypatch):
    """Write a table and run the benchmark on it at the command line."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(classify, "EPOCHS", 4)

    def of(table: pd.DataFrame, *options: str, code: int = 0):
        table.to_csv("x.csv", index=False)
        done = kit_command("benchmark", "cell-dino", "x.csv", "--runs", 2, *options, code=code)
        return done.stdout if code == 0 else done.stderr

    return of


def test_table_and_numbers(run, tmp_path):
    said = run(cells(), "--json", "x.json").splitlines()
    found = json.loads((tmp_path / "x.json").read_text())
    assert said[0].split() == ["Cell-DINO's", "evaluation", "sphered", "not", "sphered", "change", "chance", "shuffled"]
    of_score = found["tasks"]["mechanism"]["scores"]["logistic_auprc"]
    sphered, plain, shuffled = (of_score[name] for name in ("sphered", "plain", "shuffled"))
    spreads = [[f"{summary['mean']:.3f}", "±", f"{summary['sd']:.3f}"] for summary in (sphered, plain, shuffled)]
    change = f"{100 * (plain['mean'] / sphered['mean'] - 1):+.1f}"
    assert said[1].split()[3:] == [*spreads[0], *spreads[1], change, "%", "0.500", *spreads[2]]
    assert sphered["mean"] > 0.9
    assert sphered["mean"] == pytest.approx(sum(sphered["runs"]) / 2)
    assert said[9] == "180 cells of 36 wells, 3 plates, 8 treatments, 12 control wells, 5 features"
    assert said[10].startswith("mechanism (moa): 2 classes, 8 treatments, named from treatments;")
    assert said[11].startswith("treatment (broad_sample): 8 classes, 120 rows, 3 plates left out in turn; k = 5")
    assert said[12] == "sphering: fitted on 12 control wells, ridge 0.1; mean ± SD of 2 runs, seeds from 0 on"


def test_what_cannot_be_scored_says_why(run):
    table = cells(plates=2)
    said = run(table.drop(columns="Metadata_moa"))
    assert "mechanism: - (no column of mechanisms: --moa COLUMN names one)" in said
    said = run(table.assign(Metadata_moa="m0"), "--label", "broad_sample")
    assert "mechanism: - (need two mechanisms (moa) of 2 treatments each; m0 alone has them)" in said
    said = run(table[table["Metadata_broad_sample"] != ""], "--unit", "wells").splitlines()
    assert said[1].split()[3] == "-"
    assert said[-1].startswith("sphering: - (no control wells: --control VALUE names the control)")


@pytest.mark.parametrize(
    ("change", "options", "said"),
    [
        (lambda t: t, ["--moa", "mao"], "--moa mao: no such column; did you mean moa?"),
        (lambda t: t, ["--dose", "um"], "--dose um: no such column"),
        (lambda t: t.assign(Metadata_broad_sample=""), [], "no row has a broad_sample beside the controls: --label COLUMN"),
        (lambda t: t.drop(columns=["Metadata_broad_sample", "Metadata_moa"]), [], "x.csv has no column Metadata_<label>"),
        (lambda t: t.assign(Metadata_moa="m", Metadata_broad_sample="A"),
         [], "(need two treatments (broad_sample) in two wells each; A "),
        (lambda t: t.assign(x1=t["x1"].where(t.index > 3, float("inf"))), [], "x1 of row 1 (P0 A01) is inf"),
        (lambda t: t.drop(columns=[f"x{i}" for i in range(5)]), [], "has no numeric feature column"),
        (lambda t: t, ["--control", "water"], "--control water: no well has this"),
    ],
)  # fmt: skip
def test_what_it_refuses(run, change, options, said):
    usage = options or "Metadata_<label>" in said
    error = run(change(cells(plates=1)), *options, code=2 if usage else 1)
    assert said in error
    assert len(error.splitlines()) == 1
