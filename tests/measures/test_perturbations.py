"""A row for every perturbation: equal to what the whole score says of them, and the wells nearest to one, worked by hand."""

from types import SimpleNamespace

import numpy as np
import pytest

from kit.challenge.by_label import ByLabel
from kit.challenge.score import score
from kit.measures.perturbations import by_perturbation, nearest_wells, typical_wells
from kit.measures.section import Measures
from tests.companions.made import PLATES, made


class Keep:
    """A section that adds nothing and keeps what was scored."""

    keys = ()

    def make(self, scored):
        self.scored = scored
        return {}


def scored(**strengths):
    keep = Keep()
    result = score(made(**strengths), sections=(keep, ByLabel(), Measures()))
    return keep.scored, result


@pytest.fixture(scope="module")
def strong():
    return scored(compound=0.6)


def test_the_rows_are_those_of_the_whole_score(strong):
    kept, result = strong
    rows = by_perturbation(kept)
    assert rows["label"].tolist() == [f"BRD-{number:02d}" for number in range(16)]
    assert (rows["wells"] == 2 * len(PLATES)).all()
    assert dict(zip(rows["label"], rows["accuracy"], strict=True)) == result["by_label"]
    whole = result["map"]["activity"]["U2OS"]
    assert rows["map"].mean() == pytest.approx(whole["value"])
    assert rows["active"].mean() == pytest.approx(whole["retrieved"])
    assert (rows["measured"] == 1).all()
    assert 0.3 < rows["map"].min() < rows["map"].max()


def test_without_controls_there_is_no_map():
    profiles = made(compound=1)
    treated = ~profiles.is_control_M
    keep = Keep()
    bare = SimpleNamespace(features=profiles.features_MF[treated], who=profiles.who[treated].reset_index(drop=True))
    table = bare.who.assign(**{f"f{i}": bare.features[:, i] for i in range(bare.features.shape[1])})
    score(table, labels=None, label="broad_sample", sections=(keep,))
    rows = by_perturbation(keep.scored)
    assert rows["map"].isna().all()
    assert (rows["measured"] == 0).all()
    assert rows["accuracy"].notna().all()


def test_the_nearest_wells_are_treated_and_on_other_plates(strong):
    kept, _ = strong
    wells, gram = kept.wells, kept.gram
    query_Q = typical_wells(kept, ["BRD-03", "BRD-10"])
    assert [wells.classes[wells.label_M[row]] for row in query_Q] == ["BRD-03", "BRD-10"]
    own = np.flatnonzero(wells.label_M == 3)
    mean_Q = gram.distances(own, own, "cosine").mean(axis=1)
    assert query_Q[0] == own[mean_Q.argmin()]
    for query, near in zip(query_Q, nearest_wells(kept, query_Q, 3), strict=True):
        others = np.flatnonzero((wells.plate_M != wells.plate_M[query]) & (wells.label_M >= 0))
        by_hand = others[np.argsort(gram.distances(np.array([query]), others, "cosine")[0])[:3]]
        assert near.tolist() == by_hand.tolist()


def test_one_plate_has_its_neighbours_on_itself():
    keep = Keep()
    score(made(compound=1, plates=("P1",)), sections=(keep,))
    near_Qk = nearest_wells(keep.scored, np.array([0]), 999)
    assert near_Qk.shape == (1, 31)  # its 32 treated wells but itself
    assert 0 not in near_Qk
    assert nearest_wells(keep.scored, np.array([], dtype=int), 3).shape == (0, 0)
