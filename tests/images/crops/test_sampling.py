"""crops.balance = sites: each position is an input, so that a well with more of them is not cut short. crops.batch_of."""

import collections

import numpy as np
import pandas as pd
import pytest

from kit.config import CropsConfig
from kit.errors import UsageError
from kit.images.crops.sampling import WHO, Sampling


def sampling(fields: dict[str, int], batch: int, balance: str, wells: int = 5) -> Sampling:
    """Of `wells` wells a plate; fields: plate -> sites of each of its wells."""
    rows = [(plate, f"A{w:02d}", s + 1) for plate, n in fields.items() for w in range(wells) for s in range(n)]
    sites = pd.DataFrame(rows, columns=WHO).assign(group="")
    return Sampling(sites, CropsConfig(balance=balance), batch=batch, seed=3)


def drawn(found: Sampling, epoch: int = 0) -> tuple[np.ndarray, np.ndarray]:
    draws = [found.draw(epoch, step) for step in range(found.steps)]
    return np.concatenate([draw.first_B for draw in draws]), np.concatenate([draw.second_B for draw in draws])


def test_every_site_of_nine_and_sixteen_is_drawn_once_an_epoch():
    """Dealt by wells, those of the short wells come up twice and some of the long wells' never."""
    by_sites, by_wells = (sampling({"P1": 9, "P2": 16}, 5, balance) for balance in ("sites", "wells"))
    assert by_sites.steps == by_wells.steps == 5 * 25 // 5
    count = np.bincount(drawn(by_sites)[0], minlength=125)
    assert count.tolist() == [1] * 125
    of_wells = np.bincount(drawn(by_wells)[0], minlength=125)
    assert of_wells[:45].sum() > 55  # 45 sites of P1, half of all draws
    assert of_wells.max() > 1
    assert (of_wells == 0).sum() > 10


def test_v2_is_any_other_site_of_the_well_and_the_sites_left_over_change():
    found = sampling({"P1": 4}, 6, "sites", wells=4)
    assert found.steps == 2  # 16 sites, four left over
    pairs, left = collections.Counter(), set()
    for epoch in range(60):
        first, second = drawn(found, epoch)
        assert len(set(first)) == 12
        assert (first // 4 == second // 4).all()
        pairs += collections.Counter(zip(first % 4, second % 4, strict=True))
        left.add(frozenset(range(16)) - frozenset(first))
    assert len(pairs) == 12  # every ordered pair of two sites, none with itself
    assert min(pairs.values()) > 30  # of 60 each
    assert len(left) > 50
    lone = sampling({"P1": 1}, 3, "sites")
    assert (drawn(lone)[0] == drawn(lone)[1]).all()


def test_a_damaged_site_is_replaced_by_its_well_then_by_sites_that_the_batch_lacks():
    found = sampling({"P1": 9, "P2": 16}, 5, "sites")
    draw = found.draw(0, 2)
    well = found.sites.groupby(WHO[:2]).ngroup().to_numpy()
    for first, spare in zip(draw.first_B, draw.spare, strict=True):
        own = int((well == well[first]).sum())
        assert set(spare[:own]) == set(np.flatnonzero(well == well[first]))
        assert not set(spare[own:]) & set(draw.first_B)
    assert len({row for spare in draw.spare for row in spare}) == 125


def test_every_cell_is_drawn_once_an_epoch():
    """Two plates of four wells of two sites, which have 0, 1, 2, 3 cells in turn: 24 cells of 16 sites, no two batches alike."""
    rows = [(plate, f"A{w}", s) for plate in ("P1", "P2") for w in range(4) for s in (1, 2)]
    cells_N = np.arange(16) % 4
    sites = pd.DataFrame(rows, columns=WHO).assign(group="", cells=cells_N).sample(frac=1, random_state=0)
    found = Sampling(sites, CropsConfig(balance="cells", epoch="cells"), batch=5, seed=3)
    assert found.steps == 24 // 5
    orders = []
    for epoch in range(2):
        draws = [found.draw(epoch, step) for step in range(4)]
        first, cell = (np.concatenate([getattr(draw, name) for draw in draws]) for name in ("first_B", "cell_B"))
        assert (cell < cells_N[first]).all()
        assert len({*zip(first, cell, strict=True)}) == 20  # of 24: what is left over is less than a batch
        assert found.draw(epoch, 2).cell_B.tolist() == draws[2].cell_B.tolist()
        orders.append(first.tolist())
    assert orders[0] != orders[1]
    spare = {row for rows in found.draw(0, 0).spare for row in rows}
    assert spare >= set(np.flatnonzero(cells_N)) - set(found.draw(0, 0).first_B)
    by_sites = Sampling(sites, CropsConfig(balance="sites", epoch="cells"), batch=4, seed=3)
    assert (by_sites.steps, by_sites.draw(0, 0).cell_B) == (6, None)
    with pytest.raises(UsageError, match=r"train\.batch = 25, but there are 24 cells .* a cell at most once; set .* to 24"):
        Sampling(sites, CropsConfig(balance="cells"), batch=25, seed=3)


def test_in_a_store_of_single_cells_a_site_is_a_cell():
    sites = pd.DataFrame([("P1", f"A{w:02d}", s) for w in range(5) for s in range(4)], columns=WHO).assign(group="")
    by_cells, by_sites = (Sampling(sites, CropsConfig(balance=kind, epoch=kind), batch=5, seed=3) for kind in ("cells", "sites"))
    assert by_cells.steps == by_sites.steps == 4
    for name in ("first_B", "second_B", "id_B"):
        assert np.array_equal(getattr(by_cells.draw(1, 2), name), getattr(by_sites.draw(1, 2), name))


def test_a_batch_may_hold_a_well_twice_but_no_more_than_all_sites():
    assert sampling({"P1": 4}, 20, "sites").steps == 1  # five wells
    with pytest.raises(UsageError, match=r"train\.batch = 21, but there are 20 sites .* a site at most once; set .* to 20"):
        sampling({"P1": 4}, 21, "sites")


@pytest.mark.parametrize("balance", ["wells", "sites"])
def test_a_batch_of_one_plate_takes_them_in_turn_and_each_of_its_wells_as_often(balance):
    rows = [(plate, f"A{w:02d}", s + 1) for plate in ("P1", "P2", "P3") for w in range(6) for s in range(4)]
    sites = pd.DataFrame(rows, columns=WHO)
    found = Sampling(sites.assign(group=sites[WHO[0]]), CropsConfig(balance=balance, batch_of="plates"), batch=3, seed=3)
    plate, well = sites[WHO[0]].to_numpy(), sites.groupby(WHO[:2]).ngroup().to_numpy()
    assert found.steps == 24
    turns, drawn_sites = [], []
    for step in range(found.steps):
        draw = found.draw(0, step)
        (own,) = set(plate[draw.first_B])
        assert (well[draw.second_B] == well[draw.first_B]).all()
        assert all(set(plate[spare]) == {own} for spare in draw.spare)
        assert balance == "sites" or len(set(well[draw.first_B])) == 3
        turns.append(own)
        drawn_sites.extend(draw.first_B)
    assert all(sorted(turns[i : i + 3]) == ["P1", "P2", "P3"] for i in range(0, 24, 3))
    assert len({tuple(turns[i : i + 3]) for i in range(0, 24, 3)}) > 1
    assert np.bincount(drawn_sites).tolist() == [1] * 72


def test_a_plate_with_too_few_wells_for_a_batch_of_its_own_is_named():
    sites = pd.DataFrame([("P1", f"A{w}", 1) for w in range(8)] + [("P2", f"A{w}", 1) for w in range(4)], columns=WHO)
    config = CropsConfig(batch_of="plates")
    with pytest.raises(UsageError, match=r"batch_of = plates .* has 4 wells for train\.batch = 5; lower train\.batch"):
        Sampling(sites.assign(group=sites[WHO[0]]), config, batch=5, seed=0)
