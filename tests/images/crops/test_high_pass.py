"""The high pass of sites: a crop sees what the whole site shows in its place, and without it no bit changes."""

import numpy as np
import pytest
import torch

from kit.config import CropsConfig
from kit.images.crops.loader import Crops
from kit.images.crops.preparation import AS_STORED, Preparation
from kit.images.crops.reader import SiteReader
from kit.kernels.high_pass import high_pass_reference
from kit.kernels.tile import tile_reference
from tests.images.made_work import CHANNELS, made_site, make_work

SIDES = (5, 0, 31)


@pytest.fixture(scope="module")
def work(tmp_path_factory):
    return make_work(tmp_path_factory.mktemp("work"), plates=("P1",), wells=4, sites=2)


def by_hand(site_CHW, sides=SIDES):
    planes = [torch.from_numpy(image_HW)[None] for image_HW in site_CHW]
    return torch.cat([high_pass_reference(plane, side) if side else plane for plane, side in zip(planes, sides, strict=True)])


def test_each_channel_has_its_own_window():
    site_CHW = made_site("P1", "A01", 1)
    before = site_CHW.copy()
    assert Preparation(SIDES)(site_CHW) is site_CHW
    np.testing.assert_array_equal(site_CHW, by_hand(before))
    np.testing.assert_array_equal(AS_STORED(before.copy()), before)
    with pytest.raises(ValueError, match="zip"):
        Preparation((5,))(before)  # a side for each channel


@pytest.mark.parametrize("sides", [SIDES, ()])
@pytest.mark.parametrize("global_side", [14, 33])
def test_a_crop_is_the_filtered_sites_own_place(work, sides, global_side, monkeypatch):
    boxes = []
    plain = Crops._draw_crops
    monkeypatch.setattr(Crops, "_draw_crops", lambda self, *who: boxes.append((who, plain(self, *who))) or boxes[-1][1])
    config = CropsConfig(global_side=global_side, global_area=(0.2, 0.6))
    with Crops(work, config, channels=CHANNELS, batch=4, seed=3, prepare=Preparation(sides)) as crops:
        batch = next(crops.epoch(0))
    for (name, copy, _, _), (box_B4, flip_B, turn_B) in boxes[:3]:
        assert copy == 0
        for slot, (plate, well, site, second) in enumerate(batch.who):
            whole = by_hand(made_site(plate, well, second if name == "v2" else site), sides or (0, 0, 0))
            one = slice(slot, slot + 1)
            box, flip, turn = (torch.from_numpy(values[one]) for values in (box_B4, flip_B, turn_B))
            expected, sums = tile_reference(whole[None], torch.tensor([0]), box, flip, turn, side=global_side)
            assert torch.equal(batch.groups[name].pixels_BCPP[one], expected)
            assert torch.equal(batch.groups[name].sums_BC[one], sums)


def test_the_reader_filters_what_it_reads(work):
    out = np.empty((2, 32, 32), np.uint8)
    SiteReader(work, ("RNA", "Mito"), ["P1"], Preparation((31, 5))).read("P1", "A02", 2, out)
    np.testing.assert_array_equal(out, by_hand(made_site("P1", "A02", 2)[[2, 0]], (31, 5)))
