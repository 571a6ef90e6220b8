"""A network that takes any channels embeds others than it was trained on: in any order, fewer, or one it has never seen."""

import numpy as np
import pytest

import kit
from kit.model.checkpoint import load_backbone
from tests.commands import kit_here
from tests.images.made_work import CHANNELS, make_work
from tests.model.run_tiny import run_tiny

STEP = {"train": {"max_steps": 1}, "loss": {"local_aggregation": False, "symmetric": False}}
MIXER = {"stem": "mixer", "channel_filters": 3, "mixer_blocks": 1, "drop_path": 0.0}
VIEWS = {"normalise": "crop", "clahe": True, "clip_percentiles": (1.0, 99.0), "channel_order": "permuted"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A store of three channels; a mixer and a bag trained on all of them for two steps, and a plain network."""
    path = tmp_path_factory.mktemp("w") / "w"
    make_work(path, wells=6, sites=1)
    run_tiny(path, "mixer", model=MIXER, views=VIEWS, **STEP)
    run_tiny(path, "bag", model={"bag": True}, views={"normalise": "crop"}, **STEP)
    run_tiny(path, "plain", **STEP)
    return path


def features(folder, run: str) -> np.ndarray:
    table = kit.open(folder).features(run)
    return table[[name for name in table if name.startswith("f")]].to_numpy()


def test_other_orders_and_fewer_channels(folder, monkeypatch, capsys):
    monkeypatch.chdir(folder.parent)
    kit_here("embed --work w --run mixer")
    kit_here("embed --work w --run mixer --channels RNA,Mito,AGP")
    kit_here("embed --work w --run mixer --channels RNA,Mito")
    kit_here("embed --work w --run mixer --channels AGP")
    assert "mixer-RNA-Mito: 12 sites of 2 plates, features cls 24, patch 24, patch_sd 24" in capsys.readouterr().out
    of_all = features(folder, "mixer")
    np.testing.assert_allclose(features(folder, "mixer-RNA-Mito-AGP"), of_all, rtol=1e-5, atol=1e-5 * np.abs(of_all).max())
    two, one = features(folder, "mixer-RNA-Mito"), features(folder, "mixer-AGP")
    assert np.abs(two - of_all).max() > 1e-4 < np.abs(one - two).max()
    kit_here("embed --work w --run mixer --baseline random --channels AGP")
    assert (folder / "runs" / "mixer-random-AGP" / "features").is_dir()
    kit_here("profile --work w --run mixer-RNA-Mito --out p.parquet --merge mean")


def test_a_bag_concatenates_the_channels_it_is_given(folder, monkeypatch, capsys):
    monkeypatch.chdir(folder.parent)
    kit_here("embed --work w --run bag")
    kit_here("embed --work w --run bag --channels RNA,Mito")
    said = capsys.readouterr().out
    assert "bag: 12 sites of 2 plates, features cls 72, patch 72, patch_sd 72" in said
    assert "bag-RNA-Mito: 12 sites of 2 plates, features cls 48, patch 48, patch_sd 48" in said
    parts = features(folder, "bag").reshape(12, 3, 3, 24)  # part, channel
    np.testing.assert_allclose(features(folder, "bag-RNA-Mito").reshape(12, 3, 2, 24), parts[:, :, [2, 0]], rtol=1e-4, atol=1e-5)
    network, config, *_ = load_backbone(folder / "runs" / "bag")
    assert (network.channels, config.channels, config.width) == (1, CHANNELS, 72)


def test_a_network_of_fixed_channels_still_refuses(folder, monkeypatch, capsys):
    monkeypatch.chdir(folder.parent)
    kit_here("embed --work w --run plain --channels RNA,Mito", 2)
    assert "--channels RNA,Mito: run plain takes Mito,AGP,RNA" in capsys.readouterr().err
    kit_here("embed --work w --run mixer --channels RNA,Mitp", 2)
    assert "w has no channel Mitp; did you mean Mito?" in capsys.readouterr().err
