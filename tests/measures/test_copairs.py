"""Equal to copairs 0.5.5: as copairs.json holds it, and as copairs gives it where it is installed."""

import json

import numpy as np
import pandas as pd
import pytest

from kit.measures.activity import activity
from kit.measures.consistency import consistency, split_targets
from kit.measures.null import NullRule
from kit.measures.precision import average_precision
from kit.measures.retrieval import Rule, retrieve

from .made import RECORD, between, doses, round_robin, screen

RECORDED = json.loads(RECORD.read_text())
LIKE_COPAIRS = Rule(null=NullRule(beyond=True))  # exact, where copairs draws 20,000 orders
DRAWN = 20_000


def same_means(found: pd.DataFrame, theirs: dict[str, dict[str, float]]) -> None:
    """Means are equal; p to five standard errors of what copairs draws."""
    found = found.set_index("label")
    assert dict(found["mean_average_precision"]) == pytest.approx(theirs["mean_average_precision"], abs=1e-7)
    p_L, drawn_L = found["p"].to_numpy(), pd.Series(theirs["p_value"])[found.index].to_numpy()
    assert (np.abs(p_L - drawn_L) < 5 * np.sqrt(p_L * (1 - p_L) / DRAWN) + 2 / DRAWN).all()
    assert dict(found["retrieved"]) == theirs["below_corrected_p"]


@pytest.mark.slow  # copairs draws 20,000 orders of every kind
def test_what_was_recorded_is_what_copairs_gives():
    pytest.importorskip("copairs", reason="copairs is not installed: its recorded numbers stand")
    from .record_copairs import record

    now = record()
    then = {name: RECORDED[name] for name in now}
    assert json.loads(json.dumps(now)) == then


def test_average_precision_on_copairs_simulated_plates():
    who, features_MF = round_robin()
    between_wells, compound, plate = between(features_MF), who["c"].to_numpy(), who["p"].to_numpy()
    found = []
    for row in range(len(who)):
        distance_M = between_wells(np.array([row]), np.arange(len(who)))[0]
        positive = (compound == compound[row]) & (plate != plate[row])
        negative = (compound != compound[row]) & (plate == plate[row])
        found.append(average_precision(np.sort(distance_M[positive]), np.sort(distance_M[negative])))
    assert found == pytest.approx(RECORDED["round_robin"], abs=1e-7)


def test_activity():
    who, features_MF = screen()
    sample, plate = who["sample"].to_numpy(dtype=str), who["plate"].to_numpy(dtype=str)
    queries = activity(between(features_MF), sample, plate, sample == "")
    theirs = {int(row): precision for row, precision in RECORDED["activity"].items()}
    assert dict(zip(queries["row"], queries["average_precision"], strict=True)) == pytest.approx(theirs, abs=1e-7)
    same_means(retrieve(queries, LIKE_COPAIRS), RECORDED["compounds"])


def test_consistency_with_several_targets():
    who, features_MF = screen()
    queries = consistency(between(features_MF), split_targets(who["targets"]))
    same_means(retrieve(queries, LIKE_COPAIRS), RECORDED["targets"])


def test_hierarchical_discovery_rate():
    queries = doses().assign(label=lambda table: table["compound"] + " " + table["dose"])
    parents = {label: label.split()[0] for label in queries["label"]}
    found = retrieve(queries, LIKE_COPAIRS, parents)
    same_means(found, RECORDED["doses"])
    theirs = pd.Series(RECORDED["doses"]["corrected_p_value"])[found["label"]].to_numpy()
    assert ((found["adjusted_p"] == 1) == (theirs == 1)).all()
    assert (theirs == 1).sum() == 3
