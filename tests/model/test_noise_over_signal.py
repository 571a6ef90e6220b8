"""Noise over signal: the unit sd of a recipe's noise and floor, and what `kit views --noise` says of a store."""

import re
from dataclasses import replace

import numpy as np
import pytest
import torch

from kit.config import ViewsConfig
from kit.errors import KitError, UsageError
from kit.kernels.view import view
from kit.model import noise_over_signal as measured
from kit.model import views
from kit.recipe import load_recipe
from tests.commands import kit_command
from tests.images import made_work

STILL = {"brightness": 0.0, "contrast": 0.0, "elastic_p": 0.0, "rotation": "none", "noise_p": 1.0}
GROUPS = ("fluorescence", "brightfield")
MEAN, SD = torch.tensor([0.2, 0.5]), torch.tensor([0.1, 0.02])


def crops(spread, mean, B=4, C=2, P=96):
    """Levels spread evenly over mean +- spread."""
    generator = torch.Generator().manual_seed(spread)
    pixels = torch.randint(mean - spread, mean + spread + 1, (B, C, P, P), generator=generator, dtype=torch.uint8)
    return pixels, pixels.long().sum((2, 3)), torch.arange(B)


def make(batch, config, **more):
    return views.make_view(*batch, config, seed=1, role="first", channel_groups=GROUPS, mean_C=MEAN, sd_C=SD, **more)


def noise_and_signal(batch, config):
    """The sd of what the noise adds and that of the crop, intensities, [B, C] each."""
    noise = (make(batch, config) - make(batch, replace(config, style="none"))) * SD[:, None, None]
    return noise.double().std((2, 3)), (batch[0].double() / 255).std((2, 3))


@pytest.mark.parametrize(("spread", "mean"), [(4, 128), (10, 30), (40, 90)])
def test_in_the_unit_sd_the_factors_are_noise_over_signal(spread, mean):
    """Whatever the crop's contrast and brightness, and for each group its own."""
    config = ViewsConfig(**STILL, noise_unit="sd", noise_fluorescence=0.5, noise_brightfield=1.5)
    noise, signal = noise_and_signal(crops(spread, mean), config)
    torch.testing.assert_close(noise / signal, torch.tensor([[0.5, 1.5]] * 4, dtype=torch.float64), rtol=0.05, atol=0)


def test_half_the_contrast_gets_half_the_noise_and_as_much_in_the_unit_level():
    pixels, _, sample = crops(40, 100)
    whole = pixels // 2 * 2
    half = (whole.int() // 2 + 50).to(torch.uint8)  # about the same mean
    for unit, ratio in (("sd", 0.5), ("level", 1.0)):
        config = ViewsConfig(**STILL, noise_unit=unit)
        strong, weak = (noise_and_signal((p, p.long().sum((2, 3)), sample), config)[0] for p in (whole, half))
        torch.testing.assert_close(weak / strong, torch.full_like(weak, ratio), rtol=0.05, atol=0)


def test_what_gets_no_noise_stays_as_it_is():
    pixels, sums, sample = crops(40, 100, B=40, P=16)
    pixels[:, 1] = 0  # black: no signal, so no noise
    batch = pixels, pixels.long().sum((2, 3)), sample
    config = ViewsConfig(**STILL | {"noise_p": 0.5}, noise_unit="sd")
    moved = (make(batch, config) - make(batch, replace(config, style="none"))).abs().amax((2, 3))
    assert 8 < int((moved[:, 0] > 0.1).sum()) < 32  # of 40
    assert (moved[moved <= 0.1] < 1e-5).all()
    assert (moved[:, 1] < 1e-5).all()
    off = replace(config, noise_fluorescence=0.0)
    torch.testing.assert_close(make((pixels, sums, sample), off), make(batch, replace(off, style="none")), rtol=0, atol=1e-5)


def test_the_unit_level_is_the_view_of_the_papers_bit_for_bit():
    config = ViewsConfig(elastic_sigma=12.0, elastic_alpha=100.0, normalise="crop")
    assert (config.noise_unit, config.normalise_floor_unit) == ("level", "level")
    pixels, sums, sample = crops(40, 100)
    draws = views._Draws(sample, 2, 1, 0)
    noise = views._noise(config, draws, GROUPS)
    assert (noise.shot, noise.dark, noise.read) == ((0.1, 0.1), (0.05, 0.05), (0.01, 0.01))
    fused = view(
        pixels,
        warp=views._warp(config, draws, 96, 96),
        jitter=views._channel_jitter(config, draws, sums.double() / (255 * 96 * 96)),
        noise=noise,
        normalise=views.Normalise(floor=0.02),
    )
    assert torch.equal(make((pixels, sums, sample), config), fused)


def test_a_floor_in_the_unit_sd_is_relative_to_the_channel():
    batch = crops(10, 100)
    config = ViewsConfig(style="none", normalise="crop", normalise_floor=0.3, normalise_floor_unit="sd")
    x = batch[0].double() / 255
    sd, mean = torch.std_mean(x, dim=(2, 3), keepdim=True, correction=0)
    expected = (x - mean) / (sd + 0.3 * SD[:, None, None])
    torch.testing.assert_close(make(batch, config).double(), expected, rtol=0, atol=2e-5)
    assert torch.equal(views.normalise_site(batch[0], config, MEAN, SD), make(batch, config))
    assert views.normalise_site(batch[0], config, MEAN, SD, dtype=torch.float16).dtype == torch.float16
    with pytest.raises(UsageError, match=r"views.normalise_floor_unit = sd, but a channel of the store has sd 0.*; use level"):
        views.normalise_site(batch[0], config, MEAN, torch.zeros(2))


def test_strengths_that_the_poisson_tables_do_not_reach_are_refused():
    assert ViewsConfig(noise_unit="sd", noise_brightfield=0.001).noise_strength("brightfield") == 1
    assert ViewsConfig(noise_brightfield=0.5).noise_strength("brightfield") == 0.5
    with pytest.raises(UsageError, match=r"views.noise_shot = 0.001: need at least 1/320 where noise_unit = sd"):
        ViewsConfig(noise_unit="sd", noise_shot=0.001)
    with pytest.raises(UsageError, match=r"views\.noise_unit = crop"):
        ViewsConfig(noise_unit="crop")


LEVELS = {"Mito": (0, 101), "AGP": (125, 132), "RNA": (7, 8)}  # least and below what; RNA is flat
DEMO = ("crops.global_side=56", "crops.global_area=[1,1]", "model.position_side=56")


@pytest.fixture
def work(tmp_path, monkeypatch):
    def site(plate, well, number, side):
        generator = np.random.default_rng(number)
        return np.stack([generator.integers(*LEVELS[name], (side, side), dtype=np.uint8) for name in made_work.CHANNELS])

    monkeypatch.setattr(made_work, "made_site", site)
    return made_work.make_work(tmp_path / "work", wells=2, sites=2, side=56)


def expected(work, config):
    """Noise over signal by the formulas, from the stored pixels: sqrt(shot m + read^2) over the sd."""
    found = {}
    for channel in ("Mito", "AGP"):
        images = [
            work.read_site(row.Metadata_Plate, row.Metadata_Well, row.Metadata_Site, [channel])[0] / 255
            for row in work.sites.itertuples()
        ]
        noise = [(config.noise_shot * x.mean() + config.noise_read**2) ** 0.5 for x in images]
        found[channel] = float(np.median([n / x.std() for n, x in zip(noise, images, strict=True)]))
    return found


def test_the_measured_ratio_is_that_of_the_formula(work):
    config = load_recipe("demo", DEMO)
    found = {one.channel: one for one in measured.measure_noise(work, config)}
    assert list(found) == ["Mito", "AGP", "RNA"]
    for channel, ratio in expected(work, config.views).items():
        assert found[channel].quartiles[1] == pytest.approx(ratio, rel=0.05)
        assert found[channel].crops == 8
    assert found["RNA"].crops == 0
    assert len(measured.measure_noise(work, config, sites=3)) == 3
    with pytest.raises(KitError, match="holds no complete plate"):
        measured.measure_noise(made_work.make_work(work.path.parent / "empty", plates=()), config)


def settings_of(line):
    return tuple(re.findall(r"--set (\S+?)(?=[\s:]|$)", line))


def test_the_command_warns_and_its_ways_out_lower_the_noise(work):
    def said(*settings):
        words = [word for setting in (*DEMO, *settings) for word in ("--set", setting)]
        return kit_command("views", work.path, "--noise", "--recipe", "demo", *words).stdout.splitlines()

    lines = said()
    assert "recipe demo: median of up to 8 crops of 56 px (quartiles); 50% of views get noise" in lines[0]
    assert re.fullmatch(r"  Mito  0\.\d\d \(0\.\d\d to 0\.\d\d\)", lines[1])
    assert re.fullmatch(r"  AGP   [89]\.\d\d \(.*\)", lines[2])
    assert lines[3] == "  RNA   no signal"
    assert lines[4] == "The noise is stronger than the signal in AGP. To weaken it:"
    factor, unit = (settings_of(line) for line in lines[5:])
    assert factor == ("views.noise_fluorescence=0",)  # any less shot noise is beyond the Poisson tables
    assert unit == ("views.noise_unit=sd",)
    assert lines[6].endswith("then noise_fluorescence = 1 and noise_brightfield = 1 are noise over signal, whatever the crop")
    for way_out in (factor, unit):
        assert len(said(*way_out)) == 4
    loud = said(*unit, "views.noise_fluorescence=1.5")
    assert [float(line.split()[1]) for line in loud[1:3]] == pytest.approx([1.5, 1.5], rel=0.05)
    assert len(said(*unit, *settings_of(loud[-1]))) == 4
    assert said("views.noise_p=0") == ["recipe demo adds no noise: views.noise_p = 0"]
    assert said("views.style=dinov2") == ["recipe demo adds no noise: views.style = dinov2"]


def test_each_group_has_its_way_out():
    one = measured.ChannelNoise(channel="DNA", group="nuclei", crops=9, quartiles=(1.0, 1.6, 3.0))
    bright = replace(one, channel="BF", group="brightfield", quartiles=(1.0, 2.0, 3.0))
    config = load_recipe("sslprofiler")
    text = measured.noise_text([one, bright], config)
    assert "signal in DNA, BF. To weaken it:\n  --set views.noise_fluorescence=0.39 --set views.noise_brightfield=0.25\n" in text
    assert "To weaken" not in measured.noise_text([replace(one, quartiles=(0.9, 1.04, 1.2))], config)
