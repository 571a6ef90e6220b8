"""Fewer columns: a rotation keeps distances, angles and nearest wells; a reduction says what it costs."""

import numpy as np
import pytest
import scipy.spatial.distance

from kit.challenge.rotate import SCORED, reduce, rotate
from kit.errors import UsageError


def wells(rows: int = 30, features: int = 90, seed: int = 0) -> np.ndarray:
    return (np.random.default_rng(seed).standard_normal((rows, features)) * np.linspace(0.1, 5, features)).astype(np.float32)


@pytest.mark.parametrize("metric", ["euclidean", "cosine"])
@pytest.mark.parametrize("features", [90, 30, 12])
def test_a_rotation_keeps_distances_and_nearest_wells(metric, features):
    given = wells(features=features)
    done = rotate(given)
    assert done.columns_MN.shape == (30, min(30, features))
    before, after = (
        scipy.spatial.distance.squareform(scipy.spatial.distance.pdist(rows.astype(float), metric))
        for rows in (given, done.columns_MN)
    )
    np.testing.assert_allclose(after, before, atol=1e-6 * before.max())
    for distance in (before, after):
        np.fill_diagonal(distance, np.inf)
    np.testing.assert_array_equal(after.argmin(axis=1), before.argmin(axis=1))
    assert done.other_nearest == 0
    assert done.error < 1e-6


def test_wells_that_are_alike_need_fewer_columns():
    given = wells(rows=20)
    given[10:] = given[:10]  # duplicates: rank 10
    done = rotate(given)
    assert done.columns_MN.shape == (20, 10)
    np.testing.assert_allclose(done.columns_MN[10:], done.columns_MN[:10], atol=1e-5)
    assert done.other_nearest == 0
    assert rotate(np.zeros((3, 5), dtype=np.float32)).columns_MN.tolist() == [[0], [0], [0]]


def test_a_reduction_is_the_truncated_svd_and_counts_what_is_lost():
    given = wells()
    done = reduce(given, 5)
    vectors, sizes, _ = np.linalg.svd(given.astype(float), full_matrices=False)
    np.testing.assert_allclose(np.abs(done.columns_MN), np.abs(vectors[:, :5] * sizes[:5]), rtol=1e-4, atol=1e-4)
    assert done.lost == pytest.approx(1 - (sizes[:5] ** 2).sum() / (sizes**2).sum(), rel=1e-4)
    before, after = (
        scipy.spatial.distance.squareform(scipy.spatial.distance.pdist(rows.astype(float), "sqeuclidean"))
        for rows in (given, done.columns_MN)
    )
    assert done.error == pytest.approx(np.abs(before - after).max() / before.max(), rel=1e-4)
    changed = []
    for metric in ("euclidean", "cosine"):
        one, two = (
            scipy.spatial.distance.squareform(scipy.spatial.distance.pdist(rows.astype(float), metric)) + 1e9 * np.eye(30)
            for rows in (given, done.columns_MN)
        )
        changed.append((one.argmin(axis=1) != two.argmin(axis=1)).sum())
    assert done.other_nearest == max(changed) > 0
    assert f"the nearest well changes for {max(changed)} of 30" in done.text()


def test_what_cannot_be_reduced_is_one_line():
    for columns in (0, 30, 90):
        with pytest.raises(UsageError, match=f"--columns {columns}: need 1 to 29, for 30 rows of 90 features: --rotate keeps"):
            reduce(wells(), columns)
    assert SCORED == 9 * 2 * 768
