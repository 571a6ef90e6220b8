"""What a run's network looks at, on a small store: an ignored channel changes neither likeness nor score."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from kit.errors import KitError
from kit.model.cost import forward_flops
from kit.profiles import looks
from kit.profiles.looks import channel_use, patch_maps
from tests.images.made_work import change_table, make_work
from tests.model.tiny import CHANNELS
from tests.profiles.blind import blind_backbone


@pytest.fixture(scope="module")
def backbone(tmp_path_factory):
    path = tmp_path_factory.mktemp("looks")
    make_work(path, wells=6, sites=1)
    for plate in ("P1", "P2"):
        change_table(
            path, plate, lambda table: table.assign(Metadata_broad_sample=table["Metadata_Well"], Metadata_is_control=False)
        )
    from kit.images.store.work import open_work

    return blind_backbone(open_work(path))


def test_an_ignored_channel_changes_neither_likeness_nor_score(backbone, monkeypatch):
    monkeypatch.setattr(looks, "SCORED", 12)
    use = channel_use(backbone)
    assert (use.channels, use.sites, use.plates, use.side, use.chance) == (CHANNELS, 12, 2, 16, 1 / 6)
    assert use.similarity_C[1] == pytest.approx(1)
    assert max(use.similarity_C[0], use.similarity_C[2]) < 0.99
    assert use.accuracy_C[1] == use.accuracy
    again = channel_use(backbone)
    np.testing.assert_array_equal(use.similarity_C, again.similarity_C)


def test_few_sites_have_no_score_and_a_dear_network_sees_the_middle(backbone, monkeypatch):
    monkeypatch.setattr(looks, "FEWEST", 2)
    large = replace(backbone, config=replace(backbone.config, embed=replace(backbone.config.embed, side=32)))
    use = channel_use(large, flop=4 * 2 * forward_flops(large.config.model, 3, 24))
    assert (use.side, use.accuracy, use.accuracy_C) == (24, None, None)
    view = looks._views(large, [("P1", "A01", 1)], 24)
    whole = looks._views(large, [("P1", "A01", 1)], 32)
    torch.testing.assert_close(view, whole[..., 4:28, 4:28])


def test_without_a_treatment_on_two_plates_it_is_said(backbone):
    alone = replace(backbone, work=backbone.work.only(["P1"]))
    with pytest.raises(KitError, match="no treatment is on two plates"):
        channel_use(alone)


def test_every_patch_has_a_colour_or_is_background(backbone):
    maps = patch_maps(backbone, [("P1", "A01", 1), ("P2", "A03", 1)])
    assert maps.colour_BRR3.shape == (2, 4, 4, 3)
    blank = np.isnan(maps.colour_BRR3).any(axis=3)
    assert 0 < blank.sum() < blank.size
    shown = maps.colour_BRR3[~blank]
    assert (shown.min(), shown.max()) == (0, 1)
    assert 0.3 < maps.share_3.sum() <= 1
