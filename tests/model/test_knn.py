"""The online k-NN by hand and against scikit-learn."""

import numpy as np
import pytest
from sklearn.neighbors import KNeighborsClassifier

from kit.images.store.work import open_work
from kit.model.knn import choose_wells, neighbour_accuracy
from tests.images.made_work import change_table, label, make_work
from tests.model.tiny import tiny_config


def test_accuracy_is_scikit_learns():
    """One neighbour, so that no tie rule enters."""
    random = np.random.default_rng(0)
    label = np.tile(np.arange(8), 6)
    plate = np.repeat(["a", "b", "c"], 16)
    features = random.normal(size=(48, 6)) + 1.2 * random.normal(size=(8, 6))[label] + 9 * random.normal(size=6)
    centred = features.copy()
    for name in "abc":
        centred[plate == name] -= centred[plate == name].mean(0)
    hits = []
    for name in "abc":
        near = KNeighborsClassifier(1, metric="cosine").fit(centred[plate != name], label[plate != name])
        hits.append(near.predict(centred[plate == name]) == label[plate == name])
    expected = np.concatenate(hits).mean()
    assert neighbour_accuracy(features, plate, label, k=1) == pytest.approx(expected)
    assert 0.2 < expected < 1


def test_votes_and_ties_by_hand():
    """Angles on a circle; no centring effect, since each plate's mean is zero."""

    def place(*degrees):
        angle = np.deg2rad(degrees)
        return np.stack([np.cos(angle), np.sin(angle)], 1)

    features = np.concatenate((place(0, 180, 90, 270), place(1, 181, 50, 230), place(20, 200, 70, 250)))
    plate = np.repeat(["p", "q", "r"], 4)
    label = np.array(list("AxByABzwAByx"))
    # the query at 0 degrees sees 1 (A), 20 (A), 50 (z): A; that at 90 sees 70 (y), 50 (z), 20 (A): a tie, the nearest, y, wins
    three = neighbour_accuracy(features, plate, label, k=3)
    one = neighbour_accuracy(features, plate, label, k=1)
    expected = {1: [], 3: []}
    for i in range(12):
        others = [j for j in range(12) if plate[j] != plate[i]]
        if label[i] not in label[others]:
            continue
        order = sorted(others, key=lambda j: -features[i] @ features[j])
        for k in (1, 3):
            votes = [label[j] for j in order[:k]]
            winner = max(votes, key=lambda name: (votes.count(name), -votes.index(name)))
            expected[k].append(winner == label[i])
    assert (one, three) == (pytest.approx(np.mean(expected[1])), pytest.approx(np.mean(expected[3])))


@pytest.mark.parametrize("k", [1, 2, 5, 100])
def test_equal_distances_and_equal_votes(k):
    """Rows along the axes, each with its opposite: centring changes nothing, and every cosine is exactly -1, 0 or 1."""
    random = np.random.default_rng(k)
    half = np.concatenate([np.eye(4)[random.integers(0, 4, 10)] for _ in range(3)])
    features, plate = np.concatenate((half, -half)), np.tile(np.repeat(["a", "b", "c"], 10), 2)
    label = random.integers(0, 8, 60).astype(str).astype(object)
    hits = []
    for well in range(60):
        others = [other for other in range(60) if plate[other] != plate[well]]
        if label[well] not in label[others]:
            continue
        near = [label[other] for other in sorted(others, key=lambda other: (-features[well] @ features[other], other))[:k]]
        winner = max(near, key=lambda name: (near.count(name), -near.index(name)))
        hits.append(winner == label[well])
    assert neighbour_accuracy(features, plate, label, k) == np.mean(hits)
    assert 0 < np.mean(hits) < 1


def test_wells_without_a_counterpart_do_not_count():
    features, plate = np.array([[1.0], [-1.0], [1.0], [-1.0]]), np.array(["a", "a", "b", "b"])
    assert neighbour_accuracy(features, plate, np.array(["A", "B", "A", "C"]), k=1) == 1.0  # of A alone
    assert np.isnan(neighbour_accuracy(features, plate, np.array(["A", "A", "B", "B"])))
    assert np.isnan(neighbour_accuracy(features, np.repeat("a", 4), np.array(["A", "A", "B", "B"])))


def test_the_choice_of_wells(tmp_path):
    make_work(tmp_path)
    label(tmp_path, "P1", "P2")
    work = open_work(tmp_path)
    config = tiny_config(train={"knn_wells": 5})
    chosen = choose_wells(work, config)
    wells = chosen.wells
    assert wells.groupby("Metadata_Plate").size().tolist() == [5, 5]
    first, second = (set(part["label"]) for _, part in wells.groupby("Metadata_Plate"))
    assert first == second
    assert "" not in first
    assert chosen.chance == 1 / 5
    assert chosen.sites.groupby(["Metadata_Plate", "Metadata_Well"]).size().eq(4).all()
    assert choose_wells(work, config).sites.equals(chosen.sites)
    assert choose_wells(work.only(["P1"]), config) is None


def test_labels_of_a_lab_are_followed(tmp_path):
    """The recorded perturbation names the wells; its controls and wells without a label are left out."""
    make_work(tmp_path, wells=4)
    genes = {"A01": "NTC", "A02": "TP53", "A03": "KRAS", "A04": ""}
    for plate in ("P1", "P2"):
        change_table(
            tmp_path,
            plate,
            lambda table: table.assign(
                Metadata_gene=table["Metadata_Well"].map(genes), Metadata_is_control=table["Metadata_Well"] == "A01"
            ),
            labels={"source": "lab.csv", "perturbation": "Metadata_gene", "control": "NTC"},
        )
    chosen = choose_wells(open_work(tmp_path), tiny_config(train={"knn_wells": 5}))
    assert sorted(set(chosen.wells["label"])) == ["KRAS", "TP53"]
    assert len(chosen.wells) == 4
