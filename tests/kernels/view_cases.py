"""Inputs of the view that several tests share, and the comparison of two backends."""

import torch

from kit.kernels.elastic_warp import elastic_lattice, rotation
from kit.kernels.exposure import Exposure
from kit.kernels.microscope_noise import Noise
from kit.kernels.view import Jitter, Normalise, view, view_reference
from kit.kernels.warp import ELASTIC, Warp
from tests.tolerances import FLIPS_FUSED_VIEW, FLIPS_SAME_INPUT, TOLERANCE

CASES = ("as it is", "jitter", "affine", "warp", "noise", "many photons", "mixed noise", "all", "all, dataset", "all, crop",
         "exposure", "exposure, crop", "exposure, all")  # fmt: skip


def random_pixels(B=3, C=5, H=40, W=33, seed=0, kind=torch.uint8):
    words = torch.randint(0, 256, (B, C, H, W), generator=torch.Generator().manual_seed(seed), dtype=torch.uint8)
    return words if kind == torch.uint8 else words.float() / 255


def make_jitter(B, C):
    draw = torch.Generator().manual_seed(5)
    return Jitter(0.4 + torch.rand(B, C, generator=draw), 0.2 * torch.rand(B, C, generator=draw) - 0.1)


def make_exposure(B, C):
    """Gains from 0 (a channel dropped) to 2, so that both clips bite; the contrast's centre is 0.4."""
    draw = torch.Generator().manual_seed(6)
    gain_BC, contrast_BC = 2 * torch.rand(B, C, generator=draw), 0.5 + torch.rand(B, C, generator=draw)
    gain_BC[0, 0] = 0
    return Exposure(gain_BC, contrast_BC, 0.4 * (1 - contrast_BC))


def make_warp(B, H, W, kinds=(2, 1, 0), sigma=12.0, alpha=200.0):
    kind_B = torch.tensor([kinds[i % len(kinds)] for i in range(B)], dtype=torch.int32)
    sample_B = torch.arange(B) * 7919 + 2**40
    lattice = elastic_lattice(sample_B, H, W, alpha=alpha, sigma=sigma, seed=3, stream=2) if ELASTIC in kinds else None
    return Warp(kind_B, rotation(torch.arange(B) * 1.234 + 0.3, H, W), lattice, sigma / 2.5)


def make_noise(B, C, shot=(0.1,), on=None, seed=2**63 + 11):
    on_B = torch.tensor([1] * B if on is None else on, dtype=torch.int32)
    shots = tuple(shot[c % len(shot)] for c in range(C))
    sample_B = torch.arange(B) * 104729 + 2**35
    return Noise(on_B, sample_B, shots, tuple(0.05 * (s > 0) for s in shots), tuple(0.01 + 0.002 * c for c in range(C)), seed, 1)


def parts_of(case, B, C, H, W):
    """Return the keyword arguments of `view` for a case, all tensors on the CPU."""
    parts = {}
    if case.startswith("exposure"):
        parts["exposure"] = make_exposure(B, C)
    if case == "exposure, crop":
        parts["normalise"] = Normalise(floor=1e-7)
    if case == "exposure, all":
        parts |= {"warp": make_warp(B, H, W), "noise": make_noise(B, C)}
    if case.startswith("all") or case == "jitter":
        parts["jitter"] = make_jitter(B, C)
    if case.startswith("all") or case == "warp":
        parts["warp"] = make_warp(B, H, W)
    if case == "affine":
        parts["warp"] = make_warp(B, H, W, kinds=(1,))
    if case.startswith("all") or case == "noise":
        parts["noise"] = make_noise(B, C)
    if case == "many photons":
        parts["noise"] = make_noise(B, C, shot=(0.01, 1 / 320))
    if case == "mixed noise":
        parts["noise"] = make_noise(B, C, shot=(0.1, 0.0, 0.03), on=[i % 2 for i in range(B)])
    if case == "all, dataset":
        parts["normalise"] = Normalise(tuple(1.0 + 0.1 * c for c in range(C)), tuple(0.01 * c - 0.2 for c in range(C)))
    if case == "all, crop":
        parts["normalise"] = Normalise(floor=0.5)
    return parts


SAME_INPUT = ("noise", "many photons", "mixed noise")  # the noise sees the same intensities in every backend


def flips_allowed(case):
    """Return the share of Poisson counts that may differ between two backends."""
    return FLIPS_SAME_INPUT if case in SAME_INPUT else FLIPS_FUSED_VIEW if "all" in case else 0.0


def assert_same_view(out, expected, *, flips=0.0, steps=0.1):
    """Equal to the tolerance but for flipped counts: at most a share `flips` of the pixels, each a whole number of steps."""
    gap = (out.float() - expected.float()).abs()
    limit = TOLERANCE[out.dtype]["atol"] + TOLERANCE[out.dtype]["rtol"] * expected.float().abs()
    flipped = gap > limit
    share = float(flipped.double().mean())
    assert share <= flips, f"{share:.1e} of the pixels differ, the largest by {gap.max():.2e}"
    inside = flipped & (out > 0) & (out < 1) & (expected > 0) & (expected < 1)  # clipping hides part of a step
    whole = gap[inside] / steps
    assert ((whole - whole.round()).abs() < 1e-3).all()


def compare(case, B=3, C=5, H=40, W=33, kind=torch.uint8, dtype=torch.float32):
    pixels = random_pixels(B, C, H, W, kind=kind)
    parts = parts_of(case, B, C, H, W)
    out, expected = view(pixels, **parts, dtype=dtype), view_reference(pixels, **parts, dtype=dtype)
    assert out.dtype == dtype
    assert out.shape == pixels.shape
    return out, expected
