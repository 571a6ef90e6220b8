"""Average precision, activity and consistency: cases worked by hand, and their laws."""

import numpy as np
import pytest

from kit.measures.activity import activity
from kit.measures.consistency import consensus, consistency, split_targets
from kit.measures.precision import average_precision

from .made import between, screen


def test_average_precision_worked_by_hand():
    assert average_precision(np.array([1.0, 4.0]), np.array([2.0, 3.0, 5.0])) == (1 / 1 + 2 / 4) / 2
    assert average_precision(np.array([1.0, 2.0]), np.array([3.0])) == 1.0
    assert average_precision(np.array([9.0]), np.array([1.0, 2.0, 3.0])) == 1 / 4


def test_of_equal_distances_those_that_do_not_belong_come_first():
    assert average_precision(np.zeros(2), np.zeros(3)) == (1 / 4 + 2 / 5) / 2


def on_a_line(*places: float):
    return between(np.array(places)[:, None], "euclidean")


def test_activity_ranks_replicates_against_the_controls_of_the_own_plate():
    #   P1: a control at 3, compound x at 0        P2: a control at 1, x at 2, y at 9 without a replicate
    found = activity(
        on_a_line(3, 0, 1, 2, 9),
        np.array(["", "x", "", "x", "y"]),
        np.array(["P1", "P1", "P2", "P2", "P2"]),
        np.array([True, False, True, False, False]),
    )
    assert found.to_numpy().tolist() == [[1, "x", 1.0, 1, 2], [3, "x", 0.5, 1, 2]]  # of x in P2 the control at 1 is nearer


def test_wells_of_a_plate_without_controls_are_no_queries_but_may_be_found():
    plates, control = np.array(["P1", "P1", "P2"]), np.array([True, False, False])
    found = activity(on_a_line(3, 0, 1), np.array(["", "x", "x"]), plates, control)
    assert found[["row", "average_precision"]].to_numpy().tolist() == [[1, 1.0]]
    assert activity(on_a_line(3, 0, 1), np.array(["", "x", "x"]), plates, np.zeros(3, bool)).empty


def test_consistency_leaves_out_those_that_share_another_target():
    #  queries at 0 (A), 1 (B), 2 (A and B), 3 (A), 4 (C): of the pair A at 0 and 3, the one at 2 is positive; B at 1 is negative
    found = consistency(on_a_line(0, 1, 2, 3, 4), split_targets(["A", "B", "A | B", "A", "C"]))
    rows = {(row, label): (ap, positives, ranked) for row, label, ap, positives, ranked in found.to_numpy().tolist()}
    assert rows[0, "A"] == ((1 / 2 + 2 / 3) / 2, 2, 4)
    assert rows[2, "A"] == ((1 / 1 + 2 / 3) / 2, 2, 3)  # B at 1 shares B with it and is neither; 4 ranks with 0, before it
    assert rows[1, "B"] == (1 / 2, 1, 4)  # 0 and 2 are equally near, and 0 does not belong; so 2 is second of 0, 2, 3, 4
    assert (4, "C") not in rows


def test_split_targets():
    assert split_targets(["CDK1|CDK2", "", " CDK1 | "]) == [{"CDK1", "CDK2"}, set(), {"CDK1"}]


def test_consensus_is_the_median_of_each_label():
    labels, median_LF = consensus(np.array([[0.0, 1], [9, 9], [2, 5], [4, 0]]), np.array(["x", "", "x", "x"]))
    assert (labels.tolist(), median_LF.tolist()) == (["x"], [[2.0, 1.0]])


@pytest.mark.parametrize("metric", ["cosine", "euclidean"])
def test_the_order_of_wells_does_not_matter(metric):
    who, features_MF = screen()
    order = np.random.default_rng(0).permutation(len(who))
    found = []
    for rows in (np.arange(len(who)), order):
        sample, plate = (who[column].to_numpy(dtype=str)[rows] for column in ("sample", "plate"))
        queries = activity(between(features_MF[rows], metric), sample, plate, sample == "")
        found.append(dict(zip(rows[queries["row"].to_numpy(int)].tolist(), queries["average_precision"], strict=True)))
    assert found[0] == pytest.approx(found[1])
    assert len(found[0]) == 32
