"""Every backend of the view against the torch reference: the compiled one, and Triton's kernels in the interpreter."""

import threading
from dataclasses import replace

import pytest
import torch

from kit.kernels import launch
from kit.kernels.blur import blur, blur_reference
from kit.kernels.extension import cpu_reason
from kit.kernels.microscope_noise import add_noise_reference
from kit.kernels.random_words import random_words, random_words_reference
from kit.kernels.view import Jitter, microscope_noise, view, view_reference

from .view_cases import CASES, assert_same_view, compare, flips_allowed, make_noise, parts_of, random_pixels


@pytest.fixture(params=["cpp", "triton"])
def backend(request, monkeypatch):
    if request.param == "cpp" and cpu_reason() != "ready":
        pytest.skip(f"kit.kernels._cpu is {cpu_reason()}")
    monkeypatch.setenv("KIT_BACKEND", request.param)
    assert launch.choose("view", "cpu").backend == request.param
    return request.param


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize(("H", "W"), [(40, 33), (17, 64)])
def test_view_equals_the_reference(backend, case, H, W):
    out, expected = compare(case, H=H, W=W)
    assert_same_view(out, expected, flips=flips_allowed(case))


@pytest.mark.parametrize("case", ["warp", "noise", "all, crop"])
def test_view_of_float_pixels(backend, case):
    out, expected = compare(case, kind=torch.float32)
    assert_same_view(out, expected, flips=flips_allowed(case))


def test_rare_counts_are_the_same(backend):
    """A mean count of 0.039 is all rest: in a million pixels some 800 counts of two and ten of three."""
    x = torch.full((1, 1, 1024, 1024), 0.0039)
    noise = make_noise(1, 1)
    out, expected = microscope_noise(x, noise), add_noise_reference(x, noise)
    assert ((expected - noise.dark[0]) / noise.shot[0]).round().max() == 3
    assert_same_view(out, expected, flips=1e-6)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_view_rounds_once(backend, dtype):
    out, expected = compare("all, dataset", dtype=dtype)
    assert_same_view(out, expected, flips=flips_allowed("all"))


def test_coordinates_are_good_at_full_size(backend):
    """Random pixels at 518 px: a coordinate error of 1e-4 px would show as 1e-4."""
    if backend == "triton":
        pytest.skip("the interpreter takes minutes at this size")
    out, expected = compare("warp", B=3, C=1, H=518, W=518)
    assert_same_view(out, expected)


def test_batch_split_changes_nothing(backend):
    pixels, parts = random_pixels(B=4), parts_of("all, crop", 4, 5, 40, 33)
    whole = view(pixels, **parts)
    warp, jitter, noise = parts["warp"], parts["jitter"], parts["noise"]
    for i in range(4):
        one = slice(i, i + 1)
        own = {
            "warp": replace(warp, kind_B=warp.kind_B[one], affine_B6=warp.affine_B6[one], lattice_B2KK=warp.lattice_B2KK[one]),
            "jitter": Jitter(jitter.scale_BC[one], jitter.shift_BC[one]),
            "noise": replace(noise, on_B=noise.on_B[one], sample_B=noise.sample_B[one]),
            "normalise": parts["normalise"],
        }
        assert torch.equal(view(pixels[one].contiguous(), **own), whole[one])


def test_threads_change_nothing(backend):
    pixels, parts = random_pixels(B=4), parts_of("all, crop", 4, 5, 40, 33)
    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        one = view(pixels, **parts)
        torch.set_num_threads(4)
        assert torch.equal(view(pixels, **parts), one)
    finally:
        torch.set_num_threads(threads)


def test_python_goes_on_meanwhile(backend):
    if backend == "triton":
        pytest.skip("the interpreter is Python itself")
    pixels, parts, done, ticks = random_pixels(B=8, H=400, W=400), parts_of("noise", 8, 5, 400, 400), threading.Event(), 0
    worker = threading.Thread(target=lambda: (view(pixels, **parts), done.set()))
    worker.start()
    while not done.wait(0.0005):
        ticks += 1
    worker.join()
    assert ticks > 10  # with the lock held until the end there would be one or two


def test_random_words_are_the_same_bits(backend):
    sample_B = torch.tensor([0, 1, -1, 2**62 + 12345])
    for seed, stream in ((0, 0), (2**64 - 1, 2**31 + 7)):
        words = random_words(sample_B, 37, seed=seed, stream=stream)
        assert torch.equal(words, random_words_reference(sample_B, 37, seed=seed, stream=stream))
    assert len(words.unique()) == words.numel()


def test_blur_equals_the_reference(backend):
    x = random_pixels(B=3, C=2, H=21, W=30, kind=torch.float32)
    sigma_B, solarise_B = torch.tensor([0.0, 0.7, 2.0]), torch.tensor([1, 0, 1], dtype=torch.int32)
    out = blur(x, sigma_B, solarise_B)
    torch.testing.assert_close(out, blur_reference(x, sigma_B, solarise_B), rtol=0, atol=1e-6)
    assert torch.equal(out[0], torch.where(x[0] >= 0.5, 1 - x[0], x[0]))


def test_nan_in_one_pixel_stays_there(backend):
    pixels = random_pixels(kind=torch.float32)
    pixels[0, 0, 3, 4] = torch.nan
    assert view(pixels).isnan().sum() == 1
    parts = parts_of("noise", 3, 5, 40, 33)
    assert torch.equal(view(pixels, **parts)[0, 0, 3, 4], view_reference(pixels, **parts)[0, 0, 3, 4])  # NaN counts as 0
