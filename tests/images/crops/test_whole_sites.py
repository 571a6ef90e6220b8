"""Tiling for inference: the grid covers the site, tiles are cut where it says, and whole sites keep their mean."""

import itertools

import pytest
import torch
import torch.nn.functional as F

from kit.errors import UsageError
from kit.images.crops.whole_sites import grid, site_tiles, whole_sites


def made(S=2, C=3, H=60, W=75):
    return torch.randint(0, 256, (S, C, H, W), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize(("H", "W", "size", "overlap"), [(60, 75, 20, 0), (60, 75, 20, 7), (60, 75, 60, 0), (61, 97, 13, 12)])
def test_grid_covers_the_site_with_the_overlap(H, W, size, overlap):
    box = grid(H, W, size, overlap)
    covered = torch.zeros(H, W, dtype=torch.int64)
    for top, left, tall, wide in box.tolist():
        assert top >= 0
        assert left >= 0
        assert (tall, wide) == (size, size)
        covered[top : top + tall, left : left + wide] += 1
        assert covered[top : top + tall, left : left + wide].shape == (size, size)
    assert covered.min() == 1
    for starts in (sorted(set(box[:, 0].tolist())), sorted(set(box[:, 1].tolist()))):
        assert all(size - (b - a) >= overlap for a, b in itertools.pairwise(starts))


def test_grid_by_hand():
    assert grid(10, 7, 4, 1).tolist() == [
        [0, 0, 4, 4], [0, 3, 4, 4], [3, 0, 4, 4], [3, 3, 4, 4], [6, 0, 4, 4], [6, 3, 4, 4],
    ]  # fmt: skip


def test_tiles_are_the_pixels_of_their_boxes():
    sites = made()
    tiles = site_tiles(sites, 20, overlap=5)
    for t, (top, left, _, _) in enumerate(grid(60, 75, 20, 5).tolist()):
        assert torch.equal(tiles[:, t], sites[:, :, top : top + 20, left : left + 20])
    assert site_tiles(sites, 20, overlap=5, side=9).shape == (2, tiles.shape[1], 3, 9, 9)


def test_whole_sites_are_the_antialiased_sites():
    sites = made()
    theirs = F.interpolate(sites.float(), (30, 30), mode="bilinear", antialias=True)
    assert (whole_sites(sites, 30) - theirs).abs().max() < 0.53
    assert torch.equal(whole_sites(sites[:, :, :60, :60].contiguous(), 60), sites[:, :, :60, :60])


def test_the_centre_of_a_site_can_stand_for_it():
    sites = made()
    assert torch.equal(whole_sites(sites, 30, crop=30), sites[:, :, 15:45, 22:52])
    assert torch.equal(whole_sites(sites, 10, crop=30), whole_sites(sites[:, :, 15:45, 22:52].contiguous(), 10))
    with pytest.raises(UsageError, match=r"embed\.crop = 61 is larger than a site of 60 x 75 px"):
        whole_sites(sites, 10, crop=61)


@pytest.mark.parametrize(
    ("size", "overlap", "words"), [(61, 0, "does not fit"), (0, 0, "does not fit"), (20, 20, "overlap of 20")]
)
def test_impossible_grids_are_refused(size, overlap, words):
    with pytest.raises(UsageError, match=words):
        grid(60, 75, size, overlap)
