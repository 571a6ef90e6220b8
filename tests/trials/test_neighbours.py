"""Post-processing looks at training rows alone; neighbours are training rows."""

import numpy as np
import pytest

from kit.trials.neighbours import POST, balanced_accuracy, neighbours, post_process

ROWS = np.random.default_rng(0).normal(2.0, 3.0, (40, 6))
TRAIN = np.arange(40) < 30
CONTROL = np.arange(40) % 2 == 0


@pytest.mark.parametrize("how", POST)
def test_a_row_depends_on_itself_and_the_training_rows_alone(how):
    before = post_process(ROWS, how, train_N=TRAIN, control_N=CONTROL)
    other = ROWS.copy()
    other[31:] += 100
    after = post_process(other, how, train_N=TRAIN, control_N=CONTROL)
    np.testing.assert_array_equal(after[:31], before[:31])


def test_each_step_does_what_it_says():
    centred, scaled, white = (post_process(ROWS, how, train_N=TRAIN, control_N=CONTROL) for how in ("centre", "scale", "sphere"))
    np.testing.assert_allclose(centred[TRAIN].mean(axis=0), 0, atol=1e-12)
    np.testing.assert_allclose(scaled[TRAIN].std(axis=0), 1)
    own = np.cov(ROWS[TRAIN & CONTROL].T)
    value_F, vector_FF = np.linalg.eigh(own + 0.1 * np.trace(own) / 6 * np.eye(6))
    np.testing.assert_allclose(white, centred @ vector_FF @ np.diag(value_F**-0.5) @ vector_FF.T)


def test_neighbours_are_the_nearest_by_angle_among_the_training_rows():
    rows = np.array([[1.0, 0.0], [5.0, 0.1], [0.0, 1.0], [-1.0, 0.0], [1.0, 0.01]])
    query = np.array([True, False, False, False, False])
    train = np.array([False, True, True, True, False])
    assert neighbours(rows, query, train, 3).tolist() == [[1, 2, 3]]
    with pytest.raises(AssertionError):
        neighbours(rows, query, np.ones(5, bool), 1)


def test_every_class_weighs_the_same():
    assert balanced_accuracy(np.array([0, 0, 0, 0, 1]), np.array([0, 0, 0, 1, 1])) == pytest.approx((3 / 4 + 1) / 2)
    assert balanced_accuracy(np.array([0, 0, 0, 0, 1]), np.zeros(5)) == 0.5
