"""Whitening sites before they are merged, against numpy on all sites at once, and what needs controls among them."""

import numpy as np
import pandas as pd
import pytest
import scipy.linalg

from kit.errors import KitError, UsageError
from kit.profiles.moments import Moments
from kit.profiles.places import NINE_PLACES
from kit.profiles.profile import profile
from kit.profiles.table import read_facts
from kit.profiles.whiten import CORAL_RIDGE, RIDGE

from .made_runs import FEATURES, make_runs
from .test_places import GRID

RUNS = ("fluo", "bright")
KEY = ["Metadata_Plate", "Metadata_Well", "Metadata_Site"]


@pytest.fixture
def work(tmp_path):
    """Two plates, of nine and sixteen sites, with features of two runs; B01 is the control."""
    return make_runs(tmp_path, {"P1": NINE_PLACES, "P2": GRID}, runs=RUNS)


def all_sites(work, runs=RUNS) -> pd.DataFrame:
    """Every site that all runs have: key, then the features of all runs, run after run."""
    tables = []
    for run in runs:
        files = sorted((work.run_folder(run) / "features").glob("*.parquet"))
        tables.append(pd.concat([pd.read_parquet(file) for file in files]).set_index(KEY).add_prefix(f"{run}_").astype(float))
    return pd.concat(tables, axis=1, join="inner").sort_index().reset_index()


def power(matrix, exponent):
    return np.real(scipy.linalg.fractional_matrix_power(matrix, exponent))


def by_hand(work, normalize, whiten, *, ridge=RIDGE, runs=RUNS, everyone=False) -> pd.DataFrame:
    """The site features after both steps, by dense formulas over all sites at once."""
    sites = all_sites(work, runs)
    names = [name for name in sites if name not in KEY]
    X = sites[names].to_numpy(float)
    plates, control = sites["Metadata_Plate"].to_numpy(), (sites["Metadata_Well"] == "B01").to_numpy() | everyone
    for plate in np.unique(plates):
        here = plates == plate
        own = X[here & control]
        if normalize != "none":
            middle = own.mean(axis=0) if normalize == "centre" else np.median(own, axis=0)
            scale = 1 if normalize == "centre" else 1.4826 * np.median(np.abs(own - middle), axis=0)
            X[here] = (X[here] - middle) / scale
    if whiten != "none":
        covariance = np.cov(X[control].T)
        floor = ridge * np.trace(covariance) / len(names) * np.eye(len(names))
        X = (X - X[control].mean(axis=0)) @ power(covariance + floor, -0.5)
    if whiten == "tvn":
        eye = CORAL_RIDGE * np.eye(len(names))
        pooled = power(np.cov(X[control].T) + eye, 0.5)
        for plate in np.unique(plates):
            here = plates == plate
            own = X[here & control]
            X[here] = (X[here] - own.mean(axis=0)) @ power(np.cov(own.T) + eye, -0.5) @ pooled
    return sites[KEY].join(pd.DataFrame(X, columns=names))


@pytest.mark.parametrize("normalize", ["none", "centre", "mad"])
@pytest.mark.parametrize("whiten", ["none", "sphere", "tvn"])
def test_the_mean_of_sites_whitened_by_hand(work, tmp_path, normalize, whiten):
    if normalize == whiten == "none":
        with pytest.raises(UsageError, match="--whiten-on sites says what --normalize and --whiten are fitted on: give one of"):
            profile(work, RUNS, tmp_path / "p.parquet", whiten_on="sites")
        return
    made = profile(work, RUNS, tmp_path / "p.parquet", merge="mean", normalize=normalize, whiten=whiten, whiten_on="sites")
    expected = by_hand(work, normalize, whiten).groupby(KEY[:2]).mean().drop(columns=KEY[2])
    np.testing.assert_allclose(made.features_MF, expected.to_numpy(), rtol=1e-4, atol=2e-5)
    assert made.names == profile(work, RUNS, tmp_path / "q.parquet", merge="mean").names


def test_every_whitened_site_stands_in_its_block(work, tmp_path):
    """Blocks run by run, as without --whiten-on; and the control sites of both plates are white at ridge 0."""
    asked = {"merge": "concat", "whiten": "sphere", "ridge": 0}
    made = profile(work, RUNS, tmp_path / "p.parquet", whiten_on="sites", **asked)
    wells = profile(work, RUNS, tmp_path / "q.parquet", whiten_on="wells", **asked)
    assert made.names == wells.names
    assert np.abs(made.features_MF - wells.features_MF).max() > 0.1  # wells give other numbers
    white = by_hand(work, "none", "sphere", ridge=0).set_index(KEY)
    table = pd.DataFrame(made.features_MF, columns=list(made.names), index=pd.MultiIndex.from_frame(made.who[KEY[:2]]))
    site = GRID.index(NINE_PLACES[6]) + 1
    for run in RUNS:
        row = table.loc[("P2", "A02")]
        block = row[[f"{run}_s7_{part}_{index}" for part in ("cls", "patch") for index in range(2)]]
        there = white.loc[("P2", "A02", site), [f"{run}_{name}" for name in FEATURES]]
        np.testing.assert_allclose(block.to_numpy(), there.to_numpy(float), rtol=1e-4, atol=1e-4)
    controls = white[white.index.get_level_values(1) == "B01"].to_numpy()
    np.testing.assert_allclose(np.cov(controls.T), np.eye(8), atol=1e-8)


def test_control_sites_are_white_in_the_file(tmp_path):
    """Nine blocks of a nine-site plate are its sites: read back, those of the controls have the identity as covariance."""
    work = make_runs(tmp_path, {"P1": NINE_PLACES, "P2": NINE_PLACES, "P3": NINE_PLACES})
    for ridge, white in ((0.0, True), (RIDGE, False)):
        made = profile(work, ["fluo"], tmp_path / "p.parquet", merge="concat", whiten="sphere", whiten_on="sites", ridge=ridge)
        sites = made.features_MF[made.is_control_M].reshape(-1, 4).astype(float)
        assert len(sites) == 27
        assert (np.abs(np.cov(sites.T) - np.eye(4)).max() < 1e-5) == white
        np.testing.assert_allclose(sites.mean(axis=0), 0, atol=1e-6)


def test_the_order_of_steps_is_recorded(work, tmp_path):
    out = tmp_path / "p.parquet"
    made = profile(work, RUNS, out, normalize="mad", whiten="tvn", whiten_on="sites", ridge=0.5, align=0.9, l2=True)
    steps = read_facts(out)["steps"]
    assert [step["step"] for step in steps] == ["parts", "runs", "normalize", "whiten", "merge", "align", "l2"]
    assert steps[2] == {"step": "normalize", "how": "mad", "per": "plate, on its DMSO sites", "on": "sites"}
    assert steps[3]["fitted_on"] == "25 DMSO sites of all plates"
    assert (steps[3]["ridge_of_mean_eigenvalue"], steps[3]["on"]) == (0.5, "sites")
    assert "\n  whitened on 25 DMSO sites of all plates, before merging" in made.text()
    np.testing.assert_allclose(np.linalg.norm(made.features_MF, axis=1), 1, rtol=1e-5)


def test_sites_that_lack_a_run_are_left_out_and_counted(work, tmp_path):
    path = work.run_folder("bright") / "features" / "P1.parquet"
    table = pd.read_parquet(path).sample(frac=1, random_state=1)  # in another order than the other run's
    gone = (table["Metadata_Well"] == "A01") & (table["Metadata_Site"].isin([2, 5]))
    table[~gone & (table["Metadata_Well"] != "A02")].to_parquet(path)
    made = profile(work, RUNS, tmp_path / "p.parquet", merge="mean", whiten="sphere", whiten_on="sites")
    expected = by_hand(work, "none", "sphere").groupby(KEY[:2]).mean().drop(columns=KEY[2])
    np.testing.assert_allclose(made.features_MF, expected.to_numpy(), rtol=1e-4, atol=2e-5)
    assert made.steps[1]["sites_not_in_every_run"] == 2 + 9
    assert made.steps[1]["wells_not_in_every_run"] == 1


def test_runs_without_a_site_in_common_say_so(work, tmp_path):
    for plate in ("P1", "P2"):
        path = work.run_folder("bright") / "features" / f"{plate}.parquet"
        pd.read_parquet(path).assign(Metadata_Site=lambda table: table["Metadata_Site"] + 100).to_parquet(path)
    with pytest.raises(KitError, match="the runs have no site in common"):
        profile(work, RUNS, tmp_path / "p.parquet", merge="mean", whiten="sphere", whiten_on="sites")


@pytest.mark.parametrize(("normalize", "whiten"), [("centre", "none"), ("none", "sphere"), ("none", "tvn")])
def test_without_controls_all_sites_are_asked_for(work, tmp_path, normalize, whiten):
    work.wells["Metadata_broad_sample"] = "BRD-1"
    asked = {"merge": "mean", "normalize": normalize, "whiten": whiten, "whiten_on": "sites"}
    with pytest.raises(KitError, match=r"DMSO sites.*: use --controls all"):
        profile(work, RUNS, tmp_path / "p.parquet", **asked)
    made = profile(work, RUNS, tmp_path / "p.parquet", controls="all", **asked)
    expected = by_hand(work, normalize, whiten, everyone=True).groupby(KEY[:2]).mean().drop(columns=KEY[2])
    np.testing.assert_allclose(made.features_MF, expected.to_numpy(), rtol=1e-4, atol=2e-5)
    assert "; centred or whitened on all sites, not on controls" in made.text()


def test_moments_of_blocks_are_those_of_all_rows():
    rows = np.random.default_rng(0).standard_normal((50, 4)) * [1, 10, 0.1, 0] + [1e4, 0, -3, 7]
    full, alone = Moments(4, full=True), Moments(4, full=False)
    for block in (rows[:0], rows[:1], rows[1:30], rows[30:]):
        full.add(block)
        alone.add(block)
    np.testing.assert_allclose(full.covariance, np.cov(rows.T), rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(alone.covariance, rows.var(axis=0, ddof=1), rtol=1e-9)
    assert alone.covariance[3] == 0  # a constant column, exactly
    np.testing.assert_allclose(full.mean_F, rows.mean(axis=0), rtol=1e-12)
