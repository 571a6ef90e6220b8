"""Adjusted p and the share retrieved."""

import numpy as np
import pandas as pd
import pytest
from scipy.stats import false_discovery_control

from kit.errors import UsageError
from kit.measures.activity import QUERY
from kit.measures.fdr import benjamini_hochberg, hierarchical
from kit.measures.null import NullRule
from kit.measures.retrieval import Rule, retrieve


def test_benjamini_hochberg_equals_scipy():
    p = np.random.default_rng(0).random(50) ** 3
    p[:4] = p[7]  # ties
    np.testing.assert_allclose(benjamini_hochberg(p), false_discovery_control(p))
    assert benjamini_hochberg(np.array([])).tolist() == []


def test_hierarchical_worked_by_hand():
    p, parents = np.array([0.01, 0.04, 0.9, 0.2, 0.3]), np.array(["x", "x", "x", "y", "y"])
    #  least p: x .01, y .2; adjusted .02, .2: y does not pass. Within x: .03, .06, .9
    np.testing.assert_allclose(hierarchical(p, parents, 0.05), [0.03, 0.06, 0.9, 1, 1])
    np.testing.assert_allclose(hierarchical(p, parents, 0.2), [0.03, 0.06, 0.9, 0.3, 0.3])


def queries(*rows: tuple[str, float]) -> pd.DataFrame:
    return pd.DataFrame([(row, label, precision, 1, 20) for row, (label, precision) in enumerate(rows)], columns=QUERY)


def test_retrieved_by_hand():
    found = retrieve(queries(("y", 1.0), ("x", 0.5), ("x", 0.1), ("y", 1.0)), Rule(rate=0.11)).set_index("label")
    assert found.index.tolist() == ["x", "y"]
    assert found["mean_average_precision"].tolist() == [0.3, 1.0]
    assert found["p"].tolist() == pytest.approx([3 / 20, 1 / 20])  # one of 20 orders is best; 1, 1/2 and 1/3 are at least .3
    assert found["adjusted_p"].tolist() == pytest.approx([0.15, 0.1])
    assert found["retrieved"].tolist() == [False, True]


def test_one_null_per_query_retrieves_more():
    table = queries(*[(label, precision) for label, precision in (("x", 0.5), ("y", 0.4)) for _ in range(4)])
    shared, each = (retrieve(table, Rule(null=NullRule(queries=name)))["retrieved"].mean() for name in ("shared", "each"))
    assert (shared, each) == (0.0, 1.0)


def test_no_queries_give_an_empty_table():
    assert retrieve(queries(), Rule()).empty


def test_bad_rate():
    with pytest.raises(UsageError, match=r"false discovery rate 1\.5: need a number between 0 and 1"):
        Rule(rate=1.5)
