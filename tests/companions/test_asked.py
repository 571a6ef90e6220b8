"""What is asked of wells, by plain loops over scikit-learn's reading of the same rule."""

from collections import Counter

import numpy as np

from kit.challenge.directions import plan_directions
from kit.challenge.rules import Rules
from kit.companions.asked import Questions, ask_plate
from kit.companions.null import by_gram
from kit.neighbours import Gram

from .made import made, wells_of

K = 3


def vote_of(profiles, query, train, names):
    """The commonest name among the K wells nearest to the query by cosine, of equals the first by name."""
    features = profiles.features_MF.astype(float)
    unit = features / np.linalg.norm(features, axis=1, keepdims=True)
    nearest = sorted(train, key=lambda row: (1 - unit[query] @ unit[row], row))[:K]
    counts = Counter(names[row] for row in nearest)
    return min(name for name in counts if counts[name] == max(counts.values()))


def test_every_question_is_what_plain_loops_ask():
    profiles = made(compound=0.8, position=0.8, plate=0.8, plates=("P1", "P2", "P3", "P4"))
    wells, rules = wells_of(profiles), Rules(k=K)
    near = by_gram(Gram.of(profiles.features_MF), rules)
    plan = plan_directions(wells, rules)["U2OS->U2OS"]
    questions = Questions(wells, plan, rules)
    asked = questions.ask(questions.find(near), near)
    rows = profiles.who.rename(columns=lambda name: name.removeprefix("Metadata_"))
    compound, well, plate, dmso = (rows[name].to_numpy() for name in ("broad_sample", "Well", "Plate", "is_control"))
    hits = {"labels": [], "apart": [], "kept": [], "controls": []}
    for split in plan.splits[0]:
        trained, tested = (np.isin(plate, plate[part]) for part in (split.train, split.test))
        for query in np.flatnonzero(tested & ~dmso):
            train = np.flatnonzero(trained & ~dmso)
            right = vote_of(profiles, query, train, compound) == compound[query]
            elsewhere = train[well[train] != well[query]]
            hits["labels"].append(right)
            if compound[query] in compound[elsewhere]:
                hits["kept"].append(right)
                hits["apart"].append(vote_of(profiles, query, elsewhere, compound) == compound[query])
        for query in np.flatnonzero(tested & dmso):
            hits["controls"].append(vote_of(profiles, query, np.flatnonzero(trained & dmso), well) == well[query])
    for kind, expected in hits.items():
        assert getattr(asked, kind).hit_Q.tolist() == expected, kind
        assert 0.1 < np.mean(expected) < 0.95  # neither all right nor all wrong: the comparison says something
    others = [np.flatnonzero(dmso & (well != well[query])) for query in np.flatnonzero(dmso)]
    expected = [
        vote_of(profiles, query, train, plate) == plate[query] for query, train in zip(np.flatnonzero(dmso), others, strict=True)
    ]
    assert ask_plate(wells, "U2OS", near, rules).hit_Q.tolist() == expected


def test_only_compounds_that_train_elsewhere_are_asked_across_positions():
    """C01 holds a compound of one well, and D01 on one plate only the second well of another."""
    compounds = {"A01": "X", "A02": "X", "B01": "Y", "B02": "Y", "C01": "Z", "D01": ""}
    profiles = made(compounds=compounds, plates=("P1", "P2", "P3"))
    wells, rules = wells_of(profiles), Rules(k=1)
    questions = Questions(wells, plan_directions(wells, rules)["U2OS->U2OS"], rules)
    near = by_gram(Gram.of(profiles.features_MF), rules)
    rows_Q = questions.ask(questions.find(near), near).apart.rows_Q
    assert sorted(set(profiles.who["Metadata_broad_sample"].iloc[rows_Q])) == ["X", "Y"]
    assert len(rows_Q) == 3 * 4
