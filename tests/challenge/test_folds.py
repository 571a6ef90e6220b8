"""Plates into folds, and what trains and tests in each direction."""

import numpy as np
import pytest

from kit.challenge.folds import all_directions, count_folds, deal_plates, make_splits, why_not

DIRECTIONS = [("U2OS", "U2OS"), ("U2OS", "A549"), ("A549", "U2OS"), ("A549", "A549")]
LINES = np.array(["U2OS"] * 8 + ["A549"] * 16)
PLATES = np.array([f"P{index:02d}" for index in range(24)])


def names(count: int, start: int = 0) -> set[str]:
    return {f"P{index:02d}" for index in range(start, start + count)}


def test_directions_are_every_ordered_pair():
    assert all_directions(["U2OS", "A549"]) == DIRECTIONS
    assert all_directions(["HeLa"]) == [("HeLa", "HeLa")]
    assert len(set(all_directions("abcde"))) == 25


@pytest.mark.parametrize(("count", "sizes"), [(8, [2, 2, 2, 1, 1]), (16, [4, 3, 3, 3, 3])])
def test_fold_sizes_of_the_compound_plates(count, sizes):
    folds = deal_plates(PLATES[:count], 5, seed=3)
    assert [len(fold) for fold in folds] == sizes
    assert sorted(np.concatenate(folds)) == sorted(PLATES[:count])


def test_seeds_deal_differently_and_repeat():
    deals = [tuple(map(tuple, deal_plates(PLATES[:8], 5, seed))) for seed in range(4)]
    assert len(set(deals)) == 4
    assert deals[2] == tuple(map(tuple, deal_plates(PLATES[:8][::-1], 5, 2)))  # whatever order the plates come in


@pytest.mark.parametrize("direction", DIRECTIONS)
def test_every_target_plate_is_tested_once_and_never_trains(direction):
    source, target = direction
    splits = make_splits(PLATES, LINES, direction, 5, seed=0, cross="holdout")
    tested = np.concatenate([split.test for split in splits])
    assert sorted(PLATES[tested]) == sorted(PLATES[target == LINES])
    own_folds = deal_plates(PLATES[source == LINES], 5, seed=0)
    for fold, split in zip(own_folds, splits, strict=True):
        assert set(PLATES[split.train]) == set(PLATES[source == LINES]) - set(fold)
        assert not set(PLATES[split.train]) & set(PLATES[split.test])


def test_cross_all_trains_on_every_source_plate():
    for split in make_splits(PLATES, LINES, ("U2OS", "A549"), 5, seed=0, cross="all"):
        assert set(PLATES[split.train]) == set(PLATES[:8])
    for within in make_splits(PLATES, LINES, ("U2OS", "U2OS"), 5, seed=0, cross="all"):  # within a line it has no meaning
        assert not set(within.train) & set(within.test)


def test_folds_are_as_many_as_the_smaller_line_has_plates():
    plates = {"U2OS": names(3), "A549": names(16, start=3)}
    assert [count_folds(plates, direction, 5) for direction in DIRECTIONS] == [3, 3, 3, 5]
    assert count_folds(plates, ("A549", "A549"), 99) == 16  # leave one plate out


def test_directions_that_cannot_be_scored_say_why():
    one = {"U2OS": names(1), "A549": names(4, start=1)}
    assert "one U2OS plate" in why_not(one, ("U2OS", "U2OS"), "holdout")
    assert "--cross all" in why_not(one, ("U2OS", "A549"), "holdout")
    assert why_not(one, ("U2OS", "A549"), "all") == ""
    assert why_not(one, ("A549", "A549"), "holdout") == ""
    assert "no A549" in why_not({"U2OS": names(5), "A549": set()}, ("A549", "A549"), "holdout")


@pytest.mark.parametrize("cross", ["holdout", "all"])
@pytest.mark.parametrize(("source", "target"), [(4, 4), (6, 3), (3, 6), (2, 5)])
def test_groups_that_share_plates_never_train_on_a_tested_one(source, target, cross):
    plates = [*names(source), *names(target, start=1)]  # all but the first or last are shared
    groups = np.array(["low"] * source + ["high"] * target)
    order = np.random.default_rng(0).permutation(len(plates))
    plates, groups = np.array(plates)[order], groups[order]
    n_folds = count_folds({"low": names(source), "high": names(target, start=1)}, ("low", "high"), 5)
    for seed in range(4):
        splits = make_splits(plates, groups, ("low", "high"), n_folds, seed, cross)
        assert sorted(np.concatenate([split.test for split in splits])) == np.flatnonzero(groups == "high").tolist()
        for split in splits:
            assert len(split.train)
            assert set(groups[split.train]) == {"low"}
            assert not set(plates[split.train]) & set(plates[split.test])


def test_one_plate_of_two_groups_has_none_to_train_on():
    same = {"low": {"P1"}, "high": {"P1"}, "wide": {"P1", "P2"}}
    for cross in ("holdout", "all"):
        assert "none is left to train on" in why_not(same, ("low", "high"), cross)
        assert "none is left to train on" in why_not(same, ("low", "wide"), cross)
    assert "--cross all" in why_not(same, ("wide", "low"), "holdout")
    assert why_not(same, ("wide", "low"), "all") == ""
    plates, groups = np.array(["P1", "P2", "P1"]), np.array(["wide", "wide", "low"])
    (split,) = make_splits(plates, groups, ("wide", "low"), 1, 0, "all")
    assert split.train.tolist() == [1]
    assert why_not({"all": {"P1"}}, ("all", "all"), "holdout") == "only one plate: no other is left to train on"
