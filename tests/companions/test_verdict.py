"""Made wells whose truth is known: what stands beside their score, and what the verdict says."""

import numpy as np
import pytest

from kit.companions.recorded import FINAL_ONLY, Repeat
from kit.companions.text import plate_lines
from kit.companions.verdict import Evidence, judge
from kit.profiles.post_processing import post_process

from .made import PLATES, beside_of, made, part

ONLY = "U2OS->U2OS"


def test_signal():
    found = beside_of(made(compound=1.0))
    assert found["verdict"]["value"] == "signal"
    assert "control wells do not tell their position" in found["verdict"]["directions"][ONLY]["text"]
    apart = found["cross_position"]["directions"][ONLY]
    assert apart["value"] > 0.5 > apart["null_p95"]
    assert apart["n_test"] == 32 * len(PLATES)


def test_position_artefact():
    found = beside_of(made(position=1.0))
    assert found["verdict"]["value"] == "position"
    apart, null = found["cross_position"]["directions"][ONLY], found["null"]["directions"][ONLY]
    assert apart["value"] < 0.2 < 0.5 < apart["own_position_kept"]  # the drop of the own position is what it takes
    assert null["p95"] < 0.2  # and the null does not see it
    assert found["dmso_position"]["directions"][ONLY]["value"] > 0.5 > found["dmso_position"]["directions"][ONLY]["null_p95"]


def test_alignment_leak():
    found = beside_of(post_process(made(features=96), align=0.5))
    assert found["verdict"]["value"] == "alignment"
    assert found["null"]["value"] > 0.4
    assert found["null"]["align"] == 0.5
    assert found["cross_position"]["directions"][ONLY]["value"] < 0.2


def test_noise():
    found = beside_of(made())
    assert found["verdict"]["value"] == "noise"
    assert found["null"]["value"] == pytest.approx(1 / 16, abs=0.03)
    assert found["dmso_position"]["value"] == pytest.approx(1 / 12, abs=0.08)
    assert found["plate"]["value"] == pytest.approx(1 / 6, abs=0.1)


def test_signal_and_position():
    assert beside_of(made(compound=1.0, position=1.0))["verdict"]["value"] == "signal and position"


def test_signal_under_alignment_is_told_from_what_alignment_makes():
    found = beside_of(post_process(made(compound=1.0, features=96), normalize="centre", align=0.7))
    text = found["verdict"]["directions"][ONLY]["text"]
    assert found["verdict"]["value"] == "signal"
    assert f"of the accuracy, {100 * found['null']['value']:.1f} % is what alignment makes of shuffled wells" in text


def test_without_the_steps_the_null_sees_final_features_and_there_is_no_verdict():
    found = beside_of(post_process(made(features=96), align=0.5), Repeat(why_not="the features record no steps"))
    assert found["null"]["value"] < 0.2  # shuffled after alignment: what alignment made is gone
    assert found["null"]["note"] == f"{FINAL_ONLY}: the features record no steps"
    assert found["verdict"]["value"] is None
    assert found["verdict"]["directions"][ONLY] == {"value": None, "reason": FINAL_ONLY}


def test_plates_that_differ_are_named_and_centring_them_leaves_little():
    shifted = made(plate=1.0)
    assert beside_of(shifted)["plate"]["value"] > 0.9
    assert beside_of(post_process(shifted, normalize="centre"))["plate"]["value"] < 0.3


def test_what_is_missing_gives_a_reason():
    lone = made(compounds={"A01": "X", "A02": "Y", "A03": "Z"}, plates=PLATES[:3])
    found = beside_of(lone, k=1)
    assert found["cross_position"] == {
        "value": None, "reason": "no label of a tested well trains at another position", "intervals_over": "labels",
        "directions": {ONLY: {"value": None, "reason": "no label of a tested well trains at another position"}},
    }  # fmt: skip
    assert found["dmso_position"]["reason"] == found["plate"]["reason"] == "no control well among the features"
    one = beside_of(made(plates=PLATES[:1]))
    assert one["verdict"] == {
        "value": None, "reason": "no direction was scored",
        "directions": {ONLY: {"value": None, "reason": "only one U2OS plate: no other is left to train on"}},
    }  # fmt: skip
    assert one["plate"]["reason"] == "fewer than two plates: 1"


def test_a_plate_without_controls_is_named_and_is_no_answer_to_the_plate_probe():
    whole = made(plate=1.0)
    on_P2 = (whole.who["Metadata_Plate"] == "P2").to_numpy()
    found = beside_of(part(whole, ~(on_P2 & whole.is_control_M)))["plate"]
    assert found["without_controls"] == ["P2"]
    assert found["groups"]["U2OS"]["chance"] == 1 / 5
    assert "without_controls" not in beside_of(whole)["plate"]
    assert plate_lines(found | {"wells": "DMSO"})[1:] == [
        "plate P2 has no DMSO well: DMSO position, plate and mAP of activity are asked on the other plates"
    ]
    only_one = beside_of(part(whole, on_P2 | ~whole.is_control_M))["plate"]
    assert only_one["reason"] == "fewer than two plates with control wells: 1"
    assert only_one["without_controls"] == ["P1", "P3", "P4", "P5", "P6"]


HIGH = Evidence(value=0.6, interval=[0.5, 0.7], null=0.01, null_p95=0.02)
LOW = Evidence(value=0.01, interval=[0.0, 0.03], null=0.01, null_p95=0.02)
WIDE = Evidence(value=0.05, interval=[0.0, 0.2], null=0.01, null_p95=0.02)
NONE = Evidence(why_not="no control well among the features")


@pytest.mark.parametrize(
    ("accuracy", "apart", "kept", "controls", "kind"),
    [
        (HIGH, HIGH, HIGH, LOW, "signal"),
        (HIGH, HIGH, HIGH, HIGH, "signal and position"),
        (HIGH, HIGH, HIGH, NONE, "signal"),
        (HIGH, LOW, HIGH, HIGH, "position"),
        (HIGH, LOW, WIDE, HIGH, "cannot decide"),  # the drop takes nothing that is sure
        (HIGH, LOW, HIGH, NONE, "cannot decide"),
        (HIGH, WIDE, HIGH, HIGH, "cannot decide"),
        (HIGH, NONE, NONE, LOW, "cannot decide"),
        (WIDE, HIGH, HIGH, LOW, "cannot decide"),
        (LOW, HIGH, HIGH, HIGH, "noise"),
        (Evidence(value=0.6, null=0.01, null_p95=0.02), HIGH, HIGH, LOW, "cannot decide"),  # too few plates for an interval
    ],
)
def test_the_verdict_rests_on_intervals(accuracy, apart, kept, controls, kind):
    assert judge(accuracy, apart, kept, controls, 0.01, aligned=False).kind == kind


def test_controls_that_alignment_drew_together_do_not_deny_a_position_effect():
    drawn = Evidence(value=1.0, interval=[1.0, 1.0], null=1.0, null_p95=1.0)
    assert "whether position adds to it cannot be seen" in judge(HIGH, HIGH, HIGH, drawn, 0.01, aligned=True).text
    assert "control wells do not tell their position" in judge(HIGH, HIGH, HIGH, LOW, 0.01, aligned=True).text


def test_an_accuracy_that_alignment_alone_reaches_may_hide_a_signal():
    full = Evidence(value=0.9, interval=[0.8, 1.0], null=0.9, null_p95=0.95)
    hidden, none = (judge(full, apart, HIGH, HIGH, 0.01, aligned=True) for apart in (HIGH, LOW))
    assert hidden.kind == none.kind == "alignment"
    assert "yet compounds are recognised at another position: 60.0 % [50.0, 70.0], shuffled 1.0 (95th 2.0)" in hidden.text
    assert "yet" not in none.text


def test_noise_is_rarely_called_anything_else():
    kinds = [beside_of(made(seed=seed), k=3)["verdict"]["value"] for seed in range(4)]
    assert set(kinds) <= {"noise", "cannot decide"}
    assert np.mean([kind == "noise" for kind in kinds]) > 0.6
