"""Tiles are disjoint, retrieval asks across regions, and the two trials run on files like the real ones."""

import json
import runpy
import sys

import numpy as np
import pandas as pd
import pytest
import tifffile

import kit
from kit.errors import KitError
from kit.trials.bbbc013 import read_wells, write_load_data
from kit.trials.sites import measure, retrieve, shuffled
from kit.trials.tiles import HELD_OUT, TRAIN, cut_tiles, places


@pytest.mark.parametrize(("side", "grid"), [(1080, 6), (101, 4), (7, 2)])
def test_tiles_are_disjoint_and_parts_are_regions(side, grid):
    table = places(side, grid)
    count = np.zeros((side, side), dtype=int)
    for tile in table.itertuples():
        count[tile.top : tile.top + tile.side, tile.left : tile.left + tile.side] += 1
    assert count.max() == 1
    assert count.sum() == (side // grid) ** 2 * grid**2
    train, held = table[table["part"] == TRAIN], table[table["part"] == HELD_OUT]
    assert (train["left"] + train["side"]).max() <= held["left"].min()
    upper, lower = held[held["half"] == 0], held[held["half"] == 1]
    assert (upper["top"] + upper["side"]).max() <= lower["top"].min()
    assert len(upper) == len(lower) == len(train) / 2


@pytest.mark.parametrize(("side", "grid"), [(100, 5), (100, 0), (5, 6)])
def test_a_grid_that_cannot_be_halved_is_refused(side, grid):
    with pytest.raises(KitError, match="even number"):
        places(side, grid)


def made_tiles() -> pd.DataFrame:
    table = pd.concat([places(60, 6).assign(site=f"P{number} A01") for number in range(8)], ignore_index=True)
    return table.rename(columns={"part": "plate"})


def test_perfect_vectors_find_their_site_and_shuffled_ones_do_not():
    tiles = made_tiles()
    vectors = np.eye(8)[tiles["site"].str[1].astype(int)]
    assert measure(vectors, "none", tiles) == {"right site": 1}
    found = [measure(vectors, "none", shuffled(tiles, seed))["right site"] for seed in range(30)]
    assert np.mean(found) == pytest.approx(1 / 8, abs=0.05)


def test_neighbours_within_a_half_and_on_the_training_side_do_not_count():
    tiles = made_tiles()
    number = tiles["site"].str[1].astype(int).to_numpy()
    half = np.where(tiles["plate"] == TRAIN, 1 - tiles["half"], tiles["half"])
    own = np.eye(16)[8 * half + number]  # a half is like itself and the training tiles beside the other, not like the other
    asked, named = retrieve(own + 1e-3 * np.random.default_rng(0).normal(size=own.shape), "none", tiles)
    assert len(asked) == 8 * 18
    assert np.mean(asked == named) < 0.3


def test_cut_tiles_are_the_pixels_of_their_sites(real_data, tmp_path):
    from kit.images.ingest.plan import IngestPlan
    from kit.images.ingest.run import ingest

    ingest(IngestPlan(real_data / "cpjump1_images", tmp_path / "sites", bits=16, plates=("BR00117010", "BR00117013")))
    work = kit.open(tmp_path / "sites")
    tiles = cut_tiles(work, ("DNA", "Mito"), 2, tmp_path / "tiles")
    assert tiles.groupby(["site", "plate"]).size().unique().tolist() == [2]
    assert not tiles.duplicated(["plate", "well"]).any()
    whole = work.read_counts("BR00117013", "D14", 5, "DNA")
    wells = tiles[tiles["site"] == "BR00117013 D14"].set_index(["plate", "half"])["well"]
    for (part, half), (top, left) in {(TRAIN, 0): (0, 0), (HELD_OUT, 0): (0, 540), (HELD_OUT, 1): (540, 540)}.items():
        image = tifffile.imread(tmp_path / "tiles" / part / f"{wells[part, half]}-DNA.tif")
        np.testing.assert_array_equal(image, whole[top : top + 540, left : left + 540])


def made_plate(folder):
    """Write 32 wells of BBBC013's layout, in which the positive control's GFP lies where the DNA is."""
    (folder / "images").mkdir(parents=True)
    rng, lines, number = np.random.default_rng(0), ["ImageNumber,Column,Row,SBS_Doses,SBS_Controls"], 0
    for row in "ABCDEFGH":
        for column, (level, control) in enumerate(
            [(0, -1), (3, 0), (6, 0), (10, 1)] if row <= "D" else [(10, 1), (3, 0), (6, 0), (0, -1)], 1
        ):
            number += 1
            lines.append(f"{number},{column:02d},{row},{level},{control}")
            dna = rng.integers(0, 200, (84, 84), dtype=np.uint8)
            for channel, image in ((1, dna if control == 1 else 255 - dna), (2, dna)):
                tifffile.imwrite(folder / "images" / f"Channel{channel}-{number:02d}-{row}-{column:02d}.tif", image)
    (folder / "1049_Metadata.csv").write_text("\n".join(lines) + "\n")


def test_the_dose_trial_runs_from_tiffs_to_a_table(tmp_path, monkeypatch, capsys):
    made_plate(tmp_path / "data")
    settings = ("train.max_steps=2", "train.batch=8", "train.warmup_steps=1", "crops.global_side=28", "model.position_side=28",
                "crops.global_area=[0.2,0.4]", "model.dim=24", "model.depth=1", "embed.side=84")  # fmt: skip
    command = ["kit.trials.bbbc013", str(tmp_path / "data"), "--seeds", "1", "--out", str(tmp_path / "out")]
    monkeypatch.setattr(sys, "argv", [*command, *(word for value in settings for word in ("--set", value))])
    monkeypatch.delitem(sys.modules, "kit.trials.bbbc013")  # so that it runs as python -m does

    def run() -> None:
        runpy.run_module("kit.trials.bbbc013", run_name="__main__")

    run()
    scores = json.loads((tmp_path / "out" / "results.json").read_text())["scores"]
    assert scores["correlations and skewness"]["centre"][0]["controls"] == 1
    assert "| trained |" in capsys.readouterr().out
    (tmp_path / "data" / "1049_Metadata.csv").unlink()
    with pytest.raises(SystemExit) as ended:
        run()
    assert (ended.value.code, capsys.readouterr().err.startswith("kit: no file")) == (1, True)


def test_the_load_data_of_the_real_plate_names_its_files(real_data, tmp_path):
    folder = real_data / "bbbc013_u2os_translocation"
    wells = read_wells(folder)
    write_load_data(folder, wells, tmp_path / "load_data.csv")
    table = pd.read_csv(tmp_path / "load_data.csv")
    assert len(table) == 96
    assert all((folder / "images" / name).is_file() for name in [*table["FileName_GFP"], *table["FileName_DNA"]])
    assert wells.groupby("drug")["control"].value_counts().unstack().to_numpy().tolist() == [[8, 36, 4], [8, 36, 4]]
