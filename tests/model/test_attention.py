"""Attention: torch's fused operation, and the plain one that takes its place in bfloat16 on a CPU."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from kit.model.attention import MOST_TOKENS, attend


def heads(tokens: int, dtype: torch.dtype, *, grad: bool = True) -> list[Tensor]:
    """Query, key and value of 2 views, 3 heads, width 16; the scores differ, so that the softmax is not flat."""
    generator = torch.Generator().manual_seed(tokens)
    return [(2 * torch.randn(2, 3, tokens, 16, generator=generator)).to(dtype).requires_grad_(grad) for _ in range(3)]


def back(mixed: Tensor, inputs: list[Tensor]) -> list[Tensor]:
    weights = torch.linspace(-1, 1, mixed.numel()).view(mixed.shape)
    return list(torch.autograd.grad((mixed.float() * weights).sum(), inputs))


def operations(tensor: Tensor) -> set[str]:
    """Return the names of the operations that a gradient of the tensor goes through."""
    names, waiting = set(), [tensor.grad_fn]
    while waiting:
        node = waiting.pop()
        names.add(node.name())
        waiting += [before for before, _ in node.next_functions if before is not None]
    return names


def fused(tensor: Tensor) -> bool:
    return any("ScaledDotProduct" in name for name in operations(tensor))


def test_in_float32_it_is_the_fused_operation_bit_for_bit():
    inputs = heads(37, torch.float32)
    ours, torchs = attend(*inputs), F.scaled_dot_product_attention(*inputs)
    assert torch.equal(ours, torchs)
    assert all(map(torch.equal, back(ours, inputs), back(torchs, inputs)))


@pytest.mark.parametrize("tokens", [5, 50, 197])
def test_bf16_on_a_cpu_goes_back_by_plain_products_and_stays_near_float64(tokens):
    inputs = heads(tokens, torch.bfloat16)
    mixed = attend(*inputs)
    assert not fused(mixed)
    exact = [x.detach().double().requires_grad_() for x in inputs]
    truth = F.scaled_dot_product_attention(*exact)
    for ours, true in zip([mixed, *back(mixed, inputs)], [truth, *back(truth, exact)], strict=True):
        assert (ours.double() - true).abs().max() < 0.02 * true.abs().max()  # bfloat16 has 8 bits


def test_without_a_gradient_or_with_many_tokens_bf16_stays_fused():
    inputs = heads(50, torch.bfloat16, grad=False)
    assert torch.equal(attend(*inputs), F.scaled_dot_product_attention(*inputs))
    assert fused(attend(*heads(MOST_TOKENS + 1, torch.bfloat16)))
