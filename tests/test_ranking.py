"""Neighbours from float32 products are those of float64, whatever the data: ties, duplicates, outliers, far from the origin."""

import numpy as np
import pytest

from kit.neighbours import Gram, Ranking, distances, gram, nearest, products
from kit.neighbours.exact import exact_gram
from kit.neighbours.ranking import unclear_places

M = 240


def data_sets() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    noise = rng.standard_normal((M, 30))
    clusters = np.where(np.arange(M) % 2, 1.0, -1.0)[:, None] * noise[0] + 1e-4 * noise  # alike to float32 products
    twice = noise.copy()
    twice[1::2] = twice[::2] * np.where(np.arange(M // 2) % 2, 1.0, 2.0)[:, None]
    lengths = noise * 10.0 ** rng.integers(-12, 6, size=(M, 1))
    holes = noise.copy()
    holes[::7] = 0
    return {
        "noise": noise,
        "far": noise + 1000,
        "clusters": clusters,
        "twice": twice,
        "lengths": lengths,
        "holes": holes,
        "counts": rng.integers(0, 3, size=(M, 6)).astype(float),
        "constant": np.ones((M, 4)),
        "wide": rng.standard_normal((M, 300)),
    }


DATA = {name: values.astype(np.float32) for name, values in data_sets().items()}


def in_float64(features_MF, metric, query, train, k):
    """The rule: by distance in float64, of equal ones the first row; summed pair by pair, so that equal rows are equal."""
    wide = features_MF.astype(np.float64)
    product_MM = np.array([np.einsum("tf,tf->t", np.broadcast_to(row, wide.shape).copy(), wide) for row in wide])
    return train[np.argsort(distances(product_MM, metric)[np.ix_(query, train)], axis=1, kind="stable")[:, :k]]


@pytest.mark.parametrize("metric", ["cosine", "euclidean"])
@pytest.mark.parametrize("name", DATA)
def test_float32_products_give_the_neighbours_of_float64(name, metric):
    rng, features_MF = np.random.default_rng(1), DATA[name]
    query, train = np.arange(0, 60), np.arange(60, M)
    fast = Gram.of(features_MF, small=0)
    assert not fast.exact
    for k in (1, 5, 40):
        np.testing.assert_array_equal(
            fast.nearest(query, train, k, metric).rows_Qk, in_float64(features_MF, metric, query, train, k), err_msg=f"{k}"
        )
    whole = Ranking(Gram.of(features_MF, small=0), query, train, M, metric)
    expected = in_float64(features_MF, metric, query, train, 5)
    np.testing.assert_array_equal(whole.nearest(np.arange(60), train, [5]).rows_Qk, expected)
    ranking = Ranking(Gram.of(features_MF, small=0), query, train, 12, metric)  # too few: a fold must look further
    for _ in range(3):
        some = np.sort(rng.choice(train, 70, replace=False))
        expected = in_float64(features_MF, metric, query, some, 9)
        found = ranking.nearest(np.arange(60), some, [1, 4, 9], need="set").rows_Qk
        for k in (1, 4, 9):
            np.testing.assert_array_equal(np.sort(found[:, :k]), np.sort(expected[:, :k]))


@pytest.mark.parametrize("metric", ["cosine", "euclidean"])
@pytest.mark.parametrize("name", DATA)
def test_no_distance_is_further_from_float64_than_its_bound(name, metric):
    fast, everyone = Gram.of(DATA[name], small=0), np.arange(M)
    error_MM = np.abs(fast.distances(everyone, everyone, metric) - distances(gram(DATA[name]), metric))
    scale = 1.0 if metric == "cosine" else np.square(DATA[name].astype(float)).sum(axis=1).max()
    assert (error_MM <= fast.bounds(everyone, everyone, metric) + 1e-14 * scale).all()


@pytest.mark.parametrize("small", [0, 1e9])
def test_rows_apart_are_left_out_as_if_they_were_not_there(small):
    product, code_M = Gram.of(DATA["noise"], small=small), np.arange(M) % 5
    query, train = np.arange(0, 50), np.arange(40, M)
    found = product.nearest(query, train, 130, "cosine", apart=[code_M]).rows_Qk  # more than half of them
    for row, own in zip(query, found, strict=True):
        others = train[code_M[train] != code_M[row]]
        np.testing.assert_array_equal(own, in_float64(DATA["noise"], "cosine", np.array([row]), others, 130)[0])
    with pytest.raises(ValueError, match="only 160 rows that count: 161 are wanted"):
        product.nearest(query, train, 161, "cosine", apart=[code_M])


def test_after_many_doubts_the_whole_is_taken_exactly():
    fast = Gram.of(DATA["constant"], small=0)
    found = fast.nearest(np.arange(0, 60), np.arange(60, M), 5, "euclidean")
    assert fast.exact
    np.testing.assert_array_equal(found.rows_Qk, np.tile(np.arange(60, 65), (60, 1)))


def test_what_is_unclear_by_hand():
    distance, bound = np.array([[1.0, 2.0, 2.1, 3.0, 3.1]]), np.full((1, 5), 0.1)
    bound[0, 0] = 0

    def places(ks, need="set"):
        unclear, beyond = unclear_places(distance, bound, ks, need)
        return np.flatnonzero(unclear[0]).tolist(), bool(beyond[0])

    assert places([1]) == ([], False)
    assert places([2]) == ([1, 2], False)  # which of the two is second
    assert places([3]) == ([], False)  # the first three in any order
    assert places([3], "order") == ([1, 2], False)
    assert places([2], "distances") == ([1, 2], False)
    assert places([4], "distances") == ([1, 2, 3, 4], True)  # the first is exact
    assert places([1, 4]) == ([3, 4], True)  # a sixth might be nearer than the fifth
    assert places([5]) == ([], False)


@pytest.mark.parametrize("name", DATA)
def test_products_made_in_place_are_those_of_float64(name):
    made, expected = exact_gram(DATA[name]), gram(DATA[name])
    np.testing.assert_allclose(made, expected, rtol=1e-12, atol=1e-12 * np.abs(expected).max())
    np.testing.assert_array_equal(made, made.T)


@pytest.mark.parametrize(("M", "F"), [(12, 33), (531, 300)])  # in the first OpenBLAS's own sums differ
def test_rows_that_are_equal_have_equal_products_wherever_they_stand(M, F):
    features_MF = np.random.default_rng(0).standard_normal((M, F), dtype=np.float32)
    same = [1, M // 2, M - 2, M - 1]
    features_MF[same] = features_MF[1]
    made = exact_gram(features_MF)
    for row in same:
        np.testing.assert_array_equal(made[row], made[1])
        np.testing.assert_array_equal(made[:, row], made[:, 1])
    wanted = Gram.of(features_MF, small=0, exact=True)
    assert wanted.exact
    assert wanted.nearest(np.array([1, M - 1]), np.arange(M), 4, "cosine").rows_Qk.tolist() == [same] * 2


def test_products_too_large_to_hold_stay_in_float32(monkeypatch):
    monkeypatch.setattr(products, "_HELD", 8 * M * M - 1)
    assert not Gram.of(DATA["noise"], small=0, exact=True).exact
    assert Gram.of(DATA["noise"][1:], small=0, exact=True).exact


def test_large_values_are_multiplied_in_float64():
    assert Gram.of(np.full((3, 2), 1e30, dtype=np.float32) * np.arange(3, dtype=np.float32)[:, None], small=0).exact
    known = np.array([[2.0, 1.0], [1.0, 5.0]])
    np.testing.assert_array_equal(Gram.of_products(known).products(np.array([1]), np.array([0, 1])), [[1.0, 5.0]])


def test_a_full_sort_is_what_nearest_gives():
    distance_QT = np.random.default_rng(0).integers(0, 5, size=(20, 15)).astype(float)
    np.testing.assert_array_equal(nearest(distance_QT, 15), np.argsort(distance_QT, axis=1, kind="stable"))
