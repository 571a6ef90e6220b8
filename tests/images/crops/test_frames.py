"""Crops around cells or places: where these squares lie, whatever the ranks, threads and buffers, and what happens at edges."""

import collections
import functools
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch

from kit.config import CropsConfig
from kit.errors import KitError, UsageError
from kit.images.cells.table import WHO, CellsOfSites, write_cells
from kit.images.crops import loader as loader_module
from kit.images.crops.frames import Frames, around
from tests.images.crops.test_loader import assert_same, loader, take
from tests.images.made_work import made_site, make_work

SIDE, PX = 32, 12
RECORDED = 95138879
WHOLE = CropsConfig(around="cell", cell_px=PX, global_side=PX, global_area=(1, 1), global_aspect=(1, 1), local_side=6,
                    local_area=(0.25, 0.25), local_crops=2, flips=False, quarter_turns=False)  # fmt: skip


@functools.cache
def cells_of(work, plate):
    """Three cells a site, at places of its own; well A03 has none."""
    rows = []
    for _, well, site in work.sites.loc[work.sites["Metadata_Plate"] == plate, WHO].itertuples(index=False, name=None):
        places = np.random.default_rng([ord(plate[-1]), int(well[1:]), site]).uniform(0, SIDE - 1, (3, 2))
        rows += [(plate, well, site, y, x) for y, x in places if well != "A03"]
    return pd.DataFrame(rows, columns=[*WHO, "y", "x"])


@pytest.fixture(scope="module")
def work(tmp_path_factory):
    work = make_work(tmp_path_factory.mktemp("work"), lone=[("P1", "A01")])
    for plate in work.plates:
        write_cells(work, plate, cells_of(work, plate), {"made": 1})
    return work


@functools.cache
def squares(work, plate, well, site):
    """The pixels of the squares around the cells of a site, bytes -> number of the cell; worked out by hand."""
    cells = cells_of(work, plate)
    places = cells[(cells["Metadata_Well"] == well) & (cells["Metadata_Site"] == site)][["y", "x"]].to_numpy()
    whole = made_site(plate, well, site)
    found = {}
    for number, (y, x) in enumerate(places):
        top, left = (min(max(int(np.floor(place + 0.5)) - PX // 2, 0), SIDE - PX) for place in (y, x))
        found[np.ascontiguousarray(whole[:, top : top + PX, left : left + PX]).tobytes()] = number
    return found


def test_crops_show_the_square_around_a_cell_of_their_site(work):
    seen = collections.Counter()
    with loader(work, WHOLE, batch=12) as crops:
        for batch in take(crops, count=8):
            for slot, (plate, well, site, second_site) in enumerate(batch.who):
                pixels = {name: batch.groups[name].pixels_BCPP[slot].numpy().tobytes() for name in ("v1", "w", "v2")}
                assert pixels["v1"] == pixels["w"]  # one cell a sample: with the whole square, one picture
                if well == "A03":
                    continue
                first = squares(work, plate, well, site)[pixels["v1"]]
                second = squares(work, plate, well, second_site)[pixels["v2"]]
                assert site != second_site or first != second  # A01 of P1 has one site: another cell of it
                seen[first] += 1
    assert set(seen) == {0, 1, 2}
    assert min(seen.values()) > 15  # of 88


def test_crops_are_drawn_inside_the_square(work):
    config = replace(WHOLE, global_side=8, global_area=(0.45, 0.45))
    with loader(work, config, batch=12) as crops:
        batch = take(crops, count=1)[0]
    for slot, (plate, well, site, _) in enumerate(batch.who):
        if well == "A03":
            continue
        inside = [np.frombuffer(square, np.uint8).reshape(3, PX, PX) for square in squares(work, plate, well, site)]
        for name in ("v1", "w"):
            crop = batch.groups[name].pixels_BCPP[slot].numpy()
            assert any(
                (square[:, top : top + 8, left : left + 8] == crop).all()
                for square in inside for top in range(PX - 7) for left in range(PX - 7)
            )  # fmt: skip
        local = batch.groups["local"].pixels_BCPP[2 * slot].numpy()
        assert any(
            (square[:, top : top + 6, left : left + 6] == local).all()
            for square in inside for top in range(PX - 5) for left in range(PX - 5)
        )  # fmt: skip


def test_ranks_threads_and_buffers_change_no_bit(work, monkeypatch):
    config = replace(WHOLE, global_area=(0.3, 0.8), flips=True, quarter_turns=True)
    with loader(work, config) as crops:
        whole = take(crops, count=3)
    monkeypatch.setattr(loader_module, "BUFFER_BYTES", 3 * 2 * 3 * SIDE * SIDE)  # three samples
    for rank in (0, 1):
        with loader(work, config, rank=rank, world=2, threads=3) as crops:
            for found, expected in zip(take(crops, count=3), whole, strict=True):
                assert_same(found, expected, range(4 * rank, 4 * rank + 4))
    with loader(work, config) as crops:
        assert_same(take(crops, start=2, count=1)[0], whole[2])


def test_an_epoch_over_cells_shows_the_square_of_each_once(work):
    config, seen = replace(WHOLE, balance="cells", epoch="cells", local_crops=0), []
    for rank in (0, 1):
        with loader(work, config, rank=rank, world=2) as crops:
            assert crops.steps_per_epoch == 85 * 3 // 8  # 93 sites, 8 of them of well A03, which has no cell
            for batch in take(crops, count=crops.steps_per_epoch):
                for slot, (plate, well, site, second_site) in enumerate(batch.who):
                    first, second = (batch.groups[name].pixels_BCPP[slot].numpy().tobytes() for name in ("v1", "v2"))
                    number = squares(work, plate, well, site)[first]
                    assert (site, number) != (second_site, squares(work, plate, well, second_site)[second])
                    seen.append((plate, well, site, number))
    assert len(seen) == 85 * 3 // 8 * 8
    assert set(collections.Counter(who[:3] for who in seen).values()) <= {1, 2, 3}
    apart = [who for who in seen if len(squares(work, *who[:3])) == 3]  # at an edge two cells can have one square
    assert len(apart) == len(set(apart)) > 200


def test_a_site_without_cells_gives_squares_at_random_places(work):
    corners = set()
    with loader(work, WHOLE, batch=12) as crops:
        for epoch in range(2):
            for batch in take(crops, epoch, count=8):
                for slot, (plate, well, site, _) in enumerate(batch.who):
                    if well == "A03":
                        whole, crop = made_site(plate, well, site), batch.groups["v1"].pixels_BCPP[slot].numpy()
                        corners |= {(y, x) for y in range(SIDE - PX + 1) for x in range(SIDE - PX + 1)
                                    if (whole[:, y : y + PX, x : x + PX] == crop).all()}  # fmt: skip
    assert len(corners) > 12  # of 16 draws, all inside


def places_of(work, batch):
    """Where the whole squares of a batch lie in their sites: one (y, x) of v1 and one of v2 for each sample."""
    found = []
    for slot, (plate, well, site, second_site) in enumerate(batch.who):
        pixels = {name: batch.groups[name].pixels_BCPP[slot].numpy() for name in ("v1", "w", "v2")}
        assert np.array_equal(pixels["v1"], pixels["w"])  # one place a sample: with the whole square, one picture
        for name, of in (("v1", site), ("v2", second_site)):
            views = np.lib.stride_tricks.sliding_window_view(made_site(plate, well, of), (PX, PX), axis=(1, 2))
            equal = (views == pixels[name][:, None, None]).all(axis=(0, 3, 4))
            assert equal.sum() == 1
            found.append(tuple(np.argwhere(equal)[0].tolist()))
    return found


def test_around_a_place_every_crop_of_a_sample_shows_the_same_square(work):
    seen = []
    with loader(work, replace(WHOLE, around="place"), batch=12) as crops:
        for batch in take(crops, count=8):
            seen += places_of(work, batch)
    tops, lefts = np.array(seen).T
    assert len(seen) == 168
    for along in (tops, lefts):  # uniform over the 21 places that lie inside
        assert (along.min(), along.max()) == (0, SIDE - PX)
        assert abs(along.mean() - 10) < 4 * (21**2 / 12 / 168) ** 0.5
    assert len(set(seen)) > 120
    assert np.mean([a == b for a, b in zip(seen[::2], seen[1::2], strict=True)]) < 0.05  # the other site has a place of its own


def test_places_know_no_cells_and_no_ranks(work, tmp_path):
    other, config = make_work(tmp_path, lone=[("P1", "A01")]), replace(WHOLE, around="place")
    with loader(other, config, batch=12) as crops, loader(work, config, batch=12, rank=1, world=2) as half:
        for whole, part in zip(take(crops, count=2), take(half, count=2), strict=True):
            assert whole.who[6:] == part.who
            assert torch.equal(whole.groups["v2"].pixels_BCPP[6:], part.groups["v2"].pixels_BCPP)


def test_corners_at_the_edges_and_the_middle():
    places = np.array([[0, 0], [31, 31], [15.4, 15.6], [6, 26]], np.float32)
    assert around(places, (12, 12), (32, 32)).tolist() == [[0, 0], [20, 20], [9, 10], [0, 20]]
    assert around(places[:1], (32, 32), (32, 32)).tolist() == [[0, 0]]
    nothing = CellsOfSites(np.zeros(1, int), np.zeros(1, int), np.zeros((0, 2), np.float32))
    frames = Frames((10, 10), (20, 40), nothing, 400, 0)
    corner_R2 = frames.corners([(0, 0)] * 400, range(400), 0, 0)[:, 0]
    assert corner_R2.min(axis=0).tolist() == [0, 0]
    assert corner_R2.max(axis=0).tolist() == [10, 30]


def test_a_site_that_replaces_a_damaged_one_shows_its_own_cells(work, tmp_path):
    other = make_work(tmp_path)
    for plate in other.plates:
        write_cells(other, plate, cells_of(other, plate), {"made": 1})
    shard = other.container("P1").shard("A02")
    data = bytearray(shard.read_bytes())
    data[:2000] = bytes(2000)  # the first sites of the well
    shard.write_bytes(data)
    config, replaced = replace(WHOLE, on_bad="skip"), 0
    with loader(other, config, batch=12) as crops:
        for batch in take(crops, count=8):
            for slot, (plate, well, site, _) in enumerate(batch.who):
                if (plate, well) == ("P1", "A02"):
                    assert batch.groups["v1"].pixels_BCPP[slot].numpy().tobytes() in squares(other, plate, well, site)
                    replaced += 1
        assert crops.skipped
    assert replaced


def test_what_cannot_be_drawn_is_refused(work, tmp_path):
    for drawn_in in ("cell", "place"):
        with pytest.raises(UsageError, match=r"crops.cell_px = 33: the sites are 32 x 32 px"):
            loader(work, replace(WHOLE, around=drawn_in, cell_px=33))
    other = make_work(tmp_path)
    with pytest.raises(KitError, match=r"the cells of plates P1, P2 are not known: find them with kit cells"):
        loader(other, WHOLE)
    for plate in other.plates:
        write_cells(other, plate, cells_of(other, plate)[:0], {"made": 1})
    with pytest.raises(KitError, match=r"none of the 96 sites of .* has a cell"):
        loader(other, WHOLE)


def test_whole_sites_are_drawn_as_ever(work):
    config = CropsConfig(global_side=14, local_side=7, local_crops=2)
    with loader(work, config) as crops:
        batch = take(crops, count=1)[0]
    sums = torch.cat([group.sums_BC.flatten() for group in batch.groups.values()])
    assert int(sums.double().dot(torch.arange(1, len(sums) + 1).double())) == RECORDED  # before there were squares
