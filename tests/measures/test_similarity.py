"""Cosines of perturbations and their order: against numpy, and families that must stand together."""

import numpy as np

from kit.measures import similarity as module
from kit.measures.similarity import clustered_order, most_alike, similarity


def families() -> tuple[np.ndarray, np.ndarray]:
    """Thirty rows of three families in turn, and the family of each."""
    rng = np.random.default_rng(0)
    family_L = np.arange(30) % 3
    return rng.standard_normal((3, 20))[family_L] + 0.3 * rng.standard_normal((30, 20)), family_L


def test_cosines_are_those_of_numpy_and_an_empty_row_is_like_none():
    rows, _ = families()
    centred = rows - rows.mean(1, keepdims=True)
    np.testing.assert_allclose(similarity(centred), np.corrcoef(rows), atol=1e-6)
    rows[4] = 0
    assert not similarity(rows)[4].any()


def test_like_stands_beside_like():
    rows, family_L = families()
    order = clustered_order(similarity(rows))
    assert sorted(order) == list(range(30))
    assert (np.diff(family_L[order]) != 0).sum() == 2
    assert clustered_order(np.eye(2)).tolist() == [0, 1]


def test_the_most_alike_are_those_of_the_whole_matrix_however_many_rows_at_once(monkeypatch):
    rows, _ = families()
    cosine_LL = similarity(rows)
    np.fill_diagonal(cosine_LL, -2)
    for at_once in (7, 100):
        monkeypatch.setattr(module, "_AT_ONCE", at_once)
        found_Lk, cosine_Lk = most_alike(rows, 4)
        assert (found_Lk == np.argsort(-cosine_LL, axis=1)[:, :4]).all()
        np.testing.assert_allclose(cosine_Lk, -np.sort(-cosine_LL, axis=1)[:, :4], atol=1e-6)
    assert most_alike(rows[:1], 4)[0].shape == (1, 0)
