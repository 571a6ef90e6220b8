"""The trial of the alarm: its cases are what they say, its table is read off the runs."""

import math

import pytest

import kit.trials.collapse as trial
from kit.recipe import load_recipe
from tests.images.made_work import label, make_work


@pytest.mark.parametrize("recipe", trial.RECIPES)
def test_every_case_is_a_configuration_of_its_own(recipe):
    cases = {case: load_recipe(recipe, [*trial.RECIPES[recipe], *trial.SICK.get(case, ())]) for case in ("healthy", *trial.SICK)}
    assert len({str(config) for config in cases.values()}) == 4
    assert {config.train.warmup_steps for config in cases.values()} == {50}  # over well before the 200 steps of a sick run
    assert trial.STEPS == {"healthy": 500, "sick": 200}


def test_a_row_is_read_off_the_runs_own_lines():
    signs = {"entropy": 0.5, "used": 0.9, "rank": 4.0, "spread": 0.5}
    lines = [{"step": step, "dino": 3.0, "signs": signs} for step in range(10, 200, 10)]
    lines[0]["signs"] = signs | {"entropy": 0.999, "rank": 1.0}  # while the alarm is quiet
    lines[10]["signs"] = signs | {"entropy": 0.3}
    lines.append(
        {"step": 120, "event": "collapse", "what": "collapse at step 120: targets are uniform (entropy 0.98); lower train.lr"}
    )
    lines.append({"step": 190, "event": "knn", "accuracy": 0.25, "chance": 0.11, "wells": 36})
    row = trial.Result("demo", "rate of 0.3", 7, lines, uniform=6.0).row()
    assert row[:9] == ["demo", "rate of 0.3", "7", "0.50", "0.30 to 0.50", "0.90 up", "4.00 up", "0.5 up", "0.25, 0.11"]
    assert row[9] == "step 120: targets are uniform (entropy 0.98)"
    assert trial.Result("demo", "healthy", 7, [*lines[:-2], lines[-1]], uniform=6.0).row()[9] == "none"


def test_false_and_missed_alarms_are_counted(monkeypatch, tmp_path):
    """Every healthy run of seed 1 alarms, and no run with targets that are too soft."""
    signs = {"entropy": 0.5, "used": 0.9, "rank": 4.0, "spread": 0.5}

    def run_case(_, recipe, case, seed, settings):
        lines = [{"step": 100, "dino": 3.0, "signs": signs}, {"step": 100, "event": "knn", "accuracy": 0.2, "chance": 0.1}]
        if seed == 1 if case == "healthy" else case != "targets too soft":
            lines.append({"step": 100, "event": "collapse", "what": "collapse at step 100: something (rank 1); advice"})
        return trial.Result(recipe, case, seed, lines, 6.0)

    monkeypatch.setattr(trial, "made_work", lambda *_: None)
    monkeypatch.setattr(trial, "run_case", run_case)
    text = trial.run_trial(tmp_path, [0, 1, 2], plates=0, settings=(), say=lambda _: None)
    assert text.splitlines()[-2:] == [
        "2 false alarms in 6 healthy runs of 500 steps",
        "8 of 12 collapses detected within 200 steps",
    ]


def test_a_case_is_a_whole_run_and_a_finished_one_is_read(tmp_path, monkeypatch):
    make_work(tmp_path)
    label(tmp_path, "P1", "P2")
    work = trial.kit.open(tmp_path)
    monkeypatch.setattr(trial, "STEPS", {"healthy": 60, "sick": 60})
    monkeypatch.setattr(trial, "CHANNEL_GROUPS", {"fluorescence": ("Mito", "AGP", "RNA")})
    settings = (
        "train.batch=6",
        "crops.global_side=28",
        "crops.local_side=14",
        "model.position_side=28",
        "embed.side=28",
        "model.depth=1",
    )
    first = trial.run_case(work, "dinov2-separate", "targets too soft", 0, settings)
    assert first.uniform == pytest.approx(math.log(256))
    assert first.row() == trial.run_case(work, "dinov2-separate", "targets too soft", 0, settings).row()
    assert max(line["step"] for line in first.lines) == 60
    assert float(first.row()[3]) == pytest.approx(1, abs=0.1)  # of which most is the warm-up
