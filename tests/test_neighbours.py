"""Neighbours and votes against hand-worked cases and scikit-learn."""

from fractions import Fraction

import numpy as np
import pytest
from sklearn.metrics.pairwise import cosine_distances, euclidean_distances
from sklearn.neighbors import KNeighborsClassifier

from kit.neighbours import LAST, Gram, count_votes, distances, gram, narrowest, nearest, vote, weights


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_gram_is_the_product_in_float64(dtype):
    features_MF = np.random.default_rng(0).standard_normal((7, 2500)).astype(dtype)  # more than two blocks of columns
    expected = features_MF.astype(np.float64) @ features_MF.astype(np.float64).T
    np.testing.assert_allclose(gram(features_MF), expected, rtol=1e-12)


@pytest.mark.parametrize("offset", [0.0, 1e3])  # far from the origin, the difference of large squares
def test_distances_match_scikit_learn(offset):
    features_MF = (np.random.default_rng(1).standard_normal((40, 9)) + offset).astype(np.float32)
    product = gram(features_MF)
    wide = features_MF.astype(np.float64)
    np.testing.assert_allclose(np.sqrt(distances(product, "euclidean")), euclidean_distances(wide), atol=1e-4)
    np.testing.assert_allclose(distances(product, "cosine"), cosine_distances(wide), atol=1e-12)


def test_a_row_of_zeros_is_at_cosine_distance_one():
    features_MF = np.array([[0, 0], [3, 4], [-3, -4]], dtype=np.float32)
    np.testing.assert_allclose(distances(gram(features_MF), "cosine"), [[1, 1, 1], [1, 0, 2], [1, 2, 0]], atol=1e-12)


def test_of_equal_distances_the_first_column_comes_first():
    distance_QT = np.array([[2.0, 1.0, 1.0, 1.0, 0.5], [5.0, 4.0, 3.0, 2.0, 1.0]])
    np.testing.assert_array_equal(nearest(distance_QT, 3), [[4, 1, 2], [4, 3, 2]])
    np.testing.assert_array_equal(nearest(distance_QT, 5), np.argsort(distance_QT, axis=1, kind="stable"))


@pytest.mark.parametrize("k", [1, 3, 10, 30])
def test_nearest_is_a_stable_sort(k):
    distance_QT = np.random.default_rng(k).integers(0, 6, size=(50, 30)).astype(float)  # ties everywhere
    np.testing.assert_array_equal(nearest(distance_QT, k), np.argsort(distance_QT, axis=1, kind="stable")[:, :k])


def test_votes_by_hand():
    labels_Qk = np.array([[3, 1, 1, 3, 2], [4, 2, 4, 2, 9], [5, 7, 0, 1, 2], [6, 6, 6, 0, 0]])  # nearest first
    np.testing.assert_array_equal(vote(labels_Qk, "sklearn"), [1, 2, 0, 6])  # of equal counts the smallest label
    np.testing.assert_array_equal(vote(labels_Qk, "nearest"), [3, 4, 5, 6])


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("metric", ["cosine", "euclidean"])
@pytest.mark.parametrize("k", [1, 3, 5, 10])
def test_predictions_equal_scikit_learns_where_no_distances_are_equal(metric, k, dtype):
    rng = np.random.default_rng(k)
    features_MF = rng.standard_normal((200, 5)).astype(dtype)
    label_M = rng.integers(0, 40, size=200)  # five wells a class: ties of the vote are the rule
    train, test = np.arange(0, 140), np.arange(140, 200)
    oracle = KNeighborsClassifier(k, metric=metric, algorithm="brute").fit(features_MF[train].astype(np.float64), label_M[train])
    distance_QT = distances(gram(features_MF), metric)[np.ix_(test, train)]
    assert np.diff(np.sort(distance_QT)).min() > 1e-12
    neighbours_Qk = nearest(distance_QT, k)
    ours = vote(label_M[train][neighbours_Qk], "sklearn")
    np.testing.assert_array_equal(ours, oracle.predict(features_MF[test].astype(np.float64)))
    if k == 5:
        assert (ours != vote(label_M[train][neighbours_Qk], "nearest")).mean() > 0.1  # the rule matters here


def exact_order(features_MF, metric, test, train):
    """Return the training rows of every query, nearest first, in whole numbers and fractions: nothing is rounded."""
    if metric == "euclidean":
        square_QT = ((features_MF[test, None] - features_MF[None, train]) ** 2).sum(axis=2)
        return np.argsort(square_QT, axis=1, kind="stable")
    product_MM = features_MF @ features_MF.T
    order = []
    for query in test:  # the cosine's square, with its sign; a query's own length changes no order
        products = [(int(product_MM[query, row]), int(product_MM[row, row]) or 1) for row in train]
        cosines = [Fraction(product * abs(product), square) for product, square in products]
        order.append(sorted(range(len(train)), key=lambda column: (-cosines[column], column)))
    return np.array(order)


@pytest.mark.parametrize("metric", ["cosine", "euclidean"])
@pytest.mark.parametrize(("least", "most"), [(0, 2), (0, 4), (-3, 3)])
def test_of_equal_distances_between_whole_numbers_the_first_row_counts(metric, least, most):
    features_MF = np.random.default_rng(0).integers(least, most, size=(600, 8), endpoint=True)
    test, train = np.arange(0, 100), np.arange(300, 600)
    expected_QT = exact_order(features_MF, metric, test, train)
    distance_QT = distances(gram(features_MF.astype(np.float32)), metric)[np.ix_(test, train)]
    for k in (1, 3, 5, 10):
        np.testing.assert_array_equal(nearest(distance_QT, k), expected_QT[:, :k], err_msg=f"k = {k}")
    from_float32 = Gram.of(features_MF.astype(np.float32), small=0).nearest(test, train, 10, metric).rows_Qk
    np.testing.assert_array_equal(from_float32, train[expected_QT[:, :10]])


@pytest.mark.parametrize("small", [0, 1e9])  # from float32 products, and from float64
@pytest.mark.parametrize("metric", ["cosine", "euclidean"])
@pytest.mark.parametrize("voting", ["uniform", "distance"])
def test_every_k_at_once_equals_scikit_learn(metric, voting, small):
    rng = np.random.default_rng(7)
    features_MF = rng.standard_normal((260, 6)).astype(np.float32)
    features_MF[:20] = features_MF[200:220]  # queries that are at distance 0 of a row that trains
    label_M, ks = rng.integers(0, 30, size=260), [1, 3, 5, 10, 20]
    test, train = np.arange(0, 60), np.arange(60, 260)
    near = Gram.of(features_MF, small=small).nearest(test, train, 20, metric, exact=voting == "distance")
    weight_QK = weights(near.distance_Qk, metric) if voting == "distance" else None
    found = count_votes(label_M[near.rows_Qk], label_M[test], ks, ["sklearn", "nearest"], weight_QK)
    wide = features_MF.astype(np.float64)
    for k in ks:
        oracle = KNeighborsClassifier(k, metric=metric, weights=voting, algorithm="brute").fit(wide[train], label_M[train])
        np.testing.assert_array_equal(found[k, "sklearn"].said_Q, oracle.predict(wide[test]), err_msg=f"{k}")
        for ties in ("sklearn", "nearest"):
            of_k = None if weight_QK is None else weight_QK[:, :k]
            np.testing.assert_array_equal(found[k, ties].said_Q, vote(label_M[near.rows_Qk[:, :k]], ties, of_k))
            np.testing.assert_array_equal(found[k, ties].place_Q == 0, found[k, ties].said_Q == label_M[test])
        share_QL = np.where(
            (shares := oracle.predict_proba(wide[test])) < 1e-9, 0, shares
        )  # equal shares: the smaller label first
        order_QL = np.argsort(-share_QL, axis=1, kind="stable")
        for query, votes in enumerate(share_QL):
            place = order_QL[query].tolist().index(label_M[query]) if votes[label_M[query]] > 0 else LAST
            if np.abs(np.diff(np.sort(votes[votes > 0]))).min(initial=1) > 1e-9 or voting == "uniform":
                assert found[k, "sklearn"].place_Q[query] == place


def test_votes_by_distance_by_hand():
    distance_Qk = np.array([[1.0, 2.0, 2.0], [0.0, 0.0, 1.0], [4.0, 4.0, 16.0]])
    np.testing.assert_array_equal(weights(distance_Qk, "cosine"), [[1, 0.5, 0.5], [1, 1, 0], [0.25, 0.25, 0.0625]])
    np.testing.assert_array_equal(weights(distance_Qk, "euclidean")[2], [0.5, 0.5, 0.25])
    labels_Qk = np.array([[7, 3, 3], [5, 4, 4], [9, 8, 8]])
    weight_Qk = weights(distance_Qk, "cosine")
    np.testing.assert_array_equal(vote(labels_Qk, "sklearn", weight_Qk), [3, 4, 8])
    np.testing.assert_array_equal(vote(labels_Qk, "nearest", weight_Qk), [7, 5, 8])
    np.testing.assert_allclose(narrowest(labels_Qk, [3], weight_Qk, [1]), [0, 0, 0.2])
    np.testing.assert_allclose(narrowest(labels_Qk, [1], weight_Qk, [1]), [1, 1, 1])  # one vote: nobody is next


def test_a_label_may_have_more_than_255_votes():
    labels_Qk = np.array([[1] * 256 + [0] * 44])
    for ties in ("sklearn", "nearest"):
        found = count_votes(labels_Qk, np.array([1]), [256, 300], [ties])
        assert [int(found[k, ties].said_Q[0]) for k in (256, 300)] == [1, 1]
        assert found[300, ties].place_Q.tolist() == [0]
