"""The alarm: three ways to collapse raise it within 200 steps, healthy runs never do. Seeds here were not used to set it.

`python -m kit.trials.collapse` runs more of them.
"""

import pytest
import torch

from kit.model.collapse import Alarm, Signs, read_signs
from kit.model.dino import Targets, seeded_network
from kit.model.learner import make_learner
from kit.model.step import learn
from tests.model.pictures import draw_views, picture_config

TWO_VIEWS = {"local_aggregation": False, "same_view_weight": 1.0}
HEALTHY = {"local aggregation": {}, "two views": {"loss": TWO_VIEWS}}
FAILING = {
    "uniform: no batch norm, no same-view term": {
        "loss": {"head_batchnorm": False, "local_aggregation": False, "same_view_weight": 0.0}
    },
    "one prototype: nothing centres the targets": {"loss": {"targets": "centring", "centre_momentum": 1.0}},
    "a learning rate a hundred times too high": {"train": {"lr": 0.3}},
}


def alarms_of(case: dict, seed: int, steps: int) -> list[str]:
    """Train on made-up pictures, reading the signs every 10 steps as a run does."""
    config = picture_config(seed=seed, **case)
    networks = [seeded_network(config.model, config.loss, 2, seed) for _ in range(2)]
    learner = make_learner(config, *networks, steps=500, steps_per_epoch=10)
    alarm, said = Alarm(learner.schedules.warmup), []
    for step in range(steps):
        views = draw_views(learner.arrangement.views, seed=seed, step=step, batch=config.train.batch, side=28)
        report = learn(learner, views, step)
        if step % 10 == 9:
            signs = read_signs(report.targets, report.watched_PBD[0], report.values.teacher_temperature)
            said += alarm.read(step + 1, signs)
    return said


@pytest.fixture
def one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize("case", HEALTHY)
def test_a_healthy_run_raises_no_alarm(case, seed, one_thread):
    assert alarms_of(HEALTHY[case], seed, 500) == []


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize("case", FAILING)
def test_a_collapse_is_told_within_200_steps(case, seed, one_thread):
    said = alarms_of(FAILING[case], seed, 200)
    assert said
    assert said[0].startswith("collapse at step ")


def test_uniform_targets_are_told_early(one_thread):
    """The quick one of the slow tests above."""
    said = alarms_of(FAILING["uniform: no batch norm, no same-view term"], 7, 100)
    assert "targets are uniform (entropy" in said[0]
    assert "set loss.head_batchnorm = true" in said[0]


GOOD = Signs(0.7, 0.8, 5.0, 0.3)


def test_bad_signs_at_the_start_are_no_alarm_until_the_warm_up_is_over():
    alarm = Alarm(warmup=200)
    flat = GOOD._replace(spread=1e-6)
    assert [alarm.read(step, flat) for step in range(10, 210, 10)] == [[]] * 20
    assert [len(alarm.read(step, flat)) for step in range(210, 260, 10)] == [0, 0, 0, 1, 0]


def test_signs_that_were_good_count_during_the_warm_up():
    alarm = Alarm(warmup=10_000)
    alarm.read(10, GOOD)
    said = [alarm.read(step, GOOD._replace(used=0.1)) for step in range(60, 120, 10)]
    assert [len(lines) for lines in said] == [0, 0, 0, 1, 0, 0]
    assert "below 0.25" in said[3][0]


def test_a_single_good_reading_starts_the_count_again():
    alarm = Alarm(warmup=0)
    bad = GOOD._replace(entropy=0.99)
    readings = [bad, bad, bad, GOOD, bad, bad, bad]
    assert not any(alarm.read(100 + 10 * i, signs) for i, signs in enumerate(readings))


def test_signs_by_hand():
    """Two rows on different prototypes of four, a uniform row, features on a line."""
    prototypes = torch.eye(4)
    rows = torch.tensor([[1.0, 0, 0, 0], [0, 1.0, 0, 0], [0, 0, 0, 0]])
    nothing = torch.zeros(0)
    targets = Targets(rows, prototypes, torch.zeros(4), nothing, nothing, nothing, None, None)
    line = torch.tensor([[1.0, 1.0], [2.0, 2.0], [3.0, 3.0]])
    signs = read_signs(targets, line, 0.001)
    assert signs.entropy == pytest.approx(1 / 3)
    assert signs.used == pytest.approx(2 / 3)
    assert signs.rank == pytest.approx(1.0)
    assert signs.spread == pytest.approx((2 / 3) ** 0.5 / (14 / 3) ** 0.5)
