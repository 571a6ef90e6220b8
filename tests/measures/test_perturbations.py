"""A row for every perturbation: equal to what the whole score says of them, and the wells nearest to one, worked by hand."""

from dataclasses import replace

import numpy as np
import pytest

from kit.challenge import comparison
from kit.challenge.by_label import ByLabel
from kit.challenge.score import score
from kit.measures.perturbations import by_perturbation, nearest_wells, typical_wells
from kit.measures.section import Measures
from kit.neighbours import Gram
from tests.companions.made import PLATES, made, wells_of


class Keep:
    """A section that adds nothing and keeps what was scored."""

    keys = ()

    def make(self, scored):
        self.scored = scored
        return {}


@pytest.fixture(scope="module")
def strong():
    keep = Keep()
    result = score(made(compound=0.6), sections=(keep, ByLabel(), Measures()))
    return keep.scored, result


def test_the_rows_are_those_of_the_whole_score(strong):
    kept, result = strong
    right = comparison.tested_wells(kept.found)["U2OS->U2OS"]["right"]
    pairs = zip(kept.wells.plate_M, kept.wells.well_M, strict=True)
    share_M = np.array([right.get(pair, np.nan) for pair in pairs])
    rows = by_perturbation(kept.wells, kept.gram, "cosine", share_M)
    assert rows["label"].tolist() == [f"BRD-{number:02d}" for number in range(16)]
    assert (rows["wells"] == 2 * len(PLATES)).all()
    assert dict(zip(rows["label"], rows["accuracy"], strict=True)) == pytest.approx(result["by_label"])
    whole = result["map"]["activity"]["U2OS"]
    assert rows["map"].mean() == pytest.approx(whole["value"])
    assert rows["active"].mean() == pytest.approx(whole["retrieved"])
    assert (rows["measured"] == 1).all()
    assert 0.3 < rows["map"].min() < rows["map"].max()


def test_without_controls_there_is_no_map_and_without_tests_no_accuracy(strong):
    kept, _ = strong
    bare = replace(kept.wells, is_control_M=np.zeros(len(kept.wells), dtype=bool))
    rows = by_perturbation(bare, kept.gram, "cosine", np.full(len(bare), np.nan))
    assert rows["map"].isna().all()
    assert rows["accuracy"].isna().all()
    assert (rows["measured"] == 0).all()


def test_the_nearest_wells_are_treated_and_on_other_plates(strong):
    kept, _ = strong
    wells, gram = kept.wells, kept.gram
    query_Q = typical_wells(wells, gram, "cosine", ["BRD-03", "BRD-10"])
    assert [wells.classes[wells.label_M[row]] for row in query_Q] == ["BRD-03", "BRD-10"]
    own = np.flatnonzero(wells.label_M == 3)
    assert query_Q[0] == own[gram.distances(own, own, "cosine").mean(axis=1).argmin()]
    for query, near in zip(query_Q, nearest_wells(wells, gram, "cosine", query_Q, 3), strict=True):
        others = np.flatnonzero((wells.plate_M != wells.plate_M[query]) & (wells.label_M >= 0))
        by_hand = others[np.argsort(gram.distances(np.array([query]), others, "cosine")[0])[:3]]
        assert near.tolist() == by_hand.tolist()


def test_one_plate_has_its_neighbours_on_itself():
    profiles = made(compound=1, plates=("P1",))
    wells, gram = wells_of(profiles), Gram.of(profiles.features_MF)
    near_Qk = nearest_wells(wells, gram, "cosine", np.array([0]), 999)
    assert near_Qk.shape == (1, 31)  # its 32 treated wells but itself
    assert 0 not in near_Qk
    assert nearest_wells(wells, gram, "cosine", np.array([], dtype=int), 3).shape == (0, 0)
