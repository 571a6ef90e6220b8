"""Products of Haar details: the C++ against the reference, which tests/model/test_stem.py holds to numpy."""

import pytest
import torch

from kit.kernels import haar
from kit.kernels.extension import cpu_extension
from kit.kernels.haar import haar_products, haar_products_reference

needs_cpp = pytest.mark.skipif(cpu_extension() is None, reason="kit.kernels._cpu is not built or blocked")


def views(B, C, H, W):
    generator = torch.Generator().manual_seed(B + C)
    return torch.randn(B, C, H, W, generator=generator).cumsum(3) * 0.3 + torch.randn(B, C, 1, 1, generator=generator)


@needs_cpp
@pytest.mark.parametrize(
    ("B", "C", "H", "W", "scales"), [(3, 5, 96, 96, 4), (2, 1, 32, 16, 4), (1, 3, 8, 24, 3), (2, 8, 12, 4, 2), (1, 2, 6, 10, 1)]
)
def test_cpp_equals_the_reference_but_for_rounding(B, C, H, W, scales):
    x_BCPP = views(B, C, H, W)
    exact = haar_products_reference(x_BCPP.double(), scales)
    found = haar_products(x_BCPP, scales)
    assert found.shape == (B, H >> scales, W >> scales, scales * C * (C + 1) // 2 + C)
    torch.testing.assert_close(found.double(), exact, rtol=2e-6, atol=2e-6)
    apart = x_BCPP.transpose(2, 3).contiguous().transpose(2, 3)  # not contiguous
    assert torch.equal(haar_products(apart, scales), found)


@needs_cpp
def test_threads_and_other_views_of_the_batch_change_no_bit(monkeypatch):
    x_BCPP = views(5, 4, 32, 48)
    found = haar_products(x_BCPP, 3)
    monkeypatch.setattr(haar.torch, "get_num_threads", lambda: 3)
    assert torch.equal(haar_products(x_BCPP, 3), found)
    assert torch.equal(haar_products(x_BCPP[2:3], 3), found[2:3])


def test_gradients_reach_the_pixels():
    x_BCPP = views(1, 2, 8, 8).requires_grad_()
    assert torch.autograd.gradcheck(lambda x: haar_products(x, 3), x_BCPP.double())
    haar_products(x_BCPP, 3).sum().backward()
    assert x_BCPP.grad.abs().sum() > 0


def test_a_side_that_does_not_halve_is_refused():
    with pytest.raises(ValueError, match="a view is of 8 x 12 pixels: need multiples of 8"):
        haar_products(torch.zeros(1, 1, 8, 12), 3)
