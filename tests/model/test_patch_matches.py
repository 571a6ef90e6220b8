"""Patches matched between sites, against scipy's distances and worked by hand."""

import numpy as np
import torch
from scipy.spatial.distance import cdist

from kit.model.patch_matches import match_patches


def test_cosines_and_nearest_as_scipy_has_them():
    generator = torch.Generator().manual_seed(0)
    first_ND, second_MD = (torch.randn(rows, 6, generator=generator) for rows in (12, 20))
    first_N, second_M = np.arange(12) % 4 > 0, np.arange(20) % 3 > 0
    found = match_patches(first_ND, second_MD, first_N, second_M)
    distance_NM = cdist(first_ND.numpy(), second_MD.numpy(), "cosine")
    np.testing.assert_allclose(found.cosine_NM, 1 - distance_NM, atol=1e-6)
    rows_K, columns_L = np.flatnonzero(first_N), np.flatnonzero(second_M)
    inside_KL = distance_NM[np.ix_(rows_K, columns_L)]
    assert found.nearest_N[rows_K].tolist() == columns_L[inside_KL.argmin(axis=1)].tolist()
    assert (found.nearest_N[~first_N] == -1).all()
    both = [row for row in range(len(rows_K)) if inside_KL[:, inside_KL[row].argmin()].argmin() == row]
    assert np.flatnonzero(found.mutual_N).tolist() == rows_K[both].tolist()
    assert 0 < len(both) < len(rows_K)


def test_by_hand_length_does_not_count_and_background_is_nobodys():
    first_ND = torch.tensor([[1.0, 0.0], [3.0, 1.0], [0.0, 9.0]])
    second_MD = torch.tensor([[50.0, 1.0], [0.0, 1.0], [1.0, 0.0]])
    found = match_patches(first_ND, second_MD, np.array([True, True, True]), np.array([True, True, False]))
    assert found.nearest_N.tolist() == [0, 0, 1]  # the third of the second site is background
    assert found.mutual_N.tolist() == [True, False, True]
    nothing = match_patches(first_ND, second_MD, np.array([True] * 3), np.zeros(3, dtype=bool))
    assert nothing.nearest_N.tolist() == [-1, -1, -1]
    assert not nothing.mutual_N.any()
