"""The trial on single cells: folds of whole groups, neighbours, shapes, the store, and the command line."""

import json
import runpy
import sys

import numpy as np
import pandas as pd
import pytest

from kit.errors import KitError, UsageError
from kit.images.source.cells import Cells
from kit.trials.cell_scores import class_weights, deal_folds, said
from kit.trials.cell_shapes import SHAPE, cell_shape
from kit.trials.cell_store import pack_cells
from kit.trials.cells import GUESS, JOINED, NULL, SHAPED, accuracies, channel_numbers, how, labels_of, p_values, score

LABELS = np.tile(["a", "b"], 30)
GROUPS = np.repeat([f"g{number}" for number in range(12)], 5)


def test_groups_stay_whole_and_folds_are_even():
    groups = np.repeat([f"g{number}" for number in range(23)], np.arange(1, 24))
    fold_N = deal_folds(groups)
    assert pd.DataFrame({"group": groups, "fold": fold_N}).groupby("group")["fold"].nunique().eq(1).all()
    cells = np.bincount(fold_N, minlength=5)
    assert cells.min() > 0
    assert cells.max() - cells.min() < 24
    order = np.random.default_rng(0).permutation(len(groups))
    assert np.array_equal(deal_folds(groups[order]), fold_N[order])
    assert set(deal_folds(np.array(["x", "x", "y"]))) == {0, 1}
    with pytest.raises(ValueError, match="one group alone"):
        deal_folds(np.array(["x", "x"]))


def test_a_cell_is_named_by_other_groups_alone():
    """Features of the group and a little of the class: the nearest five would be the own group, whose classes are one."""
    code_N = np.repeat(np.arange(12) % 2, 5)
    group_NF = np.repeat(np.eye(12), 5, axis=0)
    fold_N = deal_folds(GROUPS)
    assert (said([group_NF], code_N, np.arange(60) % 5) == code_N).all()
    assert (said([group_NF], code_N, fold_N) == code_N).mean() < 0.8
    assert (said([code_N[:, None] + 0.0], code_N, fold_N) == code_N).all()


def test_neighbours_are_those_of_scikit_learn():
    neighbors = pytest.importorskip("sklearn.neighbors")
    rng = np.random.default_rng(4)
    x_NF, code_N, fold_N = rng.normal(3, 2, (60, 4)), rng.integers(0, 3, 60), deal_folds(GROUPS)
    expected_N = np.empty_like(code_N)
    for fold in range(5):
        train_N = fold_N != fold
        z_NF = (x_NF - x_NF[train_N].mean(axis=0)) / x_NF[train_N].std(axis=0)
        named = neighbors.KNeighborsClassifier(5, metric="cosine").fit(z_NF[train_N], code_N[train_N])
        expected_N[~train_N] = named.predict(z_NF[~train_N])
    assert np.array_equal(said([x_NF], code_N, fold_N), expected_N)


def test_classes_count_the_same_in_the_mean_recall():
    code_N = np.array([0, 0, 0, 2])
    right_N = np.array([True, True, False, True])
    assert np.mean(class_weights(code_N) * right_N) == pytest.approx((2 / 3 + 1) / 2)


def shape(image) -> dict[str, float]:
    return dict(zip(SHAPE, cell_shape(image), strict=True))


def test_the_shape_is_that_of_the_part_in_the_middle():
    image = np.zeros((40, 40), np.uint8)
    image[16:24, 12:28] = 255
    alone = shape(image)
    assert (alone["area"], alone["extent"], alone["solidity"], alone["parts"], alone["share"]) == (128 / 1600, 1, 1, 1, 1)
    assert alone["eccentricity"] == pytest.approx(np.sqrt(1 - (8**2 - 1) / (16**2 - 1)))
    image[18:20, 15:18] = 0  # a hole
    image[:4, :8] = 200  # a neighbour
    crowded = shape(image)
    assert (crowded["area"], crowded["parts"], crowded["share"]) == (128 / 1600, 2, 128 / 160)
    assert crowded["form factor"] == alone["form factor"]
    assert np.allclose(cell_shape(np.rot90(image)), cell_shape(image))
    assert not cell_shape(np.full((9, 9), 7, np.uint8)).any()


def test_rings_lie_between_the_middle_and_the_edge():
    y, x = np.mgrid[:32, :48] - np.array([15.5, 23.5])[:, None, None]
    away = np.hypot(y, x)
    image = np.where((away >= 4) & (away < 6), 255, 0).astype(np.uint8)
    found = shape(image)
    assert [found[f"ring {ring} mean"] for ring in range(1, 9)] == [0, 0, 1, 0, 0, 0, 0, 0]
    split = np.where((x > 0) & (away >= 4) & (away < 6), 255, 0).astype(np.uint8)
    assert shape(split)["ring 3 mean"] == shape(split)["ring 3 sd"] == 0.5


def made_cells(number: int, channels=(0, 2)) -> Cells:
    images = np.random.default_rng(1).integers(0, 900, (number, len(channels), 12, 12)).astype(np.uint16)
    table = pd.DataFrame({"class": LABELS[:number], "plate": GROUPS[:number]})
    return Cells(images, table, channels)


def test_every_cell_is_a_well(tmp_path):
    cells = made_cells(5)
    work, row_N = pack_cells(cells, tmp_path)
    assert work.channels == ("c0", "c2")
    assert sorted(row_N) == list(range(5))
    for key, cell in zip(
        work.sites[["Metadata_Plate", "Metadata_Well", "Metadata_Site"]].itertuples(index=False), row_N, strict=True
    ):
        for level, image in zip(work.read_site(*key), cells.images_NCHW[cell].astype(int), strict=True):
            assert np.array_equal(level, (image - image.min()) * 255 // np.ptp(image))
    again, _ = pack_cells(cells, tmp_path)
    assert again.sites.equals(work.sites)
    with pytest.raises(UsageError, match="holds other cells or channels"):
        pack_cells(made_cells(5, channels=(0, 1)), tmp_path)


def test_labels_and_groups():
    cells = made_cells(60)
    assert [part.tolist() for part in labels_of(cells, "class", "plate")] == [LABELS.tolist(), GROUPS.tolist()]
    assert len(set(labels_of(cells, "class", "")[1])) == 60
    with pytest.raises(KitError, match="--label one: need two classes, there is x"):
        labels_of(Cells(cells.images_NCHW, cells.table.assign(one=["x"] * 59 + [""]), (0, 2)), "one", "")
    with pytest.raises(KitError, match="--leave-out plate is empty in row 4"):
        labels_of(Cells(cells.images_NCHW, cells.table.assign(plate=["p", "q", "", *GROUPS[3:]]), (0, 2)), "class", "plate")
    with pytest.raises(KitError, match="all labelled cells are of p; need two groups"):
        labels_of(Cells(cells.images_NCHW, cells.table.assign(plate="p"), (0, 2)), "class", "plate")


def test_tables():
    rng = np.random.default_rng(0)
    perfect = pd.get_dummies(LABELS).to_numpy(dtype=float)
    noise = [[rng.normal(size=(60, 4))] for _ in range(2)]
    sets = {"trained": [[perfect]] * 2, "random weights": noise, SHAPED: noise[:1], JOINED: [[perfect, noise[0][0]]] * 2}
    found = score(sets, LABELS, GROUPS)
    table = accuracies(found, LABELS)
    assert "| 60 cells of 2 classes, % | accuracy | mean recall |" in table
    assert f"| {GUESS} | 50.0 | 50.0 |" in table
    assert "| trained | 100.0 +- 0.0 | 100.0 +- 0.0 |" in table
    assert np.mean(found[NULL]) < 0.75
    assert "| p, one-sided, 12 groups |" in p_values(found, LABELS, GROUPS)
    assert how(LABELS, GROUPS, "plate").endswith("12 groups (plate) in 5 folds, none split.")
    assert how(np.where(GROUPS == "g3", "c", LABELS), GROUPS, "plate").endswith("Of one group alone, so never named: c.")
    assert "cells of one batch are alike" in how(LABELS, np.arange(60).astype(str), "")


def test_numbers_of_channels():
    assert [channel_numbers(text) for text in ("", "2", "0, 2")] == [(), (2,), (0, 2)]
    for text in ("0,,2", "-1", "DNA", "1,1"):
        with pytest.raises(UsageError, match="need numbers counted from 0"):
            channel_numbers(text)


def test_the_trial_runs_from_an_array_to_a_table(tmp_path, monkeypatch, capsys):
    cells = made_cells(12)
    np.savez(tmp_path / "cells.npz", images=cells.images_NCHW)
    cells.table.assign(plate=np.repeat(["p", "q", "r"], 4)).to_csv(tmp_path / "cells.csv", index=False)
    settings = ("train.max_steps=2", "train.batch=8", "train.warmup_steps=1", "crops.global_side=28", "model.position_side=28",
                "model.dim=24", "model.depth=1", "embed.side=28")  # fmt: skip
    command = ["kit.trials.cells", str(tmp_path / "cells.npz"), str(tmp_path / "cells.csv"), "--label", "class", "--leave-out",
               "plate", "--channels", "1", "--seeds", "1", "--out", str(tmp_path / "out")]  # fmt: skip

    def run(*more: str) -> None:
        monkeypatch.setattr(sys, "argv", [*command, *more])
        monkeypatch.delitem(sys.modules, "kit.trials.cells", raising=False)  # so that it runs as python -m does
        runpy.run_module("kit.trials.cells", run_name="__main__")

    run("--recipe", "demo,mae-small", *(word for value in settings for word in ("--set", value)))
    results = json.loads((tmp_path / "out" / "results.json").read_text())
    assert results["labels"] == LABELS[:12].tolist()
    assert set(results["correct"]) >= {
        GUESS, NULL, "trained", "random weights", "mae-small", "mae-small, random weights", "texture", SHAPED, JOINED,
    }  # fmt: skip
    text = capsys.readouterr().out
    assert "| 12 cells of 2 classes, % |" in text
    assert [line.split()[:2] for line in text.splitlines()[-2:]] == [["trained", "16"], ["mae-small", "16"]]
    with pytest.raises(SystemExit) as ended:
        run("--label", "klass")
    assert (ended.value.code, capsys.readouterr().err) == (
        2, "kit: --label klass: no such column; did you mean class?; the table has class, plate\n",
    )  # fmt: skip
    with pytest.raises(SystemExit):
        run("--images", "0", "--out", str(tmp_path / "other"))
    assert capsys.readouterr().err == "kit: --images 0: need a whole number, at least 1\n"
    assert not (tmp_path / "other").exists(), "refused before anything is packed"
