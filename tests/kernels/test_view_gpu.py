"""On a GPU: every backend that can run there against the reference on the same device, and against the CPU."""

import dataclasses

import pytest
import torch

from kit.kernels import launch
from kit.kernels.blur import blur, blur_reference
from kit.kernels.random_words import random_words, random_words_reference
from kit.kernels.view import view, view_reference

from .view_cases import CASES, assert_same_view, flips_allowed, parts_of, random_pixels

pytestmark = [pytest.mark.gpu, pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device here")]


@pytest.fixture(params=["triton", "cuda"])
def backend(request, monkeypatch):
    runs, why = launch._can_run(request.param, "cuda")
    if not runs:
        pytest.skip(f"{request.param}: {why}")
    monkeypatch.setenv("KIT_BACKEND", request.param)
    return request.param


def on_gpu(part):
    """Return a dataclass with its tensors moved to the GPU."""
    tensors = {f.name: getattr(part, f.name) for f in dataclasses.fields(part)}
    return dataclasses.replace(part, **{k: v.cuda() for k, v in tensors.items() if isinstance(v, torch.Tensor)})


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
@pytest.mark.parametrize("case", CASES)
def test_view_equals_the_reference(backend, case, dtype):
    pixels, parts = random_pixels(H=98, W=75), parts_of(case, 3, 5, 98, 75)
    out = view(pixels.cuda(), **{name: on_gpu(part) for name, part in parts.items()}, dtype=dtype)
    assert_same_view(out.cpu(), view_reference(pixels, **parts, dtype=dtype), flips=flips_allowed(case))


def test_coordinates_are_good_at_full_size(backend):
    pixels, parts = random_pixels(H=518, W=518), parts_of("warp", 3, 5, 518, 518)
    out = view(pixels.cuda(), **{name: on_gpu(part) for name, part in parts.items()})
    assert_same_view(out.cpu(), view_reference(pixels, **parts))


def test_words_and_blur(backend):
    sample_B = torch.tensor([0, 5, -1])
    words = random_words(sample_B.cuda(), 100, seed=2**64 - 5, stream=9).cpu()
    assert torch.equal(words, random_words_reference(sample_B, 100, seed=2**64 - 5, stream=9))
    x, sigma_B, solarise_B = random_pixels(kind=torch.float32), torch.tensor([0.0, 0.7, 2.0]), torch.tensor([1, 0, 1]).int()
    out = blur(x.cuda(), sigma_B.cuda(), solarise_B.cuda()).cpu()
    torch.testing.assert_close(out, blur_reference(x, sigma_B, solarise_B), rtol=0, atol=1e-6)
