"""What modules beside the score are given, and where what they say goes."""

import numpy as np
import pytest

from kit.challenge.directions import Neighbourhood
from kit.challenge.rules import Rules
from kit.challenge.score import score, scores_text
from kit.challenge.wells import NONE

from .conftest import make_table


class Wells:
    """Says how many wells it was given."""

    keys = ("seen",)

    def make(self, scored):
        self.scored = scored
        return {"seen": {"wells": len(scored.wells), "accuracy": scored.result["mean"]}}

    def lines(self, result):
        return [f"{result['seen']['wells']} wells seen"]


def test_a_section_gets_the_wells_and_adds_to_score_and_output(table, metadata):
    section = Wells()
    result = score(table, metadata, sections=[section])
    assert result.pop("seen") == {"wells": 105, "accuracy": result["mean"]}  # 7 plates x (12 treated + 3 DMSO wells)
    assert result == score(table, metadata)
    text = scores_text(score(table, metadata, sections=[section]), [section])
    assert text.splitlines()[-1] == "105 wells seen"
    wells = section.scored.wells
    assert wells.is_control_M.sum() == 21
    np.testing.assert_array_equal(wells.label_M == NONE, wells.is_control_M)
    assert list(zip(wells.plate_M, wells.well_M, strict=True)) == sorted(zip(wells.plate_M, wells.well_M, strict=True))
    features_MF = section.scored.features.features_MF[wells.row_M].astype(float)
    everyone = np.arange(len(wells))
    expected_MM = ((features_MF[:, None] - features_MF[None]) ** 2).sum(axis=2)
    np.testing.assert_allclose(section.scored.gram.distances(everyone, everyone, "euclidean"), expected_MM, atol=1e-10)


def test_of_several_files_each_has_its_section(table, metadata, tmp_path):
    for name in ("a.csv", "b.csv"):
        make_table(seed=len(name)).to_csv(tmp_path / name, index=False)
    section = Wells()
    scores = score([tmp_path / "a.csv", tmp_path / "b.csv"], metadata, sections=[section])
    assert scores_text(scores, [section]).splitlines()[-4:] == [
        "a.csv:", "105 wells seen", "b.csv:", "105 wells seen"
    ]  # fmt: skip


def test_other_labels_need_no_other_neighbours(table, metadata):
    section = Wells()
    score(table, metadata, sections=[section])
    wells, gram = section.scored.wells, section.scored.gram
    found = Neighbourhood.of(wells, gram, Rules(k=3, ties="nearest"))
    assert found.directions() == score(table, metadata, k=3, ties="nearest")["directions"]
    renamed_M = np.where(wells.scored_M, (wells.label_M * 3 + 1) % 10, NONE)  # the same classes under other numbers
    for name, result in found.directions(renamed_M).items():
        assert result["folds"] == found.directions()[name]["folds"]
    rng = np.random.default_rng(0)
    shuffled = wells.label_M.copy()
    for plate in np.unique(wells.plate_M):
        rows = np.flatnonzero((wells.plate_M == plate) & wells.scored_M)
        shuffled[rows] = rng.permutation(shuffled[rows])
    null = [result["accuracy"] for result in found.directions(shuffled).values()]
    assert np.mean(null) < 0.25 < found.directions()["U2OS->A549"]["accuracy"]


def test_wells_apart_are_no_neighbours(table, metadata):
    section = Wells()
    score(table, metadata, sections=[section])
    wells, gram = section.scored.wells, section.scored.gram
    query, train = np.flatnonzero(wells.group_M == "U2OS"), np.flatnonzero(wells.group_M == "A549")
    position_M = np.unique(wells.well_M, return_inverse=True)[1]
    near = gram.nearest(query, train, 4, "cosine", apart=[position_M])
    assert (position_M[near.rows_Qk] != position_M[query][:, None]).all()
    for row, found in zip(query, near.rows_Qk, strict=True):
        others = train[position_M[train] != position_M[row]]
        np.testing.assert_array_equal(found, gram.nearest(np.array([row]), others, 4, "cosine").rows_Qk[0])
    with pytest.raises(ValueError, match="only 44 rows that count: 45 are wanted"):
        gram.nearest(query, train, 45, "cosine", apart=[position_M])
