"""Means up to treatments, and which rows they take."""

import numpy as np
import pandas as pd
import pytest

from kit.errors import KitError, UsageError
from kit.probes.cell_dino import fit
from kit.probes.rows import Asked, highest_doses, read_rows, treatments

from .made import cells

X = [f"x{index}" for index in range(5)]


def read(table: pd.DataFrame, path, **asked):
    table.to_csv(path / "x.csv", index=False)
    return read_rows([path / "x.csv"], None, Asked(**asked))


def test_means_of_means(tmp_path):
    table = cells()
    rows = read(table, tmp_path)
    wells = rows.wells()
    by_hand = table.groupby(["Metadata_Plate", "Metadata_Well", "Metadata_Site"])[X].mean().groupby(level=[0, 1]).mean()
    assert rows.level == "cells"
    assert wells.level == "wells"
    np.testing.assert_allclose(wells.features_RF, by_hand, rtol=1e-5)
    flat = table.groupby(["Metadata_Plate", "Metadata_Well"])[X].mean()
    assert np.abs(flat.to_numpy() - by_hand.to_numpy()).max() > 0.05  # a mean of all cells is another number
    of_sample = table.drop_duplicates(["Metadata_Plate", "Metadata_Well"])["Metadata_broad_sample"].to_numpy()
    expected = by_hand.groupby(of_sample).mean().drop(index="")
    found = treatments(wells)
    np.testing.assert_allclose(found.features_RF, expected, rtol=1e-5)
    assert found.who["label"].tolist() == expected.index.tolist()
    assert found.who["mechanism"].tolist() == ["m0", "m1"] * 4


def test_sphering_is_fitted_on_control_wells(tmp_path):
    wells = read(cells(dmso=6), tmp_path).wells()
    white_MF = fit(wells, 0.0)(wells.features_RF)
    control_M = wells.who["is_control"].to_numpy()
    own_CF = wells.features_RF[control_M].astype(np.float64)
    variance_F, turn_FF = np.linalg.eigh(np.cov(own_CF.T))
    np.testing.assert_allclose(
        white_MF, (wells.features_RF - own_CF.mean(0)) @ turn_FF / np.sqrt(variance_F) @ turn_FF.T, rtol=2e-3, atol=2e-3
    )
    np.testing.assert_allclose(np.cov(white_MF[control_M].T), np.eye(5), atol=1e-3)
    assert np.abs(np.cov(wells.features_RF[control_M].T) - np.eye(5)).max() > 0.5


def test_the_highest_dose_of_each_treatment(tmp_path):
    who = pd.DataFrame({"label": ["a", "a", "b", "", "b", "c"], "is_control": [False, False, False, True, False, False],
                        "Metadata_Plate": "P", "Metadata_Well": "A01"})  # fmt: skip
    assert highest_doses(pd.Series(["1", "10", "5", "", "", ""]), who, "dose").tolist() == [False, True, True, True, False, True]
    with pytest.raises(KitError, match="dose of well A01 of plate P is 'high': need numbers; --dose COLUMN"):
        highest_doses(pd.Series(["1", "high", "5", "", "", ""]), who, "dose")
    table = cells(plates=2)
    doses = table.assign(Metadata_dose=np.where(table["Metadata_Plate"] == "P0", 0.5, 20))
    rows = read(doses, tmp_path)
    assert rows.columns["dose"] == "dose"
    assert rows.left_out == 40
    assert set(rows.who["Metadata_Plate"][~rows.who["is_control"]]) == {"P1"}
    assert set(rows.who["Metadata_Plate"][rows.who["is_control"]]) == {"P0", "P1"}


def test_a_treatment_has_one_mechanism(tmp_path):
    table = cells()
    table.loc[table["Metadata_Plate"] == "P1", "Metadata_moa"] = "m1"
    with pytest.raises(UsageError, match=r"broad_sample BRD-00 has 2 moas \(m0, m1\): a treatment has one; --moa COLUMN"):
        treatments(read(table, tmp_path).wells())
