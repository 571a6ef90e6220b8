"""The statistics of the dose trial: 1 for perfect features, chance for none, and no row learns from itself."""

import numpy as np
import pandas as pd
import pytest

from kit.trials import doses
from kit.trials.neighbours import POST


def made_wells() -> pd.DataFrame:
    """The layout of the plate: in rows A-D the doses rise from two negative controls; in E-H a positive one comes first."""
    rows = []
    for row in "ABCDEFGH":
        first = [(0, -1), (0, -1)] if row <= "D" else [(10, 1), (0, -1)]
        last = (10, 1) if row <= "D" else (0, -1)
        for level, control in [*first, *((level, 0) for level in range(1, 10)), last]:
            rows.append((row, "rows A-D" if row <= "D" else "rows E-H", level, control))
    return pd.DataFrame(rows, columns=["row", "drug", "level", "control"])


WELLS = made_wells()
ANGLE = np.pi * WELLS["level"].to_numpy() / 12
PERFECT = np.stack([np.cos(ANGLE), np.sin(ANGLE)], axis=1)


def test_perfect_features_are_perfect():
    found = doses.measure(PERFECT, "none", WELLS)
    assert list(found) == list(doses.chance(WELLS))
    assert found.pop("level, rows A-D") == found.pop("level, rows E-H") == 1
    assert found.pop("controls") == found.pop("controls, other drug's rows") == 1
    assert list(found.values()) == [1, 1]


def test_shuffled_labels_give_chance():
    runs = [doses.measure(PERFECT, "centre", doses.shuffled(WELLS, seed)) for seed in range(60)]
    for name, chance in doses.chance(WELLS).items():
        values = np.array([found[name] for found in runs])
        assert abs(values.mean() - chance) < 4 * values.std() / 60**0.5 + 0.01, name


def test_shuffling_stays_within_rows_and_kinds():
    after = doses.shuffled(WELLS, 0)
    assert not after["level"].equals(WELLS["level"])
    assert ((after["control"] == 0) == (WELLS["control"] == 0)).all()
    for row, wells in after.groupby("row"):
        before = WELLS[WELLS["row"] == row]
        assert sorted(zip(wells["level"], wells["control"], strict=True)) == sorted(
            zip(before["level"], before["control"], strict=True)
        )


@pytest.mark.parametrize("how", POST)
def test_no_row_learns_from_itself(how):
    """Features that name the row and mark each row's wells in a code of its own: any leak within the row would score."""
    rng = np.random.default_rng(1)
    own = np.zeros((len(WELLS), 8, 4))
    row = np.array(["ABCDEFGH".index(letter) for letter in WELLS["row"]])
    code = rng.normal(size=(8, 11, 4))  # in each row the levels have other codes; within it equal levels are equal
    own[np.arange(len(WELLS)), row] = code[row, WELLS["level"]]
    found = [doses.measure(own.reshape(len(WELLS), -1) @ rng.normal(size=(32, 32)), how, WELLS) for _ in range(3)]
    for name, chance in doses.chance(WELLS).items():
        assert np.mean([one[name] for one in found]) < chance + 0.25, name


def test_what_is_said_of_a_row_does_not_depend_on_its_labels():
    features = np.random.default_rng(2).normal(size=(len(WELLS), 5))
    in_A = (WELLS["row"] == "A").to_numpy()
    flipped = WELLS.assign(control=np.where(in_A, -WELLS["control"], WELLS["control"]))
    said, again = (doses.name_controls(features, "sphere", wells, WELLS["row"].to_numpy()) for wells in (WELLS, flipped))
    np.testing.assert_array_equal(said[in_A], again[in_A])
    assert not np.array_equal(said, again)  # the other rows learn from A


def test_order_counts_pairs():
    level = np.array([1, 2, 3])
    assert doses.concordance(level, np.array([0.1, 0.2, 0.9])) == 1
    assert doses.concordance(level, np.array([3, 2, 1])) == 0
    assert doses.concordance(level, np.zeros(3)) == 0.5
    assert doses.concordance(level, np.array([1, 3, 2])) == pytest.approx(2 / 3)
    assert doses.concordance(np.array([1, 1, 2]), np.array([1, 5, 2])) == 0.5  # the equal pair is not asked
