"""Runs balanced against each other: equal total variance however wide they are, down to the challenge's CSV."""

import json
import math

import numpy as np
import pandas as pd
import polars as pl
import pytest
from scipy.spatial.distance import pdist

from kit.challenge.export import export
from kit.errors import KitError, UsageError
from kit.profiles.balance import balance, run_weights, standardise
from kit.profiles.places import NINE_PLACES
from kit.profiles.post_processing import post_process
from kit.profiles.profile import profile
from kit.profiles.table import Profiles, read_profiles, write_profiles

from .made_runs import make_runs
from .test_places import GRID

WIDE, NARROW = 13_824, 48


def made(wide=WIDE, narrow=NARROW, wells=24, seed=0, runs=("net", "net-texture")) -> Profiles:
    """One plate; a wide run, and a narrow one whose columns have units from 0.001 to 1000 and means far from zero."""
    rng = np.random.default_rng(seed)
    units = np.geomspace(1e-3, 1e3, narrow)
    parts = {
        runs[0]: rng.standard_normal((wells, wide)).astype(np.float32),
        runs[1]: ((rng.standard_normal((wells, narrow)) + 5) * units).astype(np.float32),
    }
    names = [f"{run}_mean_cls_{index}" for run, part in parts.items() for index in range(part.shape[1])]
    who = pd.DataFrame({"Metadata_Plate": "P0", "Metadata_Well": [f"A{well + 1:02d}" for well in range(wells)]})
    who["Metadata_broad_sample"] = ["" if well % 3 == 0 else f"BRD-{well}" for well in range(wells)]
    return Profiles(features_MF=np.hstack(list(parts.values())), who=who, names=tuple(names))


def as_table(profiles: Profiles) -> pd.DataFrame:
    return pd.DataFrame(profiles.features_MF, columns=list(profiles.names))


def total_variance(table: pd.DataFrame, run: str) -> float:
    here = [name.rsplit("_", 3)[0] == run for name in table]
    return float(table.to_numpy(dtype=float)[:, here].var(axis=0, ddof=1).sum())


def test_48_columns_weigh_as_much_as_13824_down_to_the_csv(tmp_path):
    raw, weights = made(), {"net": 1.0, "net-texture": 3.0}
    equal = as_table(post_process(raw, normalize="centre", weights={"net": 1.0, "net-texture": 1.0}))
    assert [total_variance(equal, run) for run in weights] == pytest.approx([1, 1], rel=1e-5)
    write_profiles(post_process(raw, normalize="centre", weights=weights), tmp_path / "p.parquet")
    raw.who[["Metadata_Plate", "Metadata_Well"]].assign(ID=range(24)).to_csv(tmp_path / "ids.csv", index=False)
    export(tmp_path / "p.parquet", tmp_path / "ids.csv", tmp_path / "s.csv")
    table = pl.read_csv(tmp_path / "s.csv").drop("ID").to_pandas()
    assert table.shape == (24, WIDE + NARROW)
    assert [total_variance(table, run) for run in weights] == pytest.approx([1, 3], rel=1e-5)
    steps = json.loads((tmp_path / "s.manifest.json").read_text())["steps"]
    assert [step["step"] for step in steps] == ["normalize", "standardize", "balance"]
    assert steps[2]["weights"] == weights
    narrow = table[[f"net-texture_mean_cls_{index}" for index in range(NARROW)]]
    np.testing.assert_allclose(narrow.var(), 3 / NARROW, rtol=1e-4)  # each of its columns as much as any other
    assert total_variance(as_table(raw), "net-texture") > 100 * total_variance(as_table(raw), "net")


@pytest.mark.parametrize("steps", [{}, {"normalize": "mad"}, {"normalize": "centre", "whiten": "sphere"}, {"whiten": "tvn"}])
def test_runs_have_the_variance_of_their_weights_after_every_step_before(steps):
    weights = {"net": 2.0, "net-texture": 0.5}
    done = post_process(made(wide=40, narrow=6), weights=weights, **steps)
    table = as_table(done)
    assert [total_variance(table, run) for run in weights] == pytest.approx([2.0, 0.5], rel=1e-5)
    names = [step["step"] for step in done.steps]
    assert names == [*(["normalize"] if "normalize" in steps else []), "standardize",
                     *(["whiten"] if "whiten" in steps else []), "balance"]  # fmt: skip


def test_standardised_columns_by_numpy():
    raw = made(wide=5, narrow=3)
    X = raw.features_MF.astype(float)
    X[:, 2] = 0.1
    raw = raw.after(X, step="made")
    expected = (X - X.mean(axis=0)) / np.where(np.arange(8) == 2, np.inf, X.std(axis=0, ddof=1))
    done = standardise(raw, centre=True)
    np.testing.assert_allclose(done.features_MF, expected, rtol=1e-4, atol=1e-5)
    assert done.steps[-1] == {"step": "standardize", "over": "all wells", "centred": True, "constant_columns": 1}
    assert "\n  1 column of one value over all wells: set to 0" in done.text()
    around_controls = post_process(raw, normalize="centre", weights={"net": 1, "net-texture": 1})  # the origin stays theirs
    np.testing.assert_allclose(around_controls.features_MF[raw.is_control_M].mean(axis=0), 0, atol=1e-6)


def test_each_run_stays_white_on_the_controls_up_to_one_number():
    """The two runs are independent here: what whitening made of each is there after balancing, but for its factor."""
    raw = made(wide=4, narrow=3, wells=60)
    done = post_process(raw, whiten="sphere", ridge=0, weights={"net": 1, "net-texture": 1})
    controls = done.features_MF[done.is_control_M].astype(float)
    for columns, run in ((slice(0, 4), "net"), (slice(4, 7), "net-texture")):
        covariance = np.cov(controls[:, columns].T) / done.steps[-1]["factors"][run] ** 2
        np.testing.assert_allclose(covariance, np.eye(len(covariance)), atol=1e-4)


@pytest.mark.parametrize("steps", [
    {"normalize": "centre", "whiten": "sphere", "l2": True},
    {"normalize": "mad", "whiten": "tvn", "whiten_on": "sites"},
])  # fmt: skip
def test_the_order_of_runs_does_not_matter_to_distances(tmp_path, steps):
    work = make_runs(tmp_path, {"P1": NINE_PLACES, "P2": GRID}, runs=("fluo", "fluo-texture"))
    work.wells.loc[work.wells["Metadata_Well"] == "A02", "Metadata_broad_sample"] = ""  # two controls a plate
    weights = {"fluo": 1.0, "fluo-texture": 2.0}
    there, back = (
        profile(work, runs, tmp_path / "p.parquet", weights=weights, **steps)
        for runs in (["fluo", "fluo-texture"], ["fluo-texture", "fluo"])
    )
    assert there.names != back.names
    np.testing.assert_allclose(pdist(there.features_MF), pdist(back.features_MF), rtol=1e-4)


def test_sites_are_standardised_before_they_are_whitened(tmp_path):
    """A unit of a run's column changes nothing then; and wells are balanced after merging."""
    work = make_runs(tmp_path, {"P1": NINE_PLACES, "P2": GRID}, runs=("fluo", "bright"))
    asked = {"weights": {"fluo": 1.0, "bright": 1.0}, "whiten": "sphere", "whiten_on": "sites", "merge": "mean"}
    before = profile(work, ["fluo", "bright"], tmp_path / "p.parquet", **asked)
    for plate in ("P1", "P2"):
        path = work.run_folder("bright") / "features" / f"{plate}.parquet"
        table = pd.read_parquet(path)
        table["f0001"] *= 1000
        table.to_parquet(path)
    after = profile(work, ["fluo", "bright"], tmp_path / "p.parquet", **asked)
    np.testing.assert_allclose(after.features_MF, before.features_MF, rtol=1e-3, atol=1e-4)
    names = [step["step"] for step in after.steps]
    assert names == ["parts", "runs", "standardize", "whiten", "merge", "balance"]
    assert after.steps[2]["over"] == "all sites"
    table = as_table(after)
    assert [total_variance(table, run) for run in ("fluo", "bright")] == pytest.approx([1, 1], rel=1e-5)


def test_runs_whose_names_hold_underscores_and_begin_alike(tmp_path):
    weights = {"a_s1": 1.0, "a_s1_cls": 1.0}
    done = balance(made(wide=5, narrow=3, runs=("a_s1", "a_s1_cls")), weights)
    write_profiles(done, tmp_path / "p.parquet")
    assert read_profiles(tmp_path / "p.parquet").steps[-1]["weights"] == weights
    table = as_table(done)
    assert [total_variance(table, run) for run in weights] == pytest.approx([1, 1], rel=1e-5)
    assert "runs balanced, by their share of the variance: a_s1 50 %, a_s1_cls 50 %" in done.text()


def test_a_run_that_is_the_same_in_all_wells_cannot_be_balanced():
    raw = made(wide=5, narrow=3)
    X = raw.features_MF.copy()
    X[:, 5:] = 0.1
    with pytest.raises(KitError, match="run net-texture is the same in all 24 wells: there is nothing to balance"):
        post_process(raw.after(X, step="made"), weights={"net": 1, "net-texture": 1})


@pytest.mark.parametrize(("texts", "message"), [
    (["fluo-txture=2"], "no --run fluo-txture; did you mean fluo-texture"),
    (["fluo=0"], "fluo=0: need a number above 0"),
    (["fluo=-1"], "need a number above 0"),
    (["fluo=much"], "need a number above 0"),
    (["fluo=nan"], "need a number above 0"),
    (["fluo=inf"], "need a number above 0"),
    (["fluo="], "need a number above 0"),
    (["fluo"], "write NAME=W, as in fluo=2"),
    (["fluo=2", "fluo=3"], "fluo has a weight already, 2"),
])  # fmt: skip
def test_weights_that_mean_nothing(texts, message):
    with pytest.raises(UsageError, match=f"--run-weight {texts[-1]}: .*" if message.startswith("no") else message) as error:
        run_weights(["fluo", "fluo-texture"], texts, balanced=True)
    assert message in str(error.value)


def test_weights_of_runs():
    runs = ["fluo", "fluo-texture"]
    assert run_weights(runs, [], balanced=False) is None
    assert run_weights(runs, [], balanced=True) == {"fluo": 1, "fluo-texture": 1}
    for balanced in (False, True):
        assert run_weights(runs, ["fluo-texture=0.5"], balanced=balanced) == {"fluo": 1, "fluo-texture": 0.5}
    for texts in ([], ["fluo=2"]):
        with pytest.raises(UsageError, match="weighs runs against each other: give at least two by --run"):
            run_weights(["fluo"], texts, balanced=True)
    assert math.isclose(sum(run_weights(runs, ["fluo=1e3"], balanced=False).values()), 1001)
