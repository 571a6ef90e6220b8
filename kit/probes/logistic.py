"""A logistic regression for each class, all at once: Newton's method, every step by conjugate gradients.

T rows that train, F features (and the bias, last), L classes. Classes share the products with the features, which is most of the
work; scikit-learn finds the same minimum class by class.
"""

import numpy as np

_STEPS, _HALVINGS = 100, 30
_TOLERANCE = 1e-5  # of the mean gradient
_RESIDUAL = 0.3  # of the gradient, where conjugate gradients stop


def fit_each(train_TF: np.ndarray, said_TL: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return weights [F, L] and biases [L] at the minimum of |w|^2 / 2 plus the sum of -log p; a bias is not penalised.

    said_TL: yes or no for each class, both of them in every column.
    """
    x_TF = np.concatenate([train_TF, np.ones((len(train_TF), 1))], axis=1)
    penalty_F1 = np.ones((x_TF.shape[1], 1))
    penalty_F1[-1] = 0
    weight_FL = np.zeros((x_TF.shape[1], said_TL.shape[1]))
    logit_TL = np.zeros(said_TL.shape)
    for _ in range(_STEPS):
        p_TL = 1 / (1 + np.exp(-logit_TL))
        gradient_FL = x_TF.T @ (p_TL - said_TL) + penalty_F1 * weight_FL
        if np.abs(gradient_FL).max(initial=0.0) <= _TOLERANCE * len(x_TF):
            break
        step_FL = _newton(x_TF, p_TL * (1 - p_TL), penalty_F1, gradient_FL)
        step_FL = step_FL * _length(x_TF @ step_FL, logit_TL, said_TL, weight_FL, step_FL, penalty_F1, gradient_FL)
        weight_FL = weight_FL + step_FL
        logit_TL = x_TF @ weight_FL
    return weight_FL[:-1], weight_FL[-1]


def _newton(x_TF: np.ndarray, curve_TL: np.ndarray, penalty_F1: np.ndarray, gradient_FL: np.ndarray) -> np.ndarray:
    """Return the step of each class, nearly: what its Hessian turns into minus the gradient."""
    step_FL = np.zeros_like(gradient_FL)
    left_FL = -gradient_FL
    towards_FL = left_FL
    size_L = (left_FL**2).sum(axis=0)
    enough_L = _RESIDUAL**2 * size_L
    for _ in range(len(gradient_FL)):
        going_L = size_L > enough_L
        if not going_L.any():
            break
        turned_FL = x_TF.T @ (curve_TL * (x_TF @ towards_FL)) + penalty_F1 * towards_FL
        bend_L = (towards_FL * turned_FL).sum(axis=0)
        along_L = np.divide(size_L, bend_L, out=np.zeros_like(size_L), where=going_L & (bend_L > 0))
        step_FL = step_FL + along_L * towards_FL
        left_FL = left_FL - along_L * turned_FL
        size_L, before_L = (left_FL**2).sum(axis=0), size_L
        towards_FL = left_FL + np.divide(size_L, before_L, out=np.zeros_like(size_L), where=before_L > 0) * towards_FL
    return step_FL


def _length(
    step_TL: np.ndarray, logit_TL: np.ndarray, said_TL: np.ndarray, weight_FL: np.ndarray, step_FL: np.ndarray,
    penalty_F1: np.ndarray, gradient_FL: np.ndarray,
) -> np.ndarray:  # fmt: skip
    """Return how far each class goes, [L]: 1, or half of it and so on, until it is lower there."""

    def height_L(length_L: np.ndarray) -> np.ndarray:
        there_TL = logit_TL + length_L * step_TL
        weights_FL = weight_FL + length_L * step_FL
        return (np.logaddexp(0, there_TL) - said_TL * there_TL).sum(axis=0) + (penalty_F1 * weights_FL**2).sum(axis=0) / 2

    slope_L, here_L = (gradient_FL * step_FL).sum(axis=0), height_L(np.zeros(step_FL.shape[1]))
    length_L = np.ones(step_FL.shape[1])
    for _ in range(_HALVINGS):
        high_L = height_L(length_L) > here_L + 1e-4 * length_L * slope_L + 1e-12 * np.abs(here_L)
        if not high_L.any():
            break
        length_L[high_L] /= 2
    return length_L
