"""The null of average precision: against every order written out, against orders drawn, and the rules of p."""

import itertools

import numpy as np
import pytest

from kit.errors import UsageError
from kit.measures import null
from kit.measures.null import GRID, NullRule, Nulls, exact_nulls


def every_order(P: int, N: int) -> np.ndarray:
    ranks = np.array(list(itertools.combinations(range(1, N + 1), P)))
    return (np.arange(1, P + 1) / ranks).mean(axis=1)


@pytest.mark.parametrize(("P", "N"), [(1, 1), (1, 7), (2, 9), (3, 12), (5, 13)])
def test_exact_p_is_that_of_all_orders(P, N):
    orders = every_order(P, N)
    nulls = Nulls([(P, N)], NullRule())
    for mean in np.unique(orders.round(12)):
        p = nulls.p_value(mean, [(P, N)] * 3)  # three like queries share one value
        assert (orders >= mean - 1e-9).mean() - 1e-12 <= p <= (orders >= mean - 2 / GRID).mean() + 1e-12


def test_beyond_leaves_out_what_equals_the_mean():
    assert Nulls([(1, 4)], NullRule()).p_value(0.5, [(1, 4)]) == pytest.approx(2 / 4)
    assert Nulls([(1, 4)], NullRule(beyond=True)).p_value(0.5, [(1, 4)]) == pytest.approx(1 / 4)
    assert Nulls([(1, 4)], NullRule(beyond=True)).p_value(1.0, [(1, 4)]) == 0.0


def test_the_rarest_order_keeps_its_p():
    assert Nulls([(4, 68)], NullRule()).p_value(1.0, [(4, 68)]) == pytest.approx(1 / 814_385)


def test_queries_of_their_own_are_independent():
    #  of one positive among three: precision 1, 1/2, 1/3; the mean of two queries of their own is at least 3/4 in 3 of 9 cases
    assert Nulls([(1, 3)], NullRule(queries="each")).p_value(0.75, [(1, 3)] * 2) == pytest.approx(3 / 9)
    assert Nulls([(1, 3)], NullRule()).p_value(0.75, [(1, 3)] * 2) == pytest.approx(1 / 3)


def test_queries_of_two_kinds_never_share_a_value():
    #  kinds 1 of 2 (1, 1/2) twice and 1 of 3 once, each twice in turn: mean of 2 * x + y over 3, at least 5/6: 2 of 6 pairs
    kinds = [(1, 2), (1, 3), (1, 2)]
    assert Nulls(kinds, NullRule()).p_value(5 / 6, kinds) == pytest.approx(2 / 6)
    assert Nulls(kinds, NullRule(queries="each")).p_value(5 / 6, kinds) == pytest.approx((2 + 1 + 1 + 0) / 12, abs=1e-9)


@pytest.mark.parametrize("queries", ["shared", "each"])
def test_drawn_orders_give_the_exact_p(queries):
    kinds = [(2, 11)] * 2 + [(3, 9)]
    draws = 20_000
    exact, drawn = Nulls(kinds, NullRule(queries=queries)), Nulls(kinds, NullRule(queries=queries, draws=draws, seed=4))
    for mean in (0.25, 0.4, 0.6):
        p = exact.p_value(mean, kinds)
        assert abs(drawn.p_value(mean, kinds) - p) < 4 * np.sqrt(p * (1 - p) / draws) + 2 / draws


def test_drawn_orders_depend_on_seed_and_kind_alone():
    rule = NullRule(draws=500, seed=1)
    alone, among = Nulls([(3, 20)], rule), Nulls([(2, 9), (3, 20)], rule)
    among.p_value(0.5, [(2, 9)])
    assert among.p_value(0.3, [(3, 20)]) == alone.p_value(0.3, [(3, 20)])
    assert alone.p_value(0.3, [(3, 20)]) != Nulls([], NullRule(draws=500, seed=2)).p_value(0.3, [(3, 20)])


def test_kinds_too_many_for_a_grid_are_drawn(monkeypatch):
    assert exact_nulls([(3, 20), (400, 4000)])[0].keys() == {(3, 20)}
    monkeypatch.setattr(null, "DRAWS", 2000)
    p = Nulls([(400, 4000)], NullRule()).p_value(0.1036, [(400, 4000)])  # the expected precision is .1012
    assert p == pytest.approx(0.33, abs=0.2)


def test_a_pass_is_the_same_alone_and_with_others():
    alone, together = (exact_nulls(kinds)[0][2, 6] for kinds in ([(2, 6)], [(2, 6), (5, 30)]))
    np.testing.assert_allclose(alone, together, atol=1e-12)
    assert alone.sum() == pytest.approx(1)


@pytest.mark.parametrize(("bad", "said"), [({"queries": "one"}, "null one: need shared or each"), ({"draws": -1}, "-1 draws")])
def test_bad_rules(bad, said):
    with pytest.raises(UsageError, match=said):
        NullRule(**bad)
