"""The picture of the augmentations: what its panels hold, and that it is drawn."""

import numpy as np
import pandas as pd
import pytest

from kit.config import StoreConfig, ViewsConfig
from kit.errors import KitError
from kit.images.store.work import Work
from kit.model.views_figure import _choose_site, draw_views_figure, make_panels, signal_and_noise

GROUPS = ("fluorescence", "brightfield")


def site(side=64, channels=2):
    return np.random.default_rng(0).integers(20, 120, (channels, side, side), dtype=np.uint8)


def by_name(config):
    return {panel.name: panel for panel in make_panels(site(), GROUPS, config)}


def test_every_op_alone_and_all_together():
    config = ViewsConfig(elastic_alpha=100.0, elastic_sigma=12.0, elastic_p=0.0, noise_p=0.0)
    panels = by_name(config)
    assert list(panels) == ["as it is", "jitter", "rotation", "warp", "noise", "all"]  # on, whatever their probability
    plain = panels["as it is"].image_CPP
    np.testing.assert_allclose(plain, site() / 255, atol=1e-6)
    slopes = [np.polyfit(plain[c].ravel(), panels["jitter"].image_CPP[c].ravel(), 1) for c in range(2)]
    for c, (slope, start) in enumerate(slopes):
        np.testing.assert_allclose(panels["jitter"].image_CPP[c], slope * plain[c] + start, atol=1e-5)
    assert panels["noise"].lines_PP is None
    assert panels["warp"].lines_PP is not None
    assert [name for name, panel in panels.items() if panel.lines_PP is not None] == ["rotation", "warp", "all"]


def test_noise_has_the_sd_of_its_formula():
    """Var = I * shot + read^2 for intensities that do not clip."""
    panels = make_panels(
        np.full((2, 64, 64), 51, np.uint8), GROUPS, ViewsConfig(noise_shot=0.01, noise_dark=0.05, noise_read=0.02)
    )
    signal, noise = signal_and_noise(panels, 0)
    assert signal == pytest.approx(0, abs=1e-6)
    assert noise == pytest.approx((0.2 * 0.01 + 0.02**2) ** 0.5, rel=0.05)


def test_other_styles():
    assert list(by_name(ViewsConfig(style="dinov2"))) == ["as it is", "jitter", "blur", "solarise", "all"]
    assert list(by_name(ViewsConfig(style="none"))) == ["as it is"]
    assert "rotation" not in by_name(ViewsConfig(rotation="right", elastic_sigma=12.0))
    solarised = by_name(ViewsConfig(style="dinov2"))["solarise"].image_CPP
    assert solarised.max() < 0.5


class MadeWork(Work):
    """Three sites of 600 px: without Brightfield, and twice with both channels."""

    def __init__(self, path):
        super().__init__(path, StoreConfig())
        who = {"Metadata_Plate": "P1", "Metadata_Well": "A01", "Metadata_Site": [1, 2, 3]}
        self.sites = pd.DataFrame({**who, "channels": ["DNA", "DNA,Brightfield", "DNA,Brightfield"]})

    def read_site(self, plate, well, number, channels=None):
        return site(600, len(channels))


def test_the_figure_is_drawn(tmp_path):
    draw_views_figure(MadeWork(tmp_path), ViewsConfig(), tmp_path / "views.png")
    assert (tmp_path / "views.png").read_bytes().startswith(b"\x89PNG")


def test_the_first_site_with_most_channels_is_drawn(tmp_path):
    assert _choose_site(MadeWork(tmp_path), ()) == ("P1", "A01", 2, ("DNA", "Brightfield"))
    assert _choose_site(MadeWork(tmp_path), ("DNA",)) == ("P1", "A01", 2, ("DNA",))


def test_missing_channels_are_named(tmp_path):
    with pytest.raises(KitError, match="RNA"):
        draw_views_figure(MadeWork(tmp_path), ViewsConfig(), tmp_path / "views.png", channels=("RNA",))
    assert not (tmp_path / "views.png").exists()
