"""What a page shows of a training: the losses beside a guess, and what the alarm saw, from lines worked by hand."""

import math

import numpy as np

from kit.model.history import History, read_metrics

SIGNS = {"entropy": 0.6, "used": 0.9, "rank": 3.0, "spread": 0.4}
LINES = [
    {"step": 10, "dino_well": 2.0, "ibot": 1.5, "loss": 3.5, "lr": 1e-4, "signs": {**SIGNS, "entropy": 0.99, "rank": 1.0}},
    {"step": 20, "event": "knn", "accuracy": 0.25, "chance": 0.1, "wells": 12},
    {"step": 20, "dino_well": 1.0, "ibot": 1.25, "loss": 2.25, "lr": 2e-4, "signs": {**SIGNS, "entropy": 0.01}},
    {"step": 25, "event": "skipped", "who": [["P1", "A01", 1]]},
    {"step": 30, "event": "collapse", "what": "collapse at step 30: ..."},
]


def test_a_comparison_stands_beside_ln_k_and_other_losses_do_not():
    losses = History.of(LINES, 16).losses
    assert losses["kind"].tolist() == ["dino_well", "ibot", "loss"] * 2
    assert losses["value"].tolist() == [2.0, 1.5, 3.5, 1.0, 1.25, 2.25]
    np.testing.assert_allclose(losses["guess"], [math.log(16), math.nan, math.nan] * 2)
    assert History.of(LINES, None).losses["guess"].isna().all()


def test_events_are_told_apart_from_steps():
    history = History.of(LINES, 16)
    assert history.rates.to_numpy().tolist() == [[10, 1e-4], [20, 2e-4]]
    assert history.knn.to_dict("records") == [{"step": 20, "accuracy": 0.25, "chance": 0.1, "wells": 12}]
    assert history.said["event"].tolist() == ["skipped", "collapse"]
    assert history.said["what"].tolist() == ["step 25 was skipped: its losses were not finite", "collapse at step 30: ..."]


def test_what_the_alarm_saw_of_every_sign():
    seen = History.of(LINES, 16).watched().set_index("sign")
    assert seen.loc["entropy", ["least", "most", "last", "beyond", "of"]].tolist() == [0.01, 0.99, 0.01, 2, 2]
    assert (seen.loc["entropy", "healthy"], seen.loc["entropy", "meaning"]) == ("0.05 to 0.97", "targets are single prototypes")
    assert (seen.loc["rank", "healthy"], seen.loc["rank", "beyond"]) == ("1.1 or more", 1)
    assert (seen.loc["used", "beyond"], seen.loc["used", "meaning"]) == (0, "")


def test_a_run_of_an_earlier_version_or_none_has_empty_tables(tmp_path):
    (tmp_path / "metrics.jsonl").write_text('{"step": 10, "loss": 4.5}\n{"event": "knn"}\n3\n{"step": 20, "lo')
    history = History.of(read_metrics(tmp_path), 16)
    assert history.losses.to_numpy().tolist()[0][:3] == [10, "loss", 4.5]
    assert history.rates.empty
    assert history.watched().empty
