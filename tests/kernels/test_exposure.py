"""Gain and contrast with their clips: against numpy, step by step, and every backend against the reference."""

import numpy as np
import pytest
import torch

from kit.kernels import launch
from kit.kernels.clipped_means import clipped_means, clipped_means_reference, expose
from kit.kernels.exposure import Exposure
from kit.kernels.extension import cpu_reason
from kit.kernels.view import Jitter, Normalise, view

from .view_cases import make_exposure, random_pixels


def read_as_text(image_HW: np.ndarray, gain: float, contrast: float) -> np.ndarray:
    """torchvision's adjust_brightness, then its adjust_contrast, of a float image, as their documentation has them."""
    brighter = np.clip(image_HW * gain, 0, 1)
    return np.clip(contrast * brighter + (1 - contrast) * brighter.mean(), 0, 1)


@pytest.mark.parametrize("kind", [torch.uint8, torch.float32])
def test_exposure_is_brightness_then_contrast(kind):
    pixels = random_pixels(B=2, C=3, H=15, W=22, kind=kind)
    draw = np.random.default_rng(0)
    gain, contrast = draw.uniform(0.5, 2, (2, 3)), draw.uniform(0.5, 2, (2, 3))
    gain[1, 2] = 0
    image = pixels.double().numpy() / (255 if kind == torch.uint8 else 1)
    expected = np.array(
        [[read_as_text(*of) for of in zip(*each, strict=True)] for each in zip(image, gain, contrast, strict=True)]
    )
    out = view(pixels, exposure=expose(pixels, torch.from_numpy(gain), torch.from_numpy(contrast))).numpy()
    np.testing.assert_allclose(out, expected, atol=1e-6)
    assert (out[1, 2] == 0).all()
    assert min((out == 1).mean(), (out == 0).mean()) > 0.05  # both clips bite


def test_without_the_clips_a_standardised_view_would_not_change():
    """Dim crops: gain 1.2 and contrast 0.8 clip nothing, so nothing is left of them; contrast 2 clips the dark."""
    pixels = (random_pixels(B=1, C=2, H=30, W=30) // 2).contiguous()
    own = Normalise(floor=0.0)
    plain = view(pixels, normalise=own)
    weak, strong = (
        view(pixels, exposure=expose(pixels, torch.full((1, 2), 1.2), torch.full((1, 2), g)), normalise=own) for g in (0.8, 2.0)
    )
    torch.testing.assert_close(weak, plain, rtol=0, atol=1e-5)
    assert (strong - plain).abs().max() > 0.1


@pytest.mark.parametrize("backend", ["torch", "cpp", "triton"])
def test_an_empty_channel_becomes_zeros(backend, monkeypatch):
    if backend == "cpp" and cpu_reason() != "ready":
        pytest.skip(f"kit.kernels._cpu is {cpu_reason()}")
    monkeypatch.setenv("KIT_BACKEND", backend)
    pixels = random_pixels(B=1, C=2, H=11, W=13)
    exposure = expose(pixels, torch.tensor([[0.0, 1.0]]), torch.tensor([[1.7, 1.0]]))
    out = view(pixels, exposure=exposure, normalise=Normalise(floor=1e-7))
    assert (out[0, 0] == 0).all()
    image = pixels[0, 1].double().numpy() / 255
    np.testing.assert_allclose(out[0, 1].numpy(), (image - image.mean()) / (image.std() + 1e-7), atol=1e-5)


@pytest.mark.parametrize("backend", ["cpp", "triton"])
@pytest.mark.parametrize("kind", [torch.uint8, torch.float32])
def test_means_equal_the_reference(backend, kind, monkeypatch):
    if backend == "cpp" and cpu_reason() != "ready":
        pytest.skip(f"kit.kernels._cpu is {cpu_reason()}")
    pixels, gain_BC = random_pixels(B=2, C=3, H=37, W=41, kind=kind), make_exposure(2, 3).gain_BC
    expected = clipped_means_reference(pixels, gain_BC)
    monkeypatch.setenv("KIT_BACKEND", backend)
    assert launch.choose("clipped_means", "cpu").backend == backend
    torch.testing.assert_close(clipped_means(pixels, gain_BC), expected, rtol=0, atol=1e-6)
    by_hand = np.clip(
        pixels.double().numpy() / (255 if kind == torch.uint8 else 1) * gain_BC.double().numpy()[..., None, None], 0, 1
    )
    np.testing.assert_allclose(expected.numpy(), by_hand.mean((2, 3)), atol=1e-6)


def test_the_reference_has_the_gradient_of_its_formula(monkeypatch):
    """Between the clips it is gain times contrast, beyond them 0; the shift is a number by then."""
    monkeypatch.setenv("KIT_BACKEND", "torch")
    x = torch.tensor([[[[0.05, 0.3, 0.6, 0.95]]]], requires_grad=True)
    exposure = Exposure(torch.tensor([[1.25]]), torch.tensor([[1.6]]), torch.tensor([[-0.3]]))
    view(x, exposure=exposure).sum().backward()
    assert x.grad.flatten().tolist() == [0, 2, 2, 0] or torch.allclose(x.grad.flatten(), torch.tensor([0.0, 2.0, 2.0, 0.0]))


def test_bad_exposure_is_named():
    pixels, exposure = random_pixels(B=1, C=2), make_exposure(1, 2)
    with pytest.raises(ValueError, match=r"exposure\.gain_BC"):
        view(pixels, exposure=make_exposure(1, 3))
    with pytest.raises(ValueError, match="exposure is given beside jitter"):
        view(pixels, exposure=exposure, jitter=Jitter(exposure.gain_BC, exposure.shift_BC))
    with pytest.raises(ValueError, match="gain_BC"):
        clipped_means(pixels, torch.ones(2, 2))
