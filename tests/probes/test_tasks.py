"""Classifiers and scores against independent readings, and what must not leak."""

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import PredefinedSplit, cross_val_predict
from sklearn.multiclass import OneVsRestClassifier
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from kit.probes.classify import auprc, deal_classes, deal_groups, linear, logistic_each, macro_f1, neighbours, prepared
from kit.probes.tasks import indicators, mechanism_task, score_mechanisms, shuffle_wells, treatment_task

FOLD = np.arange(24) % 4


def noise(rows: int, features: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((rows, features)).astype(np.float32)


@pytest.mark.parametrize("features", [4, 40])  # fewer and more than rows: the turn changes nothing
def test_mechanisms_are_scored_as_scikit_learn_would(features):
    said_ML = (noise(24, 3, 1) > 0.5).astype(int)
    x_MF = noise(24, features)
    x_MF[:, :3] += 2 * said_ML
    one = make_pipeline(StandardScaler(), OneVsRestClassifier(LogisticRegression(tol=1e-8, max_iter=5000)))
    probability_ML = cross_val_predict(one, x_MF, said_ML, cv=PredefinedSplit(FOLD), method="predict_proba")
    scores = score_mechanisms(x_MF, said_ML, FOLD, 0, whole=False)
    assert scores["logistic_auprc"] == pytest.approx(area(said_ML.ravel(), probability_ML.ravel()), abs=1e-3)
    of_classes = [area(said_M, probability_M) for said_M, probability_M in zip(said_ML.T, probability_ML.T, strict=True)]
    assert scores["logistic_auprc_of_classes"] == pytest.approx(np.mean(of_classes), abs=1e-3)


def area(said: np.ndarray, probability: np.ndarray) -> float:
    """The average precision by its formula: sum over ranks of the gain in recall times the precision."""
    hit = said[np.argsort(-probability)]
    return float((hit * np.cumsum(hit) / np.arange(1, len(hit) + 1)).sum() / hit.sum())


def test_area_and_f1_by_hand():
    said_ML = np.array([[1, 0], [0, 1], [1, 0]])
    probability_ML = np.array([[0.9, 0.5], [0.8, 0.7], [0.1, 0.2]])
    # ranked .9 yes, .8 no, .7 yes, .5 no, .2 no, .1 yes; and the classes: yes no yes, then yes no no
    assert auprc(said_ML, probability_ML) == pytest.approx(((1 + 2 / 3 + 3 / 6) / 3, ((1 + 2 / 3) / 2 + 1) / 2))
    assert macro_f1(np.array(["a", "a", "b"]), np.array(["a", "c", "b"])) == pytest.approx((2 / 3 + 1) / 2)
    assert macro_f1(np.array([[1, 0], [0, 0]]), np.array([[1, 1], [1, 0]])) == pytest.approx(2 / 3)  # the 2nd class never occurs


def test_the_logistic_regressions_are_at_the_minimum():
    """The gradient of |w|^2 / 2 + sum of -log p is 0 there: w and b are read off the logits of the axes."""
    x_TF, said_T = noise(30, 3).astype(np.float64), (noise(30, 1, 2)[:, 0] > 0).astype(int)
    probes = np.vstack([np.zeros(3), np.eye(3)])
    p_Q = logistic_each(x_TF, np.stack([said_T, 1 - said_T], axis=1), probes)[:, 0]
    logit_Q = np.log(p_Q / (1 - p_Q))
    bias, weight_F = logit_Q[0], logit_Q[1:] - logit_Q[0]
    wrong_T = 1 / (1 + np.exp(-(x_TF @ weight_F + bias))) - said_T
    np.testing.assert_allclose([*(weight_F + x_TF.T @ wrong_T), wrong_T.sum()], 0, atol=1e-3)


def test_neighbours_and_linear_by_hand():
    train_TF = np.array([[1.0, 0.1], [1.0, -0.1], [-1.0, 5.0], [-0.5, 9.0]])
    label_T = np.array(["a", "a", "b", "b"])
    query_QF = np.array([[9.0, 0.0], [0.1, 0.4]])  # by cosine the second is b's; by distance it would be a's
    assert neighbours(train_TF, label_T, query_QF, 1).tolist() == ["a", "b"]
    assert linear(train_TF, label_T, query_QF).tolist() == ["a", "a"]


@pytest.mark.parametrize("k", [1, 4])
def test_neighbours_vote_as_scikit_learn_has_them(k):
    train_TF, query_QF = noise(40, 6).astype(np.float64), noise(30, 6, 1).astype(np.float64)
    for label in (np.array(list("abcd"))[np.arange(40) % 4], (noise(40, 3, 2) > 0.3).astype(int)):
        expected = KNeighborsClassifier(k, metric="cosine").fit(train_TF, label).predict(query_QF)
        assert (neighbours(train_TF, label, query_QF, k) == expected).all()


def test_columns_are_standardised_by_the_rows_that_train():
    x_MF = np.concatenate([noise(20, 3), 7 * noise(4, 3, 1) + 5])
    x_MF[:, 1] = 4.0
    train_M = np.arange(24) < 20
    train_TF, test_QF = prepared(x_MF, train_M)
    scaler = StandardScaler().fit(x_MF[train_M][:, [0, 2]].astype(np.float64))
    np.testing.assert_allclose(train_TF, scaler.transform(x_MF[train_M][:, [0, 2]].astype(np.float64)), atol=1e-9)
    np.testing.assert_allclose(test_QF, scaler.transform(x_MF[~train_M][:, [0, 2]].astype(np.float64)), atol=1e-9)


def test_every_class_is_in_as_many_folds_as_it_can_be():
    label_M = np.repeat([0, 1, 2], [2, 3, 9])
    fold_M = deal_classes(label_M, 3)
    assert [len(np.unique(fold_M[label_M == label])) for label in range(3)] == [2, 3, 5]
    assert (deal_classes(label_M, 4) != fold_M).any()


def test_groups_stay_whole():
    group_M = np.repeat([f"P{plate}" for plate in range(7)], 2)
    for labels in (np.arange(14) % 2, np.arange(14) // 2 % 4):  # classes with a row for each of five folds, and without
        fold_M = deal_groups(labels.astype(str), group_M, 1)
        assert (fold_M[::2] == fold_M[1::2]).all()
        assert len(np.unique(fold_M)) == 5


def test_mechanisms_of_one_treatment_are_left_out():
    names, said_TL = indicators([frozenset("ab"), frozenset("b"), frozenset("c"), frozenset()])
    assert names == ["b"]
    assert said_TL.tolist() == [[1], [1], [0], [0]]


def test_the_wells_of_a_treatment_do_not_name_each_other():
    """Each treatment has a mark of its own that says nothing of its mechanism: folds over wells would score 1."""
    label_M = np.repeat([f"t{index:02d}" for index in range(24)], 3)
    who = pd.DataFrame({"label": label_M, "mechanism": [f"m{int(label[1:]) * 7 % 5 % 2}" for label in label_M]})
    x_MF = np.repeat(noise(24, 60), 3, axis=0)
    found = mechanism_task({"plain": x_MF}, who, "moa", [0])
    assert found["scores"]["nearest_f1"]["plain"]["mean"] < 0.75
    code_M, row_fold = (who["mechanism"] == "m1").to_numpy().astype(int), np.arange(72) % 3
    leak = score_mechanisms(x_MF, np.stack([code_M, 1 - code_M], 1), row_fold, 0, whole=False)
    assert leak["nearest_f1"] == 1.0


def test_a_plate_does_not_name_its_own_rows():
    """Treatments differ within a plate alone, each plate in its own way: folds over rows would score 1."""
    rows = [(f"P{plate}", f"A{treatment + 1:02d}", f"t{treatment}") for plate in range(4) for treatment in range(6)]
    who = pd.DataFrame(np.repeat(rows, 2, axis=0), columns=["Metadata_Plate", "Metadata_Well", "label"])
    x_MF = np.repeat(noise(24, 30), 2, axis=0)
    of_plates = treatment_task({"plain": x_MF}, who, "label", [0, 1], 1)
    assert (of_plates["left_out"], of_plates["groups"], of_plates["classes"], of_plates["chance"]) == ("plates", 4, 6, 1 / 6)
    assert of_plates["scores"]["neighbours_f1"]["plain"]["mean"] < 0.5
    assert of_plates["scores"]["linear_accuracy"]["plain"]["sd"] == 0  # folds of single plates: the runs are one
    signal = treatment_task({"plain": x_MF[:12][np.arange(48) % 12]}, who, "label", [0], 1)["scores"]
    assert signal["neighbours_f1"]["plain"]["mean"] == signal["linear_accuracy"]["plain"]["mean"] == 1.0
    assert signal["linear_accuracy"]["shuffled"]["mean"] < 0.6


def test_shuffled_wells_keep_their_rows_together():
    label_M = np.array(["a", "a", "b", "c", "c", "d"])
    plate_M, well_M = np.array(["P", "P", "P", "Q", "Q", "Q"]), np.array(["1", "1", "2", "3", "3", "4"])
    found = {tuple(shuffle_wells(label_M, plate_M, well_M, seed).tolist()) for seed in range(20)}
    assert found == {tuple("aabccd"), tuple("bbaccd"), tuple("aabddc"), tuple("bbaddc")}
