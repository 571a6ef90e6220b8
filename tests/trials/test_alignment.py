"""The study of alignment: its committed numbers are what the code gives, and its tables say what they hold."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from kit.profiles.post_processing import post_process
from kit.trials import alignment

EXPECTED = Path(__file__).parents[2] / "docs" / "results" / "2026-11-27-scores-cellprofiler.json"


def test_the_committed_numbers_of_the_cellprofiler_plates(real_data):
    expected = json.loads(EXPECTED.read_text())
    assert len(expected) == 36  # six post-processings, two metrics, k = 1, 5, 10
    profiles = alignment.clipped(real_data)
    for name in ("sphered", "aligned 0.7"):
        (found,) = alignment.rows(name, post_process(profiles, **alignment.POST[name]), real_data)
        (kept,) = [row for row in expected if (row["features"], row["metric"], row["k"]) == (name, "cosine", 5)]
        numbers = {key for key, value in kept.items() if isinstance(value, float)}
        assert {"accuracy", "null", "95th", "cross-position", "own kept", "DMSO position", "plate"} <= numbers
        assert {key: found[key] for key in numbers} == pytest.approx({key: kept[key] for key in numbers}, abs=0.01)
        assert found["verdict"] == kept["verdict"]


def test_made_features_hold_what_they_are_called():
    who = pd.DataFrame({"Metadata_Plate": ["P1", "P1", "P2", "P2"] * 50, "Metadata_Well": ["A01", "A02"] * 100})
    features_MF = alignment.made_profiles(who, "Metadata_Well", 10.0).features_MF
    first_M = (who["Metadata_Well"] == "A01").to_numpy()
    assert np.linalg.norm(features_MF[first_M].mean(axis=0) - features_MF[~first_M].mean(axis=0)) == pytest.approx(277, rel=0.1)
    noise_MF = alignment.made_profiles(who, "Metadata_Well", 0.0).features_MF
    assert np.linalg.norm(noise_MF[first_M].mean(axis=0) - noise_MF[~first_M].mean(axis=0)) < 5


def test_a_table_leaves_out_what_all_rows_share():
    row = dict.fromkeys(alignment.HEADS, 0.25) | {"features": "raw", "direction": "U2OS->U2OS", "metric": "cosine", "k": 5}
    rows = [row | {"verdict": "signal"}, row | {"k": 10, "plate": None, "verdict": "noise"}]
    assert alignment.table(rows).splitlines() == [
        "| features | k | accuracy | null | 95th | cross-position | own kept | DMSO position | plate | verdict |",
        "|---|---|---|---|---|---|---|---|---|---|",
        "| raw | 5 | 25.0 | 25.0 | 25.0 | 25.0 | 25.0 | 25.0 | 25.0 | signal |",
        "| raw | 10 | 25.0 | 25.0 | 25.0 | 25.0 | 25.0 | 25.0 | - | noise |",
    ]
