"""On a GPU: every backend that can run there against the reference on the same device, and against the CPU."""

import numpy as np
import pytest
import torch
from scipy import stats

from kit.kernels import launch
from kit.kernels.blur import blur, blur_reference
from kit.kernels.elastic_warp import elastic_lattice
from kit.kernels.microscope_noise import Noise
from kit.kernels.random_words import random_words, random_words_reference
from kit.kernels.view import microscope_noise, view, view_reference
from tests.on_gpu import DEVICE, GPU_TEST, REHEARSED, on_device

from .test_microscope_noise import ALPHA, chi_square
from .view_cases import CASES, assert_same_view, flips_allowed, parts_of, random_pixels

pytestmark = GPU_TEST


@pytest.fixture(params=["triton", "cuda"])
def backend(request, monkeypatch):
    runs, why = launch._can_run(request.param, DEVICE.type)
    if not runs:
        pytest.skip(f"{request.param}: {why}")
    monkeypatch.setenv("KIT_BACKEND", request.param)
    return request.param


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
@pytest.mark.parametrize("case", CASES)
def test_view_equals_the_reference(backend, case, dtype):
    pixels, parts = random_pixels(H=98, W=75), parts_of(case, 3, 5, 98, 75)
    there = {name: on_device(part) for name, part in parts.items()}
    out = view(pixels.to(DEVICE), **there, dtype=dtype).cpu()
    for expected in (view_reference(pixels, **parts, dtype=dtype), view_reference(pixels.to(DEVICE), **there, dtype=dtype).cpu()):
        assert_same_view(out, expected, flips=flips_allowed(case))


def test_coordinates_are_good_at_full_size(backend):
    side = 70 if REHEARSED else 518
    pixels, parts = random_pixels(H=side, W=side), parts_of("warp", 3, 5, side, side)
    out = view(pixels.to(DEVICE), **{name: on_device(part) for name, part in parts.items()})
    assert_same_view(out.cpu(), view_reference(pixels, **parts))


def test_words_and_blur(backend):
    sample_B = torch.tensor([0, 5, -1])
    words = random_words(sample_B.to(DEVICE), 100, seed=2**64 - 5, stream=9).cpu()
    assert torch.equal(words, random_words_reference(sample_B, 100, seed=2**64 - 5, stream=9))
    x, sigma_B, solarise_B = random_pixels(kind=torch.float32), torch.tensor([0.0, 0.7, 2.0]), torch.tensor([1, 0, 1]).int()
    out = blur(x.to(DEVICE), sigma_B.to(DEVICE), solarise_B.to(DEVICE)).cpu()
    torch.testing.assert_close(out, blur_reference(x, sigma_B, solarise_B), rtol=0, atol=1e-6)


def test_the_lattice_of_a_field_is_the_cpus():
    sample_B = torch.tensor([3, 2**40, -7])
    found = elastic_lattice(sample_B.to(DEVICE), 98, 75, alpha=200.0, sigma=12.0, seed=3, stream=2)
    expected = elastic_lattice(sample_B, 98, 75, alpha=200.0, sigma=12.0, seed=3, stream=2)
    torch.testing.assert_close(found.cpu(), expected, rtol=0, atol=2e-4)  # pixels


@pytest.mark.parametrize("rate", [0.37, 3.3, 7.77])
def test_photons_are_poisson(backend, rate):
    side = 200 if REHEARSED else 1000
    image = torch.full((1, 1, side, side), rate * 0.1, device=DEVICE)
    one_B = torch.ones(1, dtype=torch.int32, device=DEVICE)
    out = microscope_noise(image, Noise(one_B, torch.tensor([2**33], device=DEVICE), (0.1,), (0.0,), (0.0,), 4)).cpu()
    counts = (out * 10).round()
    assert (out * 10 - counts).abs().max() < 1e-5
    assert chi_square(counts.numpy().astype(int).ravel(), float(np.float32(rate * 0.1)) * 10, most=10) > ALPHA


def test_read_noise_is_normal(backend):
    side = 200 if REHEARSED else 1000
    one_B = torch.ones(1, dtype=torch.int32, device=DEVICE)
    noise = Noise(one_B, torch.tensor([2**33], device=DEVICE), (0.1,), (0.5,), (0.05,), 4)
    out = microscope_noise(torch.zeros(1, 1, side, side, device=DEVICE), noise).double().cpu()
    assert stats.kstest(((out - 0.5) / 0.05).numpy().ravel(), "norm").pvalue > ALPHA
