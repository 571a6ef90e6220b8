"""Scores within a week: who may be whose neighbour, what a guess gives, blocks of any width, and the paired test."""

import numpy as np
import pandas as pd
import pytest

from kit.errors import KitError
from kit.trials.weeks import ASKED, correct, eligible, guess, paired_p, shuffled_rows, standardised


def made_wells() -> pd.DataFrame:
    """Two weeks of three plates; in each week three compounds at two doses, of two mechanisms; every plate holds all six."""
    rows = [
        (f"{week} {plate}", week, compound, f"{compound} {dose}", {"a": "m", "b": "m", "c": "n", "d": "n"}[compound[0]])
        for week in ("w1", "w2") for plate in range(3) for compound in ("a1", "b1", "c1", "d1") for dose in (1, 2)
    ]  # fmt: skip
    return pd.DataFrame(rows, columns=["plate", "week", "compound", "treatment", "mechanism"])


WELLS = made_wells()


def one_hot(column: str) -> np.ndarray:
    return pd.get_dummies(WELLS[column]).to_numpy(dtype=float)


def test_labels_as_features_are_perfect():
    for asked in ASKED:
        assert correct([one_hot(asked)], WELLS)[asked].all()


def test_a_plate_of_its_own_helps_nobody():
    """Features that name the plate alone: were neighbours on the own plate eligible, treatment 1 in 8 would still be luck."""
    exact = one_hot("plate") * 100 + one_hot("treatment") @ np.arange(8)[:, None]  # nearest of all: the own plate
    found = correct([exact], WELLS)
    assert found["treatment"].mean() < 1
    for week in ("w1", "w2"):
        rows = WELLS[WELLS["week"] == week]
        allowed = eligible(rows, "treatment")
        assert not allowed[np.ix_(rows["plate"] == f"{week} 0", rows["plate"] == f"{week} 0")].any()
        other = eligible(rows, "mechanism")
        assert not (other & (rows["compound"].to_numpy()[:, None] == rows["compound"].to_numpy()[None])).any()


def test_noise_scores_as_a_guess():
    rng = np.random.default_rng(0)
    runs = [correct([rng.normal(size=(len(WELLS), 6))], WELLS) for _ in range(80)]
    expected = guess(WELLS)
    assert expected["treatment"][0] == 2 / 16
    assert expected["mechanism"][0] == pytest.approx(4 / 12)
    for asked in ASKED:
        assert np.mean([run[asked].mean() for run in runs]) == pytest.approx(expected[asked].mean(), abs=0.02)


def test_blocks_count_the_same_whatever_their_width():
    rng = np.random.default_rng(1)
    narrow, wide = rng.normal(size=(20, 3)), rng.normal(5, 40, size=(20, 300))
    assert (standardised(narrow) ** 2).sum() == pytest.approx((standardised(wide) ** 2).sum()) == pytest.approx(20)
    assert not standardised(np.ones((20, 4))).any()
    fitted = np.arange(20) < 12
    some = standardised(wide, fitted)
    assert np.allclose(some[fitted], standardised(wide[fitted]))
    assert np.allclose(some, (wide - wide[:12].mean(axis=0)) / wide[:12].std(axis=0) / np.sqrt(300))


def test_paired_test():
    assert paired_p(np.ones(12), np.zeros(12)) < 0.001
    assert paired_p(np.zeros(12), np.zeros(12)) == 1
    assert paired_p(np.ones(12), np.zeros(12), np.repeat(["a", "b"], 6)) == pytest.approx(1 / 4, abs=0.02)  # two signs
    better = np.random.default_rng(3).random(9)
    assert paired_p(better, np.full(9, 0.4), np.arange(9)) == paired_p(better, np.full(9, 0.4))
    rng = np.random.default_rng(2)
    p = [paired_p(rng.random(30), rng.random(30), seed=seed) for seed in range(60)]
    assert np.mean(np.array(p) < 0.5) == pytest.approx(0.5, abs=0.2)


def test_a_plate_alone_in_its_week_is_named():
    with pytest.raises(KitError, match="a1 on plate w1 0 has no well on another plate of w1 to be named by"):
        correct([np.ones((8, 2))], WELLS.iloc[:8])


def test_rows_are_shuffled_within_their_groups():
    group = np.array(list("babcabbb"))
    orders = [shuffled_rows(group, seed) for seed in range(200)]
    assert all(sorted(order) == list(range(8)) and (group[order] == group).all() for order in orders)
    assert np.mean(orders, axis=0) == pytest.approx([np.flatnonzero(group == name).mean() for name in group], abs=0.6)
    assert np.array_equal(shuffled_rows(group, 3), orders[3])
    assert {*shuffled_rows(np.arange(4), 0)} == {0, 1, 2, 3}
    assert not np.array_equal(shuffled_rows(np.arange(40), 0), np.arange(40))  # all alone: shuffled as one group
