"""The bench of the score at a small size: the layout it makes, and that scikit-learn agrees with it."""

import numpy as np

from kit.bench.score import made_wells, rival_seconds, score_rows
from kit.neighbours import Gram


def test_the_made_wells_have_the_challenges_layout():
    wells, features_MF = made_wells(wells=6, columns=20)
    assert features_MF.shape == (144, 20)
    assert {group: len(plates) for group, plates in wells.plates_of().items()} == {"U2OS": 8, "A549": 16}
    assert (np.bincount(wells.label_M) == 24).all()  # a compound in the same well of every plate


def test_every_line_is_measured():
    wells, features_MF = made_wells(wells=6, columns=20)
    lines = list(score_rows(wells, features_MF, seeds=1, rival_folds=1))
    assert [line.split(":")[0].split()[0] for line in lines] == ["products", "160", "most", "scikit-learn's", "ratio"]
    assert rival_seconds(wells, features_MF, Gram.of(features_MF, small=0), 5)[1] == 10  # it raises where predictions differ
