"""crops.balance = sites: each position is an input, so that a well with more of them is not cut short."""

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


def test_a_batch_may_hold_a_well_twice_but_no_more_than_all_sites():
    assert sampling({"P1": 4}, 20, "sites").steps == 1  # five wells
    with pytest.raises(UsageError, match=r"train\.batch = 21, but there are 20 sites .* a site at most once; set .* to 20"):
        sampling({"P1": 4}, 21, "sites")
