"""Every rule in one pass: each as it scores alone, and as scikit-learn does it plainly; the other numbers of a direction."""

import numpy as np
import pytest
from sklearn.metrics import balanced_accuracy_score, f1_score
from sklearn.model_selection import StratifiedGroupKFold
from sklearn.neighbors import KNeighborsClassifier

from kit.challenge import score as score_module
from kit.challenge.folds import Split, make_splits
from kit.challenge.outcomes import DRAWS, Fold, drawn_ratios, over_classes, plate_shares, share_interval, summarise
from kit.challenge.score import score, scores_text
from kit.errors import KitError, UsageError
from kit.neighbours import LAST, Gram, Votes
from kit.streams import Stream, generator

from .conftest import PLATES
from .test_score import FEATURES

DIRECTIONS = ["U2OS->U2OS", "U2OS->A549", "A549->U2OS", "A549->A549"]


@pytest.fixture(params=["small", "float32", "large"])
def products(request, monkeypatch):
    """small: float64, as the tests' tables are; float32: for all, as of sets too large to hold; large: as of 7,680 wells."""
    of = Gram.of
    if request.param != "small":
        monkeypatch.setattr(
            score_module.Gram,
            "of",
            classmethod(lambda cls, features_MF, exact=False: of(features_MF, small=0, exact=exact and request.param == "large")),
        )


def test_every_rule_is_read_from_products_in_float64(table, metadata, monkeypatch):
    of, asked = Gram.of, []
    monkeypatch.setattr(
        score_module.Gram, "of", classmethod(lambda cls, rows, exact: asked.append(exact) or of(rows, exact=exact))
    )
    score(table, metadata, all_rules=True)
    score(table, metadata)
    assert asked == [True, False]


def test_each_rule_scores_as_it_does_alone(table, metadata, products):
    found = score(table, metadata, seeds=2, all_rules=True)["all_rules"]
    assert found["notes"] == []
    assert len(found["rows"]) == 2 * 2 * 2 * 2 * 2 * 5
    for row in found["rows"][::53]:
        rule = {name: row[name] for name in ("metric", "votes", "ties", "cross", "stratified", "k")}
        alone = score(table, metadata, seeds=2, **rule)
        assert row["mean"] == alone["mean"], rule
        assert row["directions"] == alone["directions"], rule


def test_votes_by_distance_equal_scikit_learn(table, metadata):
    wells = table.merge(score_labels(table, metadata), on=["Metadata_Plate", "Metadata_Well"])
    for metric in ("cosine", "euclidean"):
        result = score(table, metadata, k=10, metric=metric, votes="distance", cross="all")["directions"]["A549->U2OS"]
        expected = []
        for plate in ("U1", "U2", "U3"):
            train, test = wells["Metadata_Plate"].map(PLATES) == "A549", wells["Metadata_Plate"] == plate
            values = wells[FEATURES].astype(np.float32).astype(np.float64)
            model = KNeighborsClassifier(10, weights="distance", metric=metric, algorithm="brute")
            expected.append(model.fit(values[train], wells["label"][train]).score(values[test], wells["label"][test]))
        assert sorted(result["folds"][0]) == pytest.approx(sorted(expected))


def score_labels(table, metadata):
    from kit.challenge.columns import read_tables
    from kit.challenge.labels import Wanted, label_wells

    wells = label_wells(table[["Metadata_Plate", "Metadata_Well"]], read_tables(metadata, None), Wanted(), {}, "the table").scored
    return wells[["Metadata_Plate", "Metadata_Well", "label"]]


def made_folds() -> tuple[list[list[Fold]], np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    label_M, plate_M = rng.integers(0, 6, size=40), np.repeat(np.arange(4), 10)
    folds_of = []
    for _ in range(2):
        folds = []
        for plates in ([0, 1], [2], [3]):
            test = np.flatnonzero(np.isin(plate_M, plates))
            said = np.where(rng.random(len(test)) < 0.5, label_M[test], rng.integers(0, 8, size=len(test)))
            place = np.where(said == label_M[test], 0, rng.choice([1, 4, 5, LAST], size=len(test)))
            folds.append(Fold(test, Votes(said, place)))
        folds_of.append(folds)
    return folds_of, label_M, plate_M


def test_the_numbers_of_a_direction():
    folds_of, label_M, plate_M = made_folds()
    found = summarise(folds_of, label_M, plate_M)
    rows = [np.concatenate([fold.test_Q for fold in folds]) for folds in folds_of]
    said = [np.concatenate([fold.votes.said_Q for fold in folds]) for folds in folds_of]
    place = [np.concatenate([fold.votes.place_Q for fold in folds]) for folds in folds_of]
    true = [label_M[own] for own in rows]
    expected = [f1_score(*pair, average="macro") for pair in zip(true, said, strict=True)]
    assert found["macro_f1"] == pytest.approx(np.mean(expected))
    expected = [np.mean([(s[t == label] == label).mean() for label in set(t)]) for t, s in zip(true, said, strict=True)]
    assert found["balanced_accuracy"] == pytest.approx(np.mean(expected))
    assert found["top5"] == np.mean([np.isin(own, [0, 1, 4]).mean() for own in place])
    assert found["accuracy"] == pytest.approx(
        np.mean([[(fold.votes.said_Q == label_M[fold.test_Q]).mean() for fold in folds] for folds in folds_of])
    )
    plates, right, whole = plate_shares(folds_of, plate_M)
    assert plates.tolist() == [0, 1, 2, 3]
    assert right.sum() / whole.sum() == pytest.approx(found["accuracy"])  # what the interval draws is the accuracy
    assert whole == pytest.approx([1 / 6, 1 / 6, 1 / 3, 1 / 3])
    least, most = found["interval"]
    assert min(right / whole) - 1e-9 <= least < found["accuracy"] < most <= max(right / whole) + 1e-9
    with_known = np.array([0, 1, 1, 2]), np.array([0, 1, 2, 2])
    assert over_classes(*with_known)[0] == pytest.approx(balanced_accuracy_score(*with_known))


def test_draws_of_plates_spread_as_their_mean_does():
    share_P = np.array([0.2, 0.4, 0.9, 0.5, 0.3, 0.7])
    drawn = drawn_ratios(share_P, np.ones(6))
    assert drawn.mean() == pytest.approx(share_P.mean(), abs=0.01)
    assert drawn.std() == pytest.approx(share_P.std() / np.sqrt(6), rel=0.05)
    np.testing.assert_array_equal(drawn_ratios(share_P, np.ones(6)), drawn)
    assert np.corrcoef(drawn_ratios(share_P, np.ones(6), 1), drawn)[0, 1] < 0.1
    assert summarise(*only_plates(2))["interval"] is None  # two plates say nothing of their spread


def test_the_interval_resamples_units_not_wells():
    """Hits that are all of a plate or none: as wide as the binomial of the plates, not of their 50 wells."""
    unit_Q = np.repeat(np.arange(20), 50)
    low, high = share_interval(unit_Q < 10, unit_Q)
    sd = np.sqrt(0.25 / 20)
    np.testing.assert_allclose([low, high], [0.5 - 1.96 * sd, 0.5 + 1.96 * sd], atol=0.04)
    assert share_interval(unit_Q < 0, unit_Q) == [0, 0]
    assert share_interval(np.ones(2, dtype=bool), np.arange(2)) is None  # two units have no interval


def test_shares_are_drawn_unit_by_unit():
    rng = np.random.default_rng(0)
    unit_Q, hit_Q = rng.choice(["a", "b", "c", "d", "e"], size=60), rng.random(60) < 0.4
    draw = generator(0, Stream.INTERVALS)
    names, shares = np.unique(unit_Q), []
    for row in draw.integers(5, size=(DRAWS, 5)):
        drawn = np.concatenate([hit_Q[unit_Q == names[unit]] for unit in row])
        shares.append(drawn.mean())
    assert share_interval(hit_Q, unit_Q) == np.percentile(shares, [2.5, 97.5]).tolist()  # to the last digit


def only_plates(n):
    folds_of, label_M, plate_M = made_folds()
    return [[Fold(np.flatnonzero(plate_M < n), Votes(label_M[:20], np.zeros(20, int)))] for _ in folds_of], label_M, plate_M


def test_stratified_folds_are_scikit_learns():
    rng = np.random.default_rng(0)
    plates = np.repeat([f"P{index}" for index in range(6)], 20)
    labels = np.concatenate([rng.integers(0, 2 + 4 * (index % 2), size=20) for index in range(6)])  # plates that differ
    groups = np.array(["all"] * 120)
    for seed in range(3):
        splits = make_splits(plates, groups, ("all", "all"), 3, seed, "holdout", labels)
        dealer = StratifiedGroupKFold(3, shuffle=True, random_state=seed)
        for split, (train, test) in zip(splits, dealer.split(plates, labels, plates), strict=True):
            np.testing.assert_array_equal(split.train, train)
            np.testing.assert_array_equal(split.test, test)


@pytest.mark.parametrize("direction", [("a", "b"), ("b", "a"), ("a", "a")])
@pytest.mark.parametrize("shared", [False, True])
def test_a_plate_that_is_tested_never_trains_in_stratified_folds(direction, shared):
    plates = np.array([f"P{index % 4 + (0 if shared else 4 * (index % 2))}" for index in range(160)])
    groups, labels = np.where(np.arange(160) // 4 % 2 if shared else np.arange(160) % 2, "b", "a"), np.arange(160) % 7
    splits: list[Split] = make_splits(plates, groups, direction, 2, 0, "holdout", labels)
    assert sorted(np.concatenate([split.test for split in splits])) == np.flatnonzero(groups == direction[1]).tolist()
    for split in splits:
        assert len(split.train)
        assert not set(plates[split.train]) & set(plates[split.test])


def test_rules_that_cannot_be_are_named(table, metadata):
    small = table[table["Metadata_Well"].isin(["A01", "A02", "B01", "B02"])]
    found = score(small, metadata, k=3, all_rules=True)["all_rules"]
    assert {row["k"] for row in found["rows"]} == {1, 3, 5}  # two plates of four wells train
    assert found["notes"] == [
        "k = 10 left out: a fold has fewer training wells",
        "k = 20 left out: a fold has fewer training wells",
    ]
    with pytest.raises(UsageError, match="--votes loud: need uniform or distance"):
        score(table, metadata, votes="loud")
    with pytest.raises(KitError, match="--stratified: no label has as many as 3 wells"):
        make_splits(np.array(list("abc")), np.array(["g"] * 3), ("g", "g"), 3, 0, "holdout", np.arange(3))


def test_all_rules_as_text(table, metadata):
    result = score(table, metadata, all_rules=True)
    lines = scores_text(result).splitlines()
    head = next(index for index, line in enumerate(lines) if line.startswith("mean in %"))
    assert lines[head].split()[3:] == ["k=1", "k=3", "k=5", "k=10", "k=20"]
    row = "cosine, uniform votes, ties sklearn, cross holdout, any folds"
    (cells,) = [line.removeprefix(row).split() for line in lines if line.startswith(row)]
    assert cells[2] == f"{100 * result['mean']:.1f}"
    means = [row["mean"] for row in result["all_rules"]["rows"]]
    assert any(line.startswith(f"highest {100 * max(means):.1f}: ") for line in lines)
    details = {line.split()[0]: line.split()[1:] for line in lines if line}
    assert details["top-5"][:4] == [f"{100 * result['directions'][name]['top5']:.1f}" for name in DIRECTIONS]


def test_wells_that_are_alike_are_named(table, metadata):
    assert "notes" not in score(table, metadata)
    twice = table.copy()
    twice.loc[[0, 5, 9], FEATURES] = twice.loc[0, FEATURES].to_numpy()
    assert score(twice, metadata)["notes"][0].startswith("3 of 84 wells have the same features as another well: ")
    constant = table.assign(**dict.fromkeys(FEATURES, 1.0))
    assert score(constant, metadata)["notes"][0].startswith("all 84 wells have the same features: ")
