"""kit embed --tiles: the mean of the vectors of the views, recorded, beside the features of whole sites."""

import itertools
import json

import numpy as np
import pytest
import torch

import kit
from kit.errors import UsageError
from kit.model.checkpoint import load_backbone
from kit.model.vectors import site_vectors
from kit.profiles.embed import embed
from kit.profiles.tiling import Tiling, parse_tiles
from tests.images.made_work import make_work

from ..commands import kit_command
from .test_embed import FEATURES, MEAN, SD, put_run


@pytest.fixture
def work(tmp_path):
    make_work(tmp_path, wells=1)
    put_run(tmp_path, "tiny")
    return kit.open(tmp_path)


def vectors_of(work, views) -> np.ndarray:
    network, config, *_ = load_backbone(work.run_folder("tiny"))
    made = {"mean_C": torch.tensor(MEAN), "sd_C": torch.tensor(SD), "side": config.embed.side, "views": config.views}
    return torch.cat(
        [site_vectors(network, torch.from_numpy(np.ascontiguousarray(view))[None], **made) for view in views]
    ).numpy()


def test_the_vector_is_the_mean_over_the_views(work):
    embed(work, "tiny")
    whole = work.features("tiny")
    site = work.read_site("P1", "A01", 1)
    positions = [np.rot90(image, quarter, (1, 2)) for image in (site, site[:, :, ::-1]) for quarter in range(4)]
    tiles = [site[:, top : top + 16, left : left + 16] for top, left in itertools.product((0, 16), repeat=2)]
    for text, name, views in [("turns", "tiny-turns", positions), ("16", "tiny-16px", tiles)]:
        done = embed(work, "tiny", tiles=text)
        assert done.run == name
        row = work.features(name).loc[0, FEATURES].to_numpy(dtype=np.float32)
        np.testing.assert_allclose(row, vectors_of(work, views).mean(axis=0)[: len(FEATURES)], rtol=1e-4, atol=1e-5)
        assert np.abs(row - whole.loc[0, FEATURES].to_numpy(dtype=np.float32)).max() > 1e-3
    np.testing.assert_array_equal(work.features("tiny"), whole)
    said = json.loads((work.run_folder("tiny-16px") / "features" / "features.json").read_text())
    assert said["tiles"] == {"pixels": 16, "turns": False}
    plain = json.loads((work.run_folder("tiny") / "features" / "features.json").read_text())
    assert "tiles" not in plain
    assert said["made_by"] != plain["made_by"]


def test_turns_make_the_vector_the_same_for_every_position_of_the_site():
    site = torch.from_numpy(np.random.default_rng(0).integers(0, 256, (1, 2, 6, 6), dtype=np.uint8))
    views = {view.numpy().tobytes() for view in Tiling(turns=True).views(site)}
    assert len(views) == 8
    for other in (site.flip(2), site.rot90(1, (2, 3)), site.flip(3).rot90(3, (2, 3))):
        assert {view.numpy().tobytes() for view in Tiling(turns=True).views(other.contiguous())} == views
    assert len(list(Tiling(4, turns=True).views(site))) == 32


@pytest.mark.parametrize("text", ["", "half", "0,turns,0", "whole,16", "16,20", "turns,turns", "-3", "1.5"])
def test_what_is_no_tiling_is_one_line(text):
    with pytest.raises(
        UsageError, match=rf"--tiles {text}: need whole, turns, a tile's side in pixels, or both, as in 280,turns"
    ):
        parse_tiles(text)


def test_wrong_tiles_at_the_command_line(work):
    assert (parse_tiles("16, turns"), parse_tiles("whole")) == (Tiling(16, True), Tiling())
    for options, message in [
        (("--tiles", "33"), "a tile of 33 px does not fit a site of 32 x 32 px"),
        (("--tiles", "0"), "--tiles 0: the side of a tile is 1 pixel or more"),
        (("--tiles", "turns", "--baseline", "texture"), "--tiles turns is for a network: --baseline texture measures"),
    ]:
        said = kit_command("embed", "--work", work.path, "--run", "tiny", *options, code=2)
        assert said.stderr.startswith(f"kit: {message}")
