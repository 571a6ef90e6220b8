"""The high pass of a run: its statistics, the same bits after a resume, by group, and what kit views measures with it."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors.torch import load

from kit.config import ViewsConfig
from kit.errors import StoppedCleanly, UsageError
from kit.images.crops.preparation import Preparation
from kit.images.store.work import open_work
from kit.kernels.high_pass import high_pass_reference
from kit.model import channel_stats as stats
from kit.model import views_figure
from kit.model.noise_over_signal import measure_noise
from kit.recipe import load_recipe
from tests.images import made_work
from tests.model.run_tiny import run_tiny
from tests.model.tiny import CHANNELS, tiny_config

PASSED = {"high_pass_fluorescence": 9}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("work")
    made_work.make_work(path, wells=6, sites=2, side=28)
    return path


def by_hand(work, side=9):
    """Every site of the store, filtered by the reference, intensities [N, C, H, W]."""
    who = work.sites[["Metadata_Plate", "Metadata_Well", "Metadata_Site"]].itertuples(index=False, name=None)
    return np.stack([high_pass_reference(torch.from_numpy(work.read_site(*one)), side).numpy() for one in who]) / 255


def test_each_group_has_its_own():
    config = replace(tiny_config(), views=ViewsConfig(high_pass_brightfield=31, high_pass_fluorescence=5))
    assert Preparation.of_run(config).high_pass_C == (5, 5, 5)
    config = replace(config, channels=("DNA", "Trans"), groups={"brightfield": ("Trans",), "fluorescence": ("DNA",)})
    assert Preparation.of_run(config).high_pass_C == (5, 31)
    assert Preparation.of_run(tiny_config()).high_pass_C == (0, 0, 0)


@pytest.mark.parametrize("side", [1, 4, -3, 2049])
def test_a_window_without_a_middle_is_refused(side):
    need = f"views.high_pass_brightfield = {side}: need 0, or an odd number of pixels from 3 to 2047"
    with pytest.raises(UsageError, match=need):
        load_recipe("demo", (f"views.high_pass_brightfield={side}",))


def test_statistics_are_those_of_the_filtered_pixels(folder):
    work = open_work(folder)
    config = replace(tiny_config(), groups={"brightfield": ("AGP",)}, views=ViewsConfig(high_pass_brightfield=9))
    mean_C, sd_C = stats.channel_stats(work, config)
    plain_mean_C, plain_sd_C = work.channel_stats(CHANNELS)
    pixels_N = by_hand(work)[:, 1]
    assert (mean_C[1], sd_C[1]) == (pytest.approx(pixels_N.mean(), rel=1e-12), pytest.approx(pixels_N.std(), rel=1e-9))
    assert (mean_C[::2] == plain_mean_C[::2]).all()
    assert (sd_C[::2] == plain_sd_C[::2]).all()
    np.testing.assert_array_equal(stats.channel_stats(work, tiny_config()), work.channel_stats(CHANNELS))


def test_a_run_goes_on_with_the_same_bits(folder):
    changes = {"views": PASSED, "train": {"max_steps": 2}}
    run_tiny(folder, "whole", **changes)
    with pytest.raises(StoppedCleanly):
        run_tiny(folder, "parts", max_hours=1e-9, **changes)
    run_tiny(folder, "parts", resume=True, **changes)
    weights = [
        load((folder / "runs" / run / "checkpoints" / "step_00000002.safetensors").read_bytes()) for run in ("whole", "parts")
    ]
    assert all(torch.equal(weights[0][name], weights[1][name]) for name in weights[0])
    data = json.loads((folder / "runs" / "whole" / "data.json").read_text())
    pixels = by_hand(open_work(folder))
    assert data["mean"] == pytest.approx(pixels.mean((0, 2, 3)), rel=1e-12)
    assert data["sd"] == pytest.approx(pixels.std((0, 2, 3)), rel=1e-9)


def test_kit_views_measures_and_draws_what_the_network_sees(folder, tmp_path, monkeypatch):
    """Noise over signal by the formula, of filtered pixels; a crop is the whole site."""
    work = open_work(folder)
    config = load_recipe("demo", ("crops.global_side=28", "crops.global_area=[1,1]", "model.position_side=28"))
    views = config.views
    passed = replace(config, views=replace(views, **PASSED))
    pixels = by_hand(work)
    noise_NC = np.sqrt(views.noise_shot * pixels.mean((2, 3)) + views.noise_read**2)
    found = [one.quartiles[1] for one in measure_noise(work, passed)]
    np.testing.assert_allclose(found, np.median(noise_NC / pixels.std((2, 3)), axis=0), rtol=0.1)
    drawn = []
    monkeypatch.setattr(views_figure, "_draw", lambda panels, *_: drawn.append(panels[0]))
    views_figure.draw_views_figure(work, passed.views, tmp_path / "passed.png")
    assert drawn[0].name == "as it is"
    np.testing.assert_allclose(drawn[0].image_CPP, pixels[0], atol=1e-6)
