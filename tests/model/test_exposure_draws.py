"""What style cell-dino draws: a whole view against numpy, step by step as the published code goes, and the distributions."""

import numpy as np
import pytest
import torch
from scipy import stats

from kit.config import ViewsConfig
from kit.errors import UsageError
from kit.kernels.philox import EXPOSURE, PARAMETERS, stream_of
from kit.kernels.random_words import random_words_reference
from kit.model import views
from kit.model.exposure_draws import draw_exposure
from kit.recipe import load_recipe

CHANNELS = ("Mito", "AGP", "RNA", "ER", "DNA")
OFTEN = ViewsConfig(
    style="cell-dino", brightness=0.3, contrast=0.3, cell_dino_drop_p=0.5, cell_dino_keep=("DNA", "AGP"),
    cell_dino_rescale="AGP", cell_dino_rescale_p=0.5, normalise="crop", normalise_floor=1e-7,
)  # fmt: skip


def crops(B=12, P=24):
    """Crops of which some are dim, so that a maximum below 255 counts."""
    pixels = torch.randint(0, 256, (B, 5, P, P), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
    pixels[::3] //= 3
    return pixels, pixels.long().sum((2, 3)), torch.arange(B) * 1_000_003 + 2**40


def make(batch, config, role="second", seed=1, **more):
    facts = {"channel_groups": ("fluorescence",) * 5, "channels": CHANNELS, "mean_C": torch.zeros(5), "sd_C": torch.ones(5)}
    return views.make_view(*batch, config, seed=seed, role=role, **(facts | more))


def read_as_published(pixels_CPP: np.ndarray, words_K4: np.ndarray) -> np.ndarray:
    """One crop, in the order of the published code: / 255, drop, rescale, brightness, contrast, self-normalise."""
    unit_K4 = ((words_K4 >> 9) + 0.5) / 2**23
    image = pixels_CPP / 255
    drop, which, rescale, factor = unit_K4[0]
    if drop < 0.5:
        image[[0, 2, 3][int(which * 3)]] = 0  # not AGP, not DNA
    if rescale < 0.5:
        image[1] = image[1] * (2 * factor / image.max())
    for channel, (first, second, *_) in zip(image, unit_K4[1:], strict=True):
        radius = np.sqrt(-2 * np.log(first))
        brightness, contrast = (1 + 0.3 * radius * np.sin(2 * np.pi * second), 1 + 0.3 * radius * np.cos(2 * np.pi * second))
        channel[:] = np.clip(channel * max(brightness, 0.5), 0, 1)
        contrast = max(contrast, 0.5)
        channel[:] = np.clip(contrast * channel + (1 - contrast) * channel.mean(), 0, 1)
        channel[:] = (channel - channel.mean()) / (channel.std() + 1e-7)
    return image


def test_a_view_is_the_published_code_step_by_step():
    batch = crops()
    out = make(batch, OFTEN)
    words = random_words_reference(batch[2], 6, seed=1, stream=stream_of(EXPOSURE, role=1)).numpy()
    expected = np.stack([read_as_published(*one) for one in zip(batch[0].double().numpy(), words, strict=True)])
    np.testing.assert_allclose(out.numpy(), expected, atol=2e-5)
    dropped = (out == 0).all(3).all(2)
    assert 0 < dropped.sum() < 12
    assert torch.equal(make(batch, OFTEN), out)
    one = tuple(part[4:5] for part in batch)
    assert torch.equal(make(one, OFTEN), out[4:5])  # the split of a batch does not matter
    for other in ({"role": "first"}, {"seed": 2}):
        assert not torch.equal(make(batch, OFTEN, **other), out)


def terms(config, B=20_000, channels=CHANNELS):
    pixels = torch.full((B, len(channels), 1, 1), 51, dtype=torch.uint8)  # an intensity of 0.2 throughout
    return draw_exposure(pixels, torch.arange(B), config, seed=3, role=0, channels=channels)


def test_factors_are_normal_and_cut_off_below():
    config = ViewsConfig(style="cell-dino", brightness=0.2, contrast=0.4, cell_dino_drop_p=0.0)
    found = terms(config)
    error = 5 * 0.5 / 20_000**0.5
    for factor_BC, sd in ((found.gain_BC, 0.2), (found.contrast_BC, 0.4)):
        assert factor_BC.min() == 0.5
        at_the_cut = (factor_BC == 0.5).double().mean(0).numpy()
        assert np.abs(at_the_cut - stats.norm(1, sd).cdf(0.5)).max() < error
        for c in range(5):
            above = factor_BC[factor_BC[:, c] > 0.5, c].double().numpy()
            assert stats.kstest(above, stats.truncnorm(-0.5 / sd, np.inf, 1, sd).cdf).pvalue > 1e-5
    both = torch.cat([found.gain_BC, found.contrast_BC], 1).double().numpy()
    assert np.abs(np.corrcoef(both.T) - np.eye(10)).max() < 5 / 20_000**0.5
    off = terms(ViewsConfig(style="cell-dino", brightness=0.0, contrast=0.0, cell_dino_drop_p=0.0), B=50)
    assert (off.gain_BC == 1).all()
    assert (off.contrast_BC == 1).all()


def test_one_channel_is_dropped_by_its_probability_and_never_a_kept_one():
    config = ViewsConfig(style="cell-dino", cell_dino_drop_p=0.2, cell_dino_keep=("DNA",))
    dropped_BC = terms(config).gain_BC == 0
    assert dropped_BC.sum(1).max() == 1
    error = 5 * (0.05 * 0.95 / 20_000) ** 0.5
    assert np.abs(dropped_BC.double().mean(0).numpy() - [0.05, 0.05, 0.05, 0.05, 0]).max() < error
    assert not (terms(config, channels=("DNA",)).gain_BC == 0).any()
    assert not (terms(config, channels=("Mito",)).gain_BC == 0).any()  # never the only one


def test_a_named_channel_is_rescaled_to_a_uniform_maximum():
    config = ViewsConfig(
        style="cell-dino", brightness=0.0, cell_dino_drop_p=0.0, cell_dino_rescale="AGP", cell_dino_rescale_p=0.3
    )
    gain_BC = terms(config).gain_BC
    assert (gain_BC[:, [0, 2, 3, 4]] == 1).all()
    rescaled = gain_BC[gain_BC[:, 1] != 1, 1].double().numpy() * 0.2  # of a channel whose maximum is 0.2
    assert abs(len(rescaled) / 20_000 - 0.3) < 5 * 0.5 / 20_000**0.5
    assert stats.kstest(rescaled, stats.uniform(0, 2).cdf).pvalue > 1e-5


def test_black_crops_stay_black():
    batch = crops(B=4)
    batch[0].zero_()
    assert (make(batch, OFTEN) == 0).all()


def test_the_words_of_the_other_styles_are_others():
    mine, theirs = (random_words_reference(torch.arange(50), 6, seed=1, stream=stream_of(of)) for of in (EXPOSURE, PARAMETERS))
    assert not (mine[..., None] == theirs[:, :, None]).any()


def test_a_channel_that_the_run_lacks_is_refused():
    for key, value in (("cell_dino_keep", '["GFP"]'), ("cell_dino_rescale", "GFP")):
        with pytest.raises(UsageError, match=f"views.{key} names GFP, which is no channel of the run: Mito, AGP"):
            load_recipe("cell-dino", [f"views.{key}={value}"], channels=CHANNELS)
