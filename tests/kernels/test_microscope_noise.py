"""The noise is what the paper says, in distribution: exact marginals of the tables, chi-square, Kolmogorov-Smirnov."""

import numpy as np
import pytest
import torch
from scipy import stats

from kit.kernels import poisson
from kit.kernels.extension import cpu_reason
from kit.kernels.microscope_noise import Noise, add_noise_reference
from kit.kernels.random_words import random_words
from kit.kernels.view import microscope_noise

LAMBDAS = (0.0, 0.003, 0.02, 0.37, 1.0, 3.3, 7.77, 9.999, 10.0)
ALPHA = 1e-6  # of one test; a dozen tests with fixed seeds


def draw_counts(rate: float, n: int, many: bool = False) -> np.ndarray:
    words = random_words(torch.arange(n // 1000), 1000, seed=12345, stream=int(rate * 1000)).flatten(0, 1)
    coarse = words[:, 2] if many else None
    return poisson.poisson_counts(torch.full((len(words),), rate), (words[:, 0], words[:, 1]), coarse).numpy().astype(int)


def chi_square(counts: np.ndarray, rate: float, most: int | None = None) -> float:
    """p value against Poisson(rate); bins with fewer than five expected are pooled; counts above `most` are one bin."""
    top = int(counts.max()) if most is None else most
    expected = stats.poisson.pmf(np.arange(top), rate) * len(counts)
    expected = np.append(expected, len(counts) - expected.sum())
    seen = np.bincount(np.minimum(counts, top), minlength=top + 1)
    big = expected >= 5
    expected, seen = np.append(expected[big], expected[~big].sum()), np.append(seen[big], seen[~big].sum())
    if expected[-1] < 5:  # the pool itself is too small: into its neighbour
        expected, seen = np.append(expected[:-2], expected[-2:].sum()), np.append(seen[:-2], seen[-2:].sum())
    return 1.0 if len(seen) < 2 else stats.chisquare(seen, expected * seen.sum() / expected.sum()).pvalue


def marginals(table: torch.Tensor, bits: int) -> np.ndarray:
    """What an alias table draws, exactly: [rows, outcomes]."""
    words = table.numpy().view(np.uint32).astype(np.int64).reshape(-1, 1 << bits)
    keep, alias = (words & ((1 << 32 - bits) - 1)) / 2.0 ** (32 - bits), words >> 32 - bits
    found = np.zeros(words.shape)
    for row in range(len(words)):
        found[row] += keep[row]
        np.add.at(found[row], alias[row], 1 - keep[row])
    return found / (1 << bits)


def test_fine_table_is_exact():
    found = marginals(poisson.fine_table("cpu"), poisson.FINE_BITS)
    for row in range(poisson.FINE_ROWS):
        exact = stats.poisson.pmf(np.arange(32), row * poisson.FINE_STEP)
        assert np.abs(found[row, :31] - exact[:31]).max() < 1e-9
        assert abs(found[row, 31] - stats.poisson.sf(30, row * poisson.FINE_STEP)) < 1e-9


def test_coarse_table_is_exact():
    found = marginals(poisson.coarse_table("cpu"), poisson.COARSE_BITS)
    for tens in range(poisson.COARSE_ROWS):
        outcome = poisson.coarse_low(tens) + np.arange(1, 255)
        assert np.abs(found[tens, 1:255] - stats.poisson.pmf(outcome, 10.0 * tens)).max() < 1e-9
        assert stats.poisson.cdf(poisson.coarse_low(tens), 10.0 * tens) < 1e-9 or poisson.coarse_low(tens) == 0
        assert stats.poisson.sf(outcome[-1], 10.0 * tens) < 1e-9


def test_rest_is_exact():
    rest = torch.linspace(0, poisson.FINE_STEP, 101)
    for count, share in enumerate(poisson._survival(rest), start=1):
        np.testing.assert_allclose(share.numpy(), stats.poisson.sf(count - 1, rest.double().numpy()), atol=1e-8)
    assert stats.poisson.sf(3, poisson.FINE_STEP) < 1e-7  # what is left out


@pytest.mark.parametrize("rate", LAMBDAS)
def test_counts_are_poisson(rate):
    counts = draw_counts(rate, 1_000_000)
    assert chi_square(counts, rate) > ALPHA
    if rate == 3.3:  # and the test would see a mean 0.5 % off, or a normal approximation
        assert chi_square(counts, rate * 1.005) < ALPHA
        normal = np.random.default_rng(0).normal(rate, rate**0.5, len(counts)).round().clip(0).astype(int)
        assert chi_square(normal, rate) < ALPHA


@pytest.mark.parametrize("rate", [0.5, 9.99, 10.0, 33.3, 100.0, 319.7])
def test_many_photons_are_poisson(rate):
    assert chi_square(draw_counts(rate, 500_000, many=True), rate) > ALPHA


def noise_of(B, C, shot=0.1, dark=0.0, read=0.0, **more):
    on_B = torch.ones(B, dtype=torch.int32)
    return Noise(on_B, torch.arange(B) + 2**33, (shot,) * C, (dark,) * C, (read,) * C, **more)


@pytest.mark.parametrize("rate", LAMBDAS)
def test_kernel_counts_are_poisson(rate):
    """The same through the op itself, whose clip to [0, 1] shows counts up to 10."""
    out = microscope_noise(torch.full((1, 1, 1000, 1000), rate * 0.1), noise_of(1, 1, seed=4))
    counts = (out * 10).round()
    assert (out * 10 - counts).abs().max() < 1e-5
    assert chi_square(counts.numpy().astype(int).ravel(), float(np.float32(rate * 0.1)) * 10, most=10) > ALPHA


def test_read_noise_is_normal():
    out = microscope_noise(torch.zeros(1, 1, 1000, 1000), noise_of(1, 1, dark=0.5, read=0.05, seed=4)).double()
    assert stats.kstest(((out - 0.5) / 0.05).numpy().ravel(), "norm").pvalue > ALPHA
    assert stats.kstest(((out - 0.5) / 0.051).numpy().ravel(), "norm").pvalue < ALPHA  # two per cent would be seen


def test_dark_current_and_clip():
    dark = microscope_noise(torch.zeros(1, 2, 8, 8), noise_of(1, 2, dark=0.05))
    assert torch.equal(dark, torch.full_like(dark, 0.05))
    bright = microscope_noise(torch.full((1, 1, 100, 100), 5.0), noise_of(1, 1, dark=0.05, read=0.01))
    assert bright.max() == 1
    assert bright.min() >= 0
    assert abs(float((bright == 1).double().mean()) - stats.poisson.sf(9, 10)) < 0.03  # I is clamped to 1 first


def test_neighbours_share_nothing():
    """Channels, samples, roles, seeds and pixels next to each other draw independent noise."""
    images = torch.full((2, 2, 300, 300), 0.5)
    first = microscope_noise(images, noise_of(2, 2, read=0.01, seed=4))
    role = microscope_noise(images, noise_of(2, 2, read=0.01, seed=4, role=1))
    seed = microscope_noise(images, noise_of(2, 2, read=0.01, seed=5))
    planes = torch.cat([first.flatten(0, 1), role[:1, 0], seed[:1, 0], first[:1, 0].roll(1, 2), first[:1, 0].roll(1, 1)]).flatten(
        1
    )
    correlation = np.corrcoef(planes.numpy()) - np.eye(len(planes))
    assert np.abs(correlation).max() < 5 / planes.shape[1] ** 0.5


def test_oracle_in_float64():
    """SSLProfiler 1, section 6.1, read again in numpy with float64, on the very words of the counter."""
    x = torch.rand(2, 3, 20, 31, generator=torch.Generator().manual_seed(3)) * 1.2 - 0.1
    noise = Noise(
        torch.tensor([1, 0], dtype=torch.int32),
        torch.tensor([7, 2**40]),
        (0.1, 0.2, 0.0),
        (0.05, 0.1, 0.3),
        (0.01, 0.02, 0.3),
        9,
        2,
    )
    out = microscope_noise(x, noise)
    assert torch.equal(out[1], x[1])  # off
    assert torch.equal(out[0, 2], x[0, 2])  # no noise on this channel
    table = poisson.fine_table("cpu").numpy().view(np.uint32).astype(np.int64)
    for channel, (shot, dark, read) in enumerate([(0.1, 0.05, 0.01), (0.2, 0.1, 0.02)]):
        w = random_words(torch.tensor([7]), 20 * 31, seed=9, stream=2 << 24 | 3 << 16 | channel)[0].numpy()
        rate = np.clip(x[0, channel].double().numpy().ravel(), 0, 1) / shot
        row = np.minimum(np.floor(rate * 25.6), 255).astype(int)
        column, coin = w[:, 0] >> 27, w[:, 0] & (1 << 27) - 1
        entry = table[row * 32 + column]
        count = np.where(coin < (entry & (1 << 27) - 1), column, entry >> 27)
        count = count + _inverse(w[:, 1] / 2**32, rate - row / 25.6)
        u, v = (((w[:, k] >> 9) + 0.5) / 2**23 for k in (2, 3))
        normal = np.sqrt(-2 * np.log(u)) * np.sin(2 * np.pi * v)
        expected = np.clip(count * shot + dark + normal * read, 0, 1).reshape(20, 31)
        np.testing.assert_allclose(out[0, channel].numpy(), expected, atol=2e-6)


def _inverse(coin, rate):
    return sum((coin < stats.poisson.sf(k, rate)).astype(int) for k in range(3))


def test_compiled_counts_on_the_same_input():
    """At most 1 in 100,000 counts may differ between backends that see the same intensities."""
    if cpu_reason() != "ready":
        pytest.skip(f"kit.kernels._cpu is {cpu_reason()}")
    x = torch.rand(2, 2, 300, 300, generator=torch.Generator().manual_seed(3))
    for shot in (0.1, 0.01):
        noise = noise_of(2, 2, shot=shot, dark=0.05, read=0.01)
        gap = (microscope_noise(x, noise) - add_noise_reference(x, noise)).abs()
        assert (gap > 2e-5).double().mean() <= 1e-5


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"shot": (0.001,)}, "noise.shot"),
        ({"shot": (-0.1,)}, "noise.shot"),
        ({"shot": (float("nan"),)}, "noise.shot"),
        ({"read": (-0.1,)}, "noise.read"),
        ({"dark": (0.1, 0.1)}, "noise.dark"),
        ({"role": 128}, "noise.role"),
        ({"seed": -1}, "seed"),
        ({"on_B": torch.ones(2, dtype=torch.int32)}, "noise.on_B"),
        ({"on_B": torch.ones(1, dtype=torch.bool)}, "noise.on_B"),
        ({"sample_B": torch.zeros(1, dtype=torch.int32)}, "noise.sample_B"),
    ],
)
def test_bad_noise_is_named(change, named):
    arguments = {"on_B": torch.ones(1, dtype=torch.int32), "sample_B": torch.zeros(1, dtype=torch.int64)}
    arguments |= {"shot": (0.1,), "dark": (0.0,), "read": (0.0,)}
    with pytest.raises(ValueError, match=named):
        microscope_noise(torch.zeros(1, 1, 4, 4), Noise(**(arguments | change)))
