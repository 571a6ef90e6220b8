"""Profiles in a plane: principal components against numpy's singular values, and which rows UMAP is given."""

import sys

import numpy as np

from kit.profiles.projection import MOST_UMAP, principal_components, umap_plane, umap_rows


def test_principal_components_are_those_of_the_singular_values():
    rng = np.random.default_rng(0)
    rows = rng.standard_normal((40, 6)) * [9, 4, 2, 1, 1, 1] + 7
    points_MN, share_N = principal_components(rows.astype(np.float32), 2)
    left, strength, _ = np.linalg.svd(rows - rows.mean(0), full_matrices=False)
    np.testing.assert_allclose(np.abs(points_MN), np.abs(left[:, :2] * strength[:2]), rtol=1e-3, atol=1e-3)
    np.testing.assert_allclose(share_N, (strength**2 / (strength**2).sum())[:2], rtol=1e-4)
    again, _ = principal_components(rows.astype(np.float32), 2)
    assert (again == points_MN).all()


def test_too_few_rows_or_columns_give_fewer_components():
    assert principal_components(np.ones((1, 5)), 2)[0].shape == (1, 0)
    points_MN, share_N = principal_components(np.ones((3, 1)), 2)
    assert points_MN.tolist() == [[0], [0], [0]]
    assert share_N.tolist() == [0]


def test_umap_is_given_rows_spread_over_all_and_may_be_absent(monkeypatch):
    assert umap_rows(7).tolist() == list(range(7))
    rows = umap_rows(10 * MOST_UMAP)
    assert (len(rows), rows[0], rows[-1]) == (MOST_UMAP, 0, 10 * MOST_UMAP - 1)
    assert set(np.diff(rows)) <= {9, 10, 11}
    monkeypatch.setitem(sys.modules, "umap", None)
    assert umap_plane(np.random.default_rng(0).random((20, 3))) is None
