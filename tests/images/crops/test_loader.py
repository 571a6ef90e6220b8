"""The loader: what a batch holds, the same bits whatever the threads, ranks and place of a resume, errors that end clean."""

import collections

import pytest
import torch

from kit.config import CropsConfig
from kit.errors import KitError, UsageError
from kit.images.crops.loader import Crops
from kit.kernels.tile import tile_reference
from tests.images.made_work import CHANNELS, made_site, make_work

CONFIG = CropsConfig(global_side=14, local_side=7, local_crops=2)


@pytest.fixture(scope="module")
def work(tmp_path_factory):
    return make_work(tmp_path_factory.mktemp("work"))


@pytest.fixture(scope="module")
def three_plates(tmp_path_factory):
    return make_work(tmp_path_factory.mktemp("work"), plates=("P1", "P2", "P3"), lines=("U2OS", "A549", "A549"), sites=2)


def loader(work, config=CONFIG, *, batch=8, seed=3, **rest):
    return Crops(work, config, channels=CHANNELS, batch=batch, seed=seed, **rest)


def take(crops, epoch=0, start=0, count=3):
    batches = []
    for batch in crops.epoch(epoch, start):
        batches.append(batch)
        if len(batches) == count:
            break
    return batches


def assert_same(found, expected, rows=None):
    assert found.groups.keys() == expected.groups.keys()
    assert found.position == expected.position
    for name, group in expected.groups.items():
        copies = len(group.sample_B) // len(expected.who)
        keep = slice(None) if rows is None else slice(rows.start * copies, rows.stop * copies)
        for field in ("pixels_BCPP", "sums_BC", "sample_B"):
            assert torch.equal(getattr(found.groups[name], field), getattr(group, field)[keep]), (name, field)


def test_groups_have_their_shapes_and_sums(work):
    with loader(work) as crops:
        batch = take(crops, count=1)[0]
    assert {name: tuple(group.pixels_BCPP.shape) for name, group in batch.groups.items()} == {
        "v1": (8, 3, 14, 14), "w": (8, 3, 14, 14), "v2": (8, 3, 14, 14), "local": (16, 3, 7, 7),
    }  # fmt: skip
    for group in batch.groups.values():
        assert torch.equal(group.sums_BC, group.pixels_BCPP.sum((2, 3), dtype=torch.int64))
    ids = torch.cat([group.sample_B for group in batch.groups.values()])
    assert len(ids.unique()) == len(ids)


def test_crops_are_cut_from_the_sites_they_name(work):
    config = CropsConfig(global_side=14, global_area=(1, 1), global_aspect=(1, 1), flips=False, quarter_turns=False)
    with loader(work, config) as crops:
        batch = take(crops, count=1)[0]
    for slot, (plate, well, site, second_site) in enumerate(batch.who):
        for name, number in (("v1", site), ("w", site), ("v2", second_site)):
            whole = torch.from_numpy(made_site(plate, well, number))[None]
            box = torch.tensor([[0, 0, 32, 32]])
            expected = tile_reference(whole, torch.tensor([0]), box, [False], [0], side=14)[0][0]
            assert torch.equal(batch.groups[name].pixels_BCPP[slot], expected)


def test_second_site_is_another_site_of_the_well_where_there_is_one(tmp_path):
    with loader(make_work(tmp_path, lone=[("P1", "A01")])) as crops:
        pairs = [who for batch in take(crops, count=11) for who in batch.who]
    short = [who for who in pairs if (who.plate, who.well) == ("P1", "A01")]
    assert short
    assert all(who.second_site == who.site == 1 for who in short)
    assert all(who.second_site != who.site for who in pairs if who not in short)
    seen = collections.Counter((who.site, who.second_site) for who in pairs if who not in short)
    assert len(seen) == 12  # every ordered pair of the four sites comes up


def test_a_well_comes_once_in_a_batch_and_equally_often_in_an_epoch(work):
    with loader(work, batch=6) as crops:
        assert crops.steps_per_epoch == 96 // 6
        batches = take(crops, count=99)
    assert len(batches) == 16
    for batch in batches:
        assert len({who[:2] for who in batch.who}) == 6
    wells = collections.Counter(who[:2] for batch in batches for who in batch.who)
    sites = collections.Counter(who[:3] for batch in batches for who in batch.who)
    assert set(wells.values()) == {4}
    assert set(sites.values()) == {1}  # four passes show each of the four sites once


def test_wells_left_over_by_a_pass_are_different_every_time(work):
    with loader(work, batch=9) as crops:  # 24 wells: two batches a pass, six wells wait
        missing = [
            frozenset({(w.plate, w.well) for w in a.who + b.who})
            for e in range(4)
            for a, b in [take(crops, e, count=2)]
        ]  # fmt: skip
    assert len(set(missing)) == 4


def test_balance_takes_the_same_number_from_every_plate_and_line(three_plates):
    work = three_plates
    per_plate, per_line = collections.Counter(), collections.Counter()
    with loader(work, CropsConfig(global_side=14, balance="plates"), batch=6) as crops:
        for batch in take(crops, count=5):
            assert collections.Counter(who.plate for who in batch.who) == {"P1": 2, "P2": 2, "P3": 2}
    with loader(work, CropsConfig(global_side=14, balance="plates"), batch=8) as crops:
        for batch in take(crops, count=12):
            counts = collections.Counter(who.plate for who in batch.who)
            assert set(counts.values()) <= {2, 3}
            per_plate += counts
    assert max(per_plate.values()) - min(per_plate.values()) <= 8
    with loader(work, CropsConfig(global_side=14, balance="cell_lines"), batch=8) as crops:
        for batch in take(crops, count=12):
            per_line += collections.Counter("U2OS" if who.plate == "P1" else "A549" for who in batch.who)
            assert len({who[:2] for who in batch.who}) == 8
    assert per_line["U2OS"] == per_line["A549"]


@pytest.mark.parametrize("threads", [2, 5])
def test_threads_do_not_change_a_bit(work, threads):
    with loader(work, threads=1) as one, loader(work, threads=threads) as many:
        for found, expected in zip(take(many), take(one), strict=True):
            assert_same(found, expected)
            assert found.who == expected.who


def test_small_buffers_do_not_change_a_bit(work, monkeypatch):
    with loader(work) as crops:
        expected = take(crops)
    monkeypatch.setattr("kit.images.crops.loader.BUFFER_BYTES", 3 * 2 * 3 * 32 * 32)  # three samples: parts of 3, 3 and 2
    with loader(work) as crops:
        for found, whole in zip(take(crops), expected, strict=True):
            assert_same(found, whole)


def test_resume_at_any_position(work):
    with loader(work) as crops:
        whole = take(crops, epoch=2, count=6)
    with loader(work) as crops:
        for found, expected in zip(take(crops, epoch=2, start=4, count=2), whole[4:], strict=True):
            assert_same(found, expected)
    assert [batch.position for batch in whole] == [1, 2, 3, 4, 5, 6]


def test_ranks_share_the_global_batch(work):
    with loader(work) as crops:
        whole = take(crops)
    for rank in range(4):
        with loader(work, rank=rank, world=4) as crops:
            for found, expected in zip(take(crops), whole, strict=True):
                rows = range(2 * rank, 2 * rank + 2)
                assert found.who == expected.who[rows.start : rows.stop]
                assert_same(found, expected, rows)


def test_seed_and_epoch_change_everything(work):
    with loader(work) as crops, loader(work, seed=4) as other:
        first, later, reseeded = take(crops, count=1)[0], take(crops, epoch=1, count=1)[0], take(other, count=1)[0]
    assert first.who != later.who
    assert first.who != reseeded.who
    assert not set(first.groups["v1"].sample_B.tolist()) & set(later.groups["v1"].sample_B.tolist())


def test_only_the_named_plates_and_complete_sites_are_drawn(tmp_path):
    work = make_work(tmp_path).only(["P2"])
    work.sites.loc[work.sites["Metadata_Well"] == "A05", "channels"] = "Mito,AGP"
    with loader(work) as crops:
        who = [who for batch in take(crops, count=9) for who in batch.who]
    assert {w.plate for w in who} == {"P2"}
    assert "A05" not in {w.well for w in who}


def test_too_few_wells_for_the_batch(work, tmp_path):
    with pytest.raises(UsageError, match=r"train\.batch = 25, but there are 24 wells"):
        loader(work, batch=25)
    uneven = make_work(tmp_path)
    uneven.sites = uneven.sites[(uneven.sites["Metadata_Plate"] == "P2") | (uneven.sites["Metadata_Well"] < "A04")]
    with pytest.raises(UsageError, match=r"crops\.balance = plates takes 4 wells of each for train\.batch = 8, but .* has 3"):
        loader(uneven, CropsConfig(balance="plates"))
    with pytest.raises(UsageError, match="multiple of 3"):
        loader(work, batch=8, world=3)
    with pytest.raises(UsageError, match=r"plate P9 is not in .*; it holds P1, P2"):
        work.only(["P1", "P9"])
    with pytest.raises(KitError, match="DNA"):
        Crops(work, CONFIG, channels=("DNA",), batch=2, seed=0)


def test_a_store_without_plates_or_cell_lines_says_so(work, tmp_path, monkeypatch):
    with pytest.raises(KitError, match="holds no complete plate"):
        loader(make_work(tmp_path, plates=()))
    wells = work.wells
    monkeypatch.setattr(work, "wells", wells.rename(columns={"Metadata_Cell_type": "Metadata_cells"}))
    with pytest.raises(KitError, match=r"needs a column Cell_type among the labels of .*, which have cells: give the column"):
        loader(work, CropsConfig(balance="cell_lines"))
    monkeypatch.setattr(work, "wells", wells.assign(Metadata_Cell_type=["", "U2OS", "HeLa"] + ["HeLa"] * (len(wells) - 3)))
    with pytest.raises(KitError, match="deals whole plates, and plate P1 holds U2OS and HeLa: take plates"):
        loader(work, CropsConfig(balance="cell_lines"))
