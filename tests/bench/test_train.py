"""The race is fair: both contenders take the same steps."""

from dataclasses import replace

import pytest
import torch

from kit.bench.train import STAINS, Row, matmul_peak, new_learner, new_views, our_step, plain_step
from kit.model.clock import Clock
from kit.recipe import load_recipe


def test_the_plain_composition_takes_the_same_steps():
    config = load_recipe("demo", ["train.batch=6", "model.depth=2"], channels=STAINS)
    config = replace(config, train=replace(config.train, warmup_steps=0))
    losses = []
    for step in (our_step, plain_step):
        learner = new_learner(config, torch.device("cpu"))
        views = new_views(config, learner)
        losses.append([step(learner, views, number, Clock()) for number in range(4)])
    assert losses[0] == pytest.approx(losses[1], rel=1e-4)
    assert losses[0][3] != losses[0][0]


def test_the_peak_and_the_row():
    assert matmul_peak(torch.device("cpu"), torch.float32) > 1e8
    row = Row("kit", 12.34, {"views": 3.0, "student": 40.0}, 0.31, 5.0)
    assert " ".join(row.text().split()) == "kit 12.3 img/s 31% of peak loss 5.0000 ms: views 3, student 40"
