"""A shuffle on the Gram is the same shuffle of the wells before the post-processing, which is then done again."""

from dataclasses import replace

import numpy as np
import pytest

from kit.challenge.directions import plan_directions
from kit.challenge.rules import Rules
from kit.companions.asked import Questions, positions
from kit.companions.grams import align_gram, undo_align_gram
from kit.companions.null import ask_shuffled, by_gram, shuffled_wells
from kit.companions.recorded import Repeat, read_steps
from kit.neighbours import Gram, distances, gram
from kit.profiles.post_processing import post_process

from .made import made, part, wells_of

STEPS = {
    "align": {"align": 0.7},
    "centre, sphere, align": {"normalize": "centre", "whiten": "sphere", "align": 0.5},
    "mad, tvn, align": {"normalize": "mad", "whiten": "tvn", "align": 0.9},
    "all wells, balance, align": {"controls": "all", "whiten": "sphere", "weights": {"run": 2.0}, "align": 0.3},
}


def shuffled(profiles, order_M):
    return replace(profiles, features_MF=profiles.features_MF[order_M])


def lacking_some(profiles):
    """The same without two compound wells and a DMSO well: positions that not all plates have."""
    return part(profiles, np.delete(np.arange(len(profiles.who)), [0, 50, 87]))


@pytest.mark.parametrize("steps", STEPS.values(), ids=list(STEPS))
def test_the_gram_of_a_shuffle_is_that_of_post_processing_shuffled_wells(steps):
    raw = lacking_some(made(compound=1, position=1, plate=2))
    order_M, position_M = shuffled_wells(wells_of(raw), 3), positions(wells_of(raw))
    literal_MM = gram(post_process(shuffled(raw, order_M), **steps).features_MF)
    before_MM = undo_align_gram(gram(post_process(raw, **steps).features_MF), position_M, steps["align"])
    expected_MM = gram(post_process(raw, **(steps | {"align": None})).features_MF)
    np.testing.assert_allclose(before_MM, expected_MM, atol=2e-5 * expected_MM.max())
    mixed = align_gram(before_MM, order_M, position_M, steps["align"])
    np.testing.assert_allclose(mixed.matrix(), literal_MM, atol=2e-5 * literal_MM.max())
    for metric in ("cosine", "euclidean"):
        expected_MM = distances(literal_MM, metric)
        np.testing.assert_allclose(mixed.distances(metric), expected_MM, atol=2e-5 * expected_MM.max())


@pytest.mark.parametrize(
    "steps", [{"normalize": "centre", "whiten": "sphere"}, {"whiten": "sphere", "align": 0.5}, {"align": 0.5, "l2": True}]
)
@pytest.mark.parametrize(("metric", "votes"), [("cosine", "uniform"), ("euclidean", "uniform"), ("euclidean", "distance")])
def test_what_shuffled_wells_score_is_what_post_processing_them_literally_scores(steps, metric, votes):
    raw, rules = made(compound=0.7, position=0.7), Rules(k=3, metric=metric, votes=votes, seeds=2)
    wells, final = wells_of(raw), post_process(raw, **steps)
    questions = {name: Questions(wells, plan, rules) for name, plan in plan_directions(wells, rules).items()}
    asked = list(ask_shuffled(Gram.of(final.features_MF), wells, questions, rules, read_steps(final.steps), shuffles=4))
    for shuffle, found in enumerate(asked):
        near = by_gram(Gram.of(post_process(shuffled(raw, shuffled_wells(wells, shuffle)), **steps).features_MF), rules)
        one = questions["U2OS->U2OS"]
        expected = one.ask(one.find(near, [shuffle % 2]), near)
        assert found["U2OS->U2OS"].accuracy == pytest.approx(expected.accuracy, abs=1e-12)
        for kind in ("labels", "apart", "kept", "controls"):
            literal, quick = (getattr(answers, kind) for answers in (expected, found["U2OS->U2OS"]))
            assert len(literal.rows_Q) == len(quick.rows_Q) > 0
            assert literal.share == pytest.approx(quick.share, abs=1e-12)


def test_a_shuffle_keeps_plate_group_and_kind_and_differs_from_the_next():
    wells = wells_of(made())
    first, second = (shuffled_wells(wells, number) for number in range(2))
    for order_M in (first, second):
        assert sorted(order_M) == list(range(len(wells)))
        assert (wells.plate_M[order_M] == wells.plate_M).all()
        assert (wells.is_control_M[order_M] == wells.is_control_M).all()
    assert (first != second).mean() > 0.9
    assert (first == shuffled_wells(wells, 0)).all()


def test_steps_that_the_null_cannot_repeat_are_named():
    parts, align = {"step": "parts"}, {"step": "align", "a": 0.7}
    assert read_steps([parts, {"step": "whiten"}]) == Repeat()
    assert read_steps([parts, align]) == Repeat(align=0.7)
    assert read_steps([parts, {"step": "align", "a": 1.0}, {"step": "l2"}]) == Repeat()  # nothing was aligned
    assert read_steps(None).why_not == "the features record no steps"
    assert read_steps([parts, {"step": "sorcery"}]).why_not == "the null cannot repeat the recorded step sorcery"
    assert "the features before it are lost" in read_steps([{"step": "align", "a": 0.0}]).why_not
    assert "the lengths of the rows before l2 are not known" in read_steps([align, {"step": "l2"}]).why_not
    assert read_steps([{"step": "from"}, align]) == Repeat(align=0.7, unseen=True)
    assert read_steps([align, {"step": "reduce"}]).why_not == "the null cannot repeat the recorded step reduce after align"
    assert read_steps([align, {"step": "rotate"}]) == Repeat(align=0.7)  # as linear as alignment, in the columns
    assert read_steps([parts, {"step": "reduce"}, {"step": "l2"}]) == Repeat()
    assert "not all wells that were aligned are in the file" in read_steps([align], whole=False).why_not
