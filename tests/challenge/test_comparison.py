"""Feature sets beside the first one: differences, their intervals, the test over wells."""

import numpy as np
import pandas as pd
import pytest
from scipy.stats import binomtest

from kit.challenge.comparison import compare
from kit.challenge.further_text import comparison_lines, short_names
from kit.challenge.score import score, scores_text

from .conftest import make_table


def wells_of(right: list[float], plates: str) -> pd.DataFrame:
    wells = [f"A{index:02d}" for index in range(len(right))]
    index = pd.MultiIndex.from_arrays([list(plates), wells], names=["Metadata_Plate", "Metadata_Well"])
    lower = np.full(len(right), 1 / len(right))
    return pd.DataFrame({"right": right, "upper": right * lower, "lower": lower}, index=index)


def test_a_comparison_by_hand():
    base, own = wells_of([1, 0, 0, 0, 1, 0, 1, 0], "aabbccdd"), wells_of([1, 1, 1, 0, 0, 1, 1, 1], "aabbccdd")
    found = compare({"old": {"U->V": base}, "new": {"U->V": own}})
    assert found["less"] == "old"
    result = found["files"]["new"]["directions"]["U->V"]
    assert (result["difference"], result["better"], result["worse"], result["n_wells"]) == (0.375, 4, 1, 8)
    assert result["p"] == binomtest(4, 5).pvalue == 0.375
    assert result["interval"] == [0.125, 0.5]  # three plates gain a half, one nothing: 2.5 % of draws take it three times or more
    assert found["files"]["new"]["mean"] == {"difference": 0.375, "interval": [0.125, 0.5]}
    assert comparison_lines(found, {"old": "old", "new": "new"}) == [
        "new less old, U->V: +37.5 points [+12.5, +50.0], 4 wells better and 1 worse of 8, p = 0.38",
        "new less old, mean: +37.5 points [+12.5, +50.0]",
        "brackets: 95 % over draws of plates; p: sign test over wells, which takes wells to be independent",
    ]


def test_only_wells_that_both_test_count():
    base, own = wells_of([1, 0, 1], "abc"), wells_of([1, 1, 0, 0, 0], "abcde")
    found = compare({"old": {"U->V": base}, "new": {"U->V": own}, "other": {"V->V": own}})["files"]
    assert found["new"]["directions"]["U->V"]["n_wells"] == 3
    assert found["new"]["directions"]["U->V"]["difference"] == pytest.approx(0)
    assert found["other"] == {"directions": {}, "mean": {"difference": None, "interval": None}}


def test_a_set_against_itself_differs_nowhere():
    found = compare({"old": {"U->V": wells_of([1, 0, 1], "abc")}, "new": {"U->V": wells_of([1, 0, 1], "abc")}})
    result = found["files"]["new"]["directions"]["U->V"]
    assert (result["difference"], result["interval"], result["p"]) == (0, [0, 0], None)


def test_files_are_compared_with_the_first(metadata, tmp_path):
    for name, signal in (("weak", 0.5), ("strong", 2.0)):
        (tmp_path / name).mkdir()
        make_table(signal=signal).to_csv(tmp_path / name / "features.csv", index=False)
    paths = [tmp_path / name / "features.csv" for name in ("weak", "strong")]
    scores = score(paths, metadata, seeds=2)
    weak, strong = (scores["files"][str(path)] for path in paths)
    found = scores["comparison"]["files"][str(paths[1])]
    for name, own in found["directions"].items():
        assert own["difference"] == pytest.approx(strong["directions"][name]["accuracy"] - weak["directions"][name]["accuracy"])
        assert own["interval"][0] <= own["difference"] <= own["interval"][1]
    assert found["mean"]["difference"] == pytest.approx(strong["mean"] - weak["mean"])
    assert found["mean"]["interval"][0] > 0
    lines = scores_text(scores).splitlines()
    assert lines[1].startswith("weak/features.csv ")
    assert lines[2].startswith("strong/features.csv ")
    assert any(line.startswith("strong/features.csv less weak/features.csv, mean: +") for line in lines)


def test_names_are_as_short_as_tells_them_apart():
    assert short_names(["x/a.csv", "y/b.csv"]) == {"x/a.csv": "a.csv", "y/b.csv": "b.csv"}
    assert short_names(["/r/x/1/a.csv", "/r/y/1/a.csv"]) == {"/r/x/1/a.csv": "x/1/a.csv", "/r/y/1/a.csv": "y/1/a.csv"}
    assert short_names(["a.csv", "x/a.csv"]) == {"a.csv": "a.csv", "x/a.csv": "x/a.csv"}
