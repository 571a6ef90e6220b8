"""Normalisation, whitening, alignment and length, by value and by law."""

import numpy as np
import pytest
import scipy.linalg
import scipy.stats

from kit.errors import KitError, UsageError
from kit.profiles.align import align
from kit.profiles.normalise import l2_normalise, normalise
from kit.profiles.post_processing import post_process
from kit.profiles.whiten import CORAL_RIDGE, whiten

from .conftest import make_profiles

CLOSE = {"rtol": 1e-4, "atol": 1e-4}  # float32 features of size 1 to 100


def of_plate(profiles, plate):
    return (profiles.who["Metadata_Plate"] == plate).to_numpy()


def test_centre_takes_each_plates_dmso_mean_away():
    raw = make_profiles()
    centred = normalise(raw, "centre")
    for plate in ("P0", "P1", "P2"):
        here = of_plate(raw, plate)
        expected = raw.features_MF[here] - raw.features_MF[here & raw.is_control_M].mean(axis=0)
        np.testing.assert_allclose(centred.features_MF[here], expected, **CLOSE)
    assert np.abs(raw.features_MF[raw.is_control_M].mean(axis=0)).max() > 5  # far from centred before


def test_mad_is_scipys():
    raw = make_profiles()
    scaled = normalise(raw, "mad")
    here = of_plate(raw, "P1")
    controls = raw.features_MF[here & raw.is_control_M].astype(float)
    expected = (raw.features_MF[here] - np.median(controls, axis=0)) / scipy.stats.median_abs_deviation(
        controls, scale="normal", axis=0
    )
    np.testing.assert_allclose(scaled.features_MF[here], expected, rtol=1e-3, atol=1e-3)


def test_a_feature_that_is_constant_on_dmso_stays_finite():
    raw = make_profiles()
    features = raw.features_MF.copy()
    features[raw.is_control_M, 2] = 7.0
    scaled = normalise(raw.after(features, step="made"), "mad")
    assert np.isfinite(scaled.features_MF).all()
    assert np.abs(scaled.features_MF[:, 2]).max() < 1e3
    assert (scaled.features_MF[raw.is_control_M, 2] == 0).all()


def test_a_plate_without_dmso_is_named():
    raw = make_profiles()
    raw.who.loc[of_plate(raw, "P2"), "Metadata_broad_sample"] = "BRD-1"
    for how in ("centre", "mad"):
        with pytest.raises(KitError, match="plate P2 has 0 DMSO wells"):
            normalise(raw, how)


def covariance_of(rows):
    return np.cov(rows.astype(np.float64).T)


def test_sphered_controls_are_white():
    raw = make_profiles(shift=0.0)
    white = whiten(raw, "sphere", ridge=1e-9)
    np.testing.assert_allclose(covariance_of(white.features_MF[raw.is_control_M]), np.eye(5), atol=1e-3)
    np.testing.assert_allclose(white.features_MF[raw.is_control_M].mean(axis=0), 0, atol=1e-4)
    assert np.abs(covariance_of(raw.features_MF[raw.is_control_M]) - np.eye(5)).max() > 0.5  # and were not before


@pytest.mark.parametrize("features", [6, 300])  # fewer and more than the 48 controls
@pytest.mark.parametrize("ridge", [0.1, 1.0])
def test_sphering_equals_the_dense_formula(features, ridge):
    raw = make_profiles(features=features, shift=2.0)
    centred = raw.features_MF.astype(np.float64) - raw.features_MF[raw.is_control_M].astype(np.float64).mean(axis=0)
    covariance = covariance_of(raw.features_MF[raw.is_control_M])
    inverse = scipy.linalg.fractional_matrix_power(covariance + ridge * np.trace(covariance) / features * np.eye(features), -0.5)
    np.testing.assert_allclose(whiten(raw, "sphere", ridge=ridge).features_MF, centred @ inverse, rtol=2e-3, atol=2e-3)


@pytest.mark.parametrize("features", [4, 120])
def test_tvn_equals_the_dense_formula(features):
    raw = make_profiles(features=features, shift=1.0)
    white = whiten(raw, "sphere").features_MF.astype(np.float64)
    controls = raw.is_control_M
    eye = CORAL_RIDGE * np.eye(features)
    pooled = scipy.linalg.sqrtm(np.cov(white[controls].T) + eye)
    matched = whiten(raw, "tvn").features_MF
    for plate in ("P0", "P1", "P2"):
        here = of_plate(raw, plate)
        centred = white[here] - white[here & controls].mean(axis=0)
        own = scipy.linalg.fractional_matrix_power(np.cov(white[here & controls].T) + eye, -0.5)
        np.testing.assert_allclose(matched[here], centred @ own @ pooled, rtol=5e-3, atol=5e-3)


def test_wide_features_never_meet_a_square_matrix():
    raw = make_profiles(plates=2, wells=30, controls=20, features=13_824, shift=1.0)  # F x F in float64 would be 1.5 GB
    white = whiten(raw, "tvn")
    assert np.isfinite(white.features_MF).all()


def test_whitening_says_what_it_lacks():
    raw = make_profiles()
    flat = raw.after(np.zeros_like(raw.features_MF), step="made")
    with pytest.raises(KitError, match="are identical"):
        whiten(flat, "sphere")
    raw.who["Metadata_broad_sample"] = "BRD"
    with pytest.raises(KitError, match="at least two DMSO wells"):
        whiten(raw, "sphere")


def test_alignment_by_hand():
    raw = make_profiles(plates=2, wells=2, controls=1, features=1)
    values = raw.after(np.array([[1.0], [10.0], [3.0], [20.0]]), step="made")  # wells A01, A02 of P0, then of P1
    aligned = align(values, 0.75)
    np.testing.assert_allclose(aligned.features_MF[:, 0], [1.25, 11.25, 2.75, 18.75])
    assert aligned.uses_well_position
    assert not values.uses_well_position
    np.testing.assert_array_equal(align(values, 1.0).features_MF, values.features_MF)
    np.testing.assert_allclose(align(values, 0.0).features_MF[:, 0], [2, 15, 2, 15])
    with pytest.raises(UsageError, match=r"--align 1\.2"):
        align(values, 1.2)


def test_alignment_keeps_the_mean_of_every_position():
    raw = make_profiles(plates=4)
    aligned = align(raw, 0.3)
    for well in ("A01", "A40"):
        here = (raw.who["Metadata_Well"] == well).to_numpy()
        np.testing.assert_allclose(aligned.features_MF[here].mean(axis=0), raw.features_MF[here].mean(axis=0), **CLOSE)


def test_rows_get_length_one_and_zeros_stay():
    raw = make_profiles()
    features = raw.features_MF.copy()
    features[3] = 0
    unit = l2_normalise(raw.after(features, step="made"))
    lengths = np.linalg.norm(unit.features_MF, axis=1)
    np.testing.assert_allclose(np.delete(lengths, 3), 1, rtol=1e-6)
    assert lengths[3] == 0


def test_the_order_of_steps_is_fixed_and_recorded():
    raw = make_profiles()
    done = post_process(raw, normalize="mad", whiten="sphere", align=0.9, l2=True)
    by_hand = l2_normalise(align(whiten(normalise(raw, "mad"), "sphere"), 0.9))
    np.testing.assert_array_equal(done.features_MF, by_hand.features_MF)
    assert [step["step"] for step in done.steps] == ["normalize", "whiten", "align", "l2"]
    assert post_process(raw) is raw


@pytest.mark.filterwarnings("error")
def test_ridge_zero_is_the_pseudo_inverse():
    """Directions in which the controls do not vary are removed and counted, without a warning; the rest is exactly white."""
    raw = make_profiles(features=300, shift=0.0)  # 48 controls: 47 directions
    white = whiten(raw, "sphere", ridge=0)
    controls = raw.features_MF[raw.is_control_M].astype(float)
    centred = raw.features_MF - controls.mean(axis=0)
    vectors_RF = np.linalg.svd(controls - controls.mean(axis=0), full_matrices=False)[2][:47]
    within = covariance_of(centred[raw.is_control_M] @ vectors_RF.T)
    by_hand = centred @ vectors_RF.T @ scipy.linalg.fractional_matrix_power(within, -0.5) @ vectors_RF
    np.testing.assert_allclose(white.features_MF, by_hand, rtol=2e-3, atol=2e-3)
    np.testing.assert_allclose(covariance_of(white.features_MF[raw.is_control_M] @ vectors_RF.T), np.eye(47), atol=1e-3)
    assert white.steps[0]["directions_removed"] == 300 - 47
    assert "\n  ridge 0: 253 directions without variation over the controls removed" in white.text()
    assert np.isfinite(whiten(raw, "tvn", ridge=0).features_MF).all()
    full = whiten(make_profiles(shift=0.0), "sphere", ridge=0)
    assert full.steps[0]["directions_removed"] == 0
    np.testing.assert_allclose(covariance_of(full.features_MF[full.is_control_M]), np.eye(5), atol=1e-5)


def test_options_without_a_meaning_are_refused():
    raw = make_profiles()
    for steps, message in [
        ({"ridge": 0.1}, "--ridge 0.1 is the ridge of --whiten: give --whiten sphere or tvn"),
        ({"whiten": "sphere", "ridge": -1.0}, "--ridge -1: need a number from 0 up"),
        ({"whiten": "sphere", "ridge": np.nan}, "--ridge nan: need a number from 0 up"),
        ({"whiten": "sphere", "ridge": np.inf}, "--ridge inf: need a number from 0 up"),
    ]:
        with pytest.raises(UsageError, match=message):
            post_process(raw, **steps)
    default, given = (post_process(raw, whiten="sphere", ridge=ridge) for ridge in (None, 0.1))
    np.testing.assert_array_equal(default.features_MF, given.features_MF)
    assert default.steps == given.steps
