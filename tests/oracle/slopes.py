"""Gradients of a function of a network's weights, held to central differences of a reading in numpy."""

from collections.abc import Callable

import numpy as np
import pytest
import torch


def assert_slopes(
    function: Callable[[dict], float], weights: dict, gradients: dict[str, torch.Tensor], *, step: float = 1e-5, rel: float = 1e-5
) -> None:
    """Check the gradient of every tensor along a random direction; one of no effect has a gradient of 0 in both."""
    rng = np.random.default_rng(0)
    for name, gradient in gradients.items():
        direction = rng.normal(size=gradient.shape)
        up, down = (function(weights | {name: weights[name] + sign * step * direction}) for sign in (1, -1))
        found = float((gradient.double().numpy() * direction).sum())
        assert found == pytest.approx((up - down) / (2 * step), rel=rel, abs=1e-8), name


def gradients_of(module: torch.nn.Module) -> dict[str, torch.Tensor]:
    """The gradients that a step has left, by parameter name."""
    return {name: parameter.grad for name, parameter in module.named_parameters() if parameter.grad is not None}
