"""Logistic regressions of all classes at once: against scikit-learn and scipy, class by class."""

import numpy as np
import pytest
from scipy.optimize import minimize
from sklearn.linear_model import LogisticRegression

from kit.probes.classify import logistic_each
from kit.probes.logistic import fit_each


def made(rows: int, features: int, scale: float) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    x_TF = scale * rng.standard_normal((rows, features)) + 1
    said_TL = (x_TF[:, :3] + scale * rng.standard_normal((rows, 3)) > 1 + scale).astype(np.int64)
    return x_TF, said_TL


@pytest.mark.parametrize(("rows", "features", "scale"), [(60, 5, 1.0), (20, 40, 1.0), (40, 4, 100.0)])  # the second is separable
def test_the_minimum_is_scikit_learns_class_by_class(rows, features, scale):
    x_TF, said_TL = made(rows, features, scale)
    weight_FL, bias_L = fit_each(x_TF, said_TL)
    for label in range(3):
        one = LogisticRegression(tol=1e-10, max_iter=100_000, solver="newton-cholesky").fit(x_TF, said_TL[:, label])
        np.testing.assert_allclose(weight_FL[:, label], one.coef_[0], atol=1e-3)
        np.testing.assert_allclose(bias_L[label], one.intercept_[0], atol=5e-3)


def test_no_class_is_above_what_scipy_finds_from_the_same_formula():
    x_TF, said_TL = made(30, 4, 2.0)
    weight_FL, bias_L = fit_each(x_TF, said_TL)
    for label in range(3):

        def height(at, label=label):
            logit_T = x_TF @ at[:-1] + at[-1]
            return at[:-1] @ at[:-1] / 2 + np.sum(np.log1p(np.exp(logit_T)) - said_TL[:, label] * logit_T)

        assert height(np.append(weight_FL[:, label], bias_L[label])) <= minimize(height, np.zeros(5)).fun + 1e-6


def test_a_class_that_all_or_none_have_needs_no_regression():
    x_TF, said_TL = made(30, 4, 1.0)
    said_TL[:, 0], said_TL[:, 2] = 1, 0
    p_QL = logistic_each(x_TF, said_TL, x_TF[:7])
    assert (p_QL[:, 0] == 1).all()
    assert (p_QL[:, 2] == 0).all()
    one = LogisticRegression(tol=1e-10, solver="newton-cholesky").fit(x_TF, said_TL[:, 1])
    np.testing.assert_allclose(p_QL[:, 1], one.predict_proba(x_TF[:7])[:, 1], atol=1e-4)
