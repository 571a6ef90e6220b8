"""The rank-based inverse normal transform and the selection of features by their controls: by value, by law, by pycytominer."""

import numpy as np
import pandas as pd
import pytest
import scipy.stats

from kit.errors import KitError, UsageError
from kit.profiles.normalise import normalise
from kit.profiles.post_processing import post_process
from kit.profiles.rank_normal import normal_scores, rank_normal
from kit.profiles.select import replicate_correlation, select_by_controls
from kit.profiles.whiten import whiten

from .conftest import make_profiles
from .oracles import pycytominer


def cells(profiles, rows=slice(None)) -> pd.DataFrame:
    """The table that pycytominer takes: its features begin with Cells_."""
    values = pd.DataFrame(profiles.features_MF[rows].astype(float), columns=[f"Cells_{name}" for name in profiles.names])
    return pd.concat([profiles.who[rows].reset_index(drop=True), values], axis=1)


def test_ranks_become_blooms_normal_quantiles():
    values = np.array([[3.0, 7.0], [1.0, 7.0], [2.0, 7.0], [2.0, 7.0]])
    expected = scipy.stats.norm.ppf((np.array([4, 1, 2.5, 2.5]) - 0.375) / 4.25)
    np.testing.assert_allclose(normal_scores(values), np.stack([expected, np.zeros(4)], axis=1), atol=1e-15)


@pytest.mark.parametrize("over", ["plate", "all"])
def test_only_the_order_of_wells_counts_and_a_shuffle_commutes(over):
    raw = make_profiles(shift=1.0)
    done = rank_normal(raw, over)
    np.testing.assert_array_equal(
        rank_normal(raw.after(np.exp(raw.features_MF / 20), step="made"), over).features_MF, done.features_MF
    )
    rows = np.concatenate([np.random.default_rng(1).permutation(40) + start for start in (0, 40, 80)])  # within each plate
    shuffled = rank_normal(raw.after(raw.features_MF[rows], step="made"), over).features_MF
    np.testing.assert_array_equal(shuffled, done.features_MF[rows])
    groups = np.split(done.features_MF, 3) if over == "plate" else [done.features_MF]
    assert all(np.abs(group.mean(axis=0)).max() < 1e-6 for group in groups)
    assert done.steps[-1] == {"step": "rank_normal", "over": over, "offset": 0.375}


def test_ranks_are_pycytominers():
    """Its quantiles are (rank - 1) / (M - 1): our formula with the offset 1; the least and the greatest are cut there."""
    normalize = pycytominer().normalize
    raw = make_profiles(plates=1, wells=80, features=4)
    theirs = normalize(cells(raw), features="infer", samples="all", method="inverse_normal").filter(like="Cells_").to_numpy()
    inner = ~((raw.features_MF == raw.features_MF.min(axis=0)) | (raw.features_MF == raw.features_MF.max(axis=0)))
    with np.errstate(divide="ignore"):
        ours = normal_scores(raw.features_MF, offset=1)
    np.testing.assert_allclose(ours[inner], theirs[inner], atol=1e-6)


def test_mad_and_sphering_are_pycytominers():
    normalize = pycytominer().normalize
    raw = make_profiles(plates=1, wells=60, controls=30, features=4)
    options = {"samples": "Metadata_broad_sample == ''", "meta_features": list(raw.who)}
    theirs = normalize(cells(raw), method="mad_robustize", mad_robustize_epsilon=0, **options).filter(like="Cells_")
    np.testing.assert_allclose(normalise(raw, "mad").features_MF, theirs, rtol=2e-4, atol=2e-4)
    theirs = normalize(cells(raw), method="spherize", spherize_method="ZCA", spherize_epsilon=0, **options).filter(like="Cells_")
    np.testing.assert_allclose(whiten(raw, "sphere", ridge=0).features_MF, theirs, rtol=2e-3, atol=2e-3)


def test_replicate_correlation_is_numpys():
    values_PNF = np.random.default_rng(0).standard_normal((4, 7, 3))
    values_PNF[2, :, 1] = 5.0  # a plate without variation: 0 with every other
    for feature in (0, 2):
        pairs = np.corrcoef(values_PNF[:, :, feature])[np.triu_indices(4, k=1)]
        np.testing.assert_allclose(replicate_correlation(values_PNF)[feature], np.median(pairs))
    others = np.corrcoef(values_PNF[[0, 1, 3], :, 1])[np.triu_indices(3, k=1)]
    np.testing.assert_allclose(replicate_correlation(values_PNF)[1], np.median([*others, 0, 0, 0]))


def test_a_feature_of_the_position_is_left_out_and_compounds_have_no_say():
    raw = make_profiles(plates=4, features=6, shift=1.0)
    features_MF = raw.features_MF.copy()
    position = np.tile(np.random.default_rng(2).standard_normal(40), 4)
    features_MF[:, 3] = 5 * position + np.random.default_rng(3).standard_normal(160)  # an edge effect, on controls too
    features_MF[~raw.is_control_M, 1] = 5 * position[~raw.is_control_M]  # a compound's effect: controls do not have it
    made = raw.after(features_MF, step="made")
    kept = select_by_controls(made, 0.5)
    assert kept.names == ("f0", "f1", "f2", "f4", "f5")
    np.testing.assert_array_equal(kept.features_MF, np.delete(features_MF, 3, axis=1))
    assert kept.steps[-1]["dropped"] == ["f3"]
    assert (
        "1 feature left out: median over pairs of plates, their correlation over 16 control positions of 4 plates" in kept.text()
    )
    shuffled = features_MF.copy()
    for plate in range(4):
        rows = np.flatnonzero(~raw.is_control_M & (np.arange(160) // 40 == plate))
        shuffled[rows] = features_MF[np.random.default_rng(plate).permutation(rows)]
    assert select_by_controls(raw.after(shuffled, step="made"), 0.5).names == kept.names


def test_the_steps_come_after_normalizing_and_before_whitening():
    raw = make_profiles(shift=1.0)
    done = post_process(raw, normalize="mad", rank_normal="all", max_control_correlation=0.9, whiten="sphere", l2=True)
    by_hand = whiten(select_by_controls(rank_normal(normalise(raw, "mad"), "all"), 0.9), "sphere")
    assert [step["step"] for step in done.steps] == ["normalize", "rank_normal", "select", "whiten", "l2"]
    np.testing.assert_array_equal(done.features_MF, post_process(by_hand, l2=True).features_MF)


def test_what_cannot_be_selected_is_one_line():
    raw = make_profiles()
    with pytest.raises(KitError, match="at least two plates: these are 1 plate with 16 positions in common"):
        select_by_controls(make_profiles(plates=1), 0.5)
    with pytest.raises(KitError, match=r"--max-control-correlation -1 keeps none of 5 features: the lowest correlation is"):
        select_by_controls(raw, -1)
    raw.who.loc[raw.who["Metadata_Plate"] == "P1", "Metadata_broad_sample"] = "BRD"
    with pytest.raises(KitError, match="these are 3 plates with 0 positions in common, and it takes 3"):
        select_by_controls(raw, 0.5)
    for steps, message in [
        ({"max_control_correlation": 1.5}, "--max-control-correlation 1.5: need a correlation, -1 to 1"),
        (
            {"max_control_correlation": 0.5, "whiten": "sphere", "whiten_on": "sites"},
            "--max-control-correlation is done to wells",
        ),
        ({"rank_normal": "all", "whiten": "sphere", "whiten_on": "sites"}, "--rank-normal is done to wells"),
    ]:
        with pytest.raises(UsageError, match=message):
            post_process(raw, **steps)
