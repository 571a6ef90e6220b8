"""The mean response of filters: torch's own operations in double precision, whatever part of a view is taken at a time."""

import pytest
import torch

from kit.model import mean_response as module
from kit.model.mean_response import mean_response, mean_response_reference


def case(dtype=torch.float32, height: int = 13, width: int = 10, side: int = 3) -> list[torch.Tensor]:
    random = torch.Generator().manual_seed(height)
    x_R1PP = torch.randn(5, 1, height, width, generator=random)
    weight_F1SS, bias_F = torch.randn(4, 1, side, side, generator=random), torch.randn(4, generator=random)
    return [x_R1PP.to(dtype), weight_F1SS.to(dtype).requires_grad_(), bias_F.to(dtype).requires_grad_()]


@pytest.mark.parametrize("places", [3, 25, 200, 10_000])  # a line, three lines, two views, all views
@pytest.mark.parametrize("shape", [{}, {"height": 3, "width": 7}, {"side": 2}, {"side": 1}])
def test_value_and_gradients_are_torchs(monkeypatch, places, shape):
    monkeypatch.setattr(module, "PLACES", places)
    found, expected = case(**shape), case(torch.float64, **shape)
    pull_RF = torch.randn(5, 4, generator=torch.Generator().manual_seed(9))
    for function, (x, weight, bias) in ((mean_response, found), (mean_response_reference, expected)):
        value = function(x, weight, bias)
        value.backward(pull_RF.to(x.dtype))
        x.value = value.detach()
    torch.testing.assert_close(found[0].value.double(), expected[0].value, rtol=1e-5, atol=1e-6)
    for one, other in zip(found[1:], expected[1:], strict=True):
        torch.testing.assert_close(one.grad.double(), other.grad, rtol=1e-5, atol=1e-5)


def test_views_that_want_a_gradient_get_it():
    x, weight, bias = case(torch.float64)
    mean_response(x.requires_grad_(), weight, bias).sum().backward()
    assert float(x.grad.abs().sum()) > 0
    with torch.autocast("cpu", torch.bfloat16):
        assert mean_response(*case()).dtype == mean_response_reference(*case()).dtype


def test_nothing_of_the_size_of_the_responses_is_held():
    held = []
    with torch.autograd.graph.saved_tensors_hooks(lambda tensor: held.append(tensor.numel()) or tensor, lambda tensor: tensor):
        mean_response(*case())
    assert sum(held) <= 5 * 13 * 10 + 4 * 9 + 4 < 5 * 4 * 11 * 8
