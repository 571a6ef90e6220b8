"""Features by cell: a site's vector is the mean of its cells' vectors, each worked out alone; what is kept and resumed."""

import json
import shutil
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch

import kit
from kit.config import CropsConfig, ViewsConfig
from kit.errors import KitError, UsageError
from kit.images.cells.table import WHO, write_cells
from kit.images.crops.frames import middle_px, shown_corners
from kit.model.checkpoint import load_backbone
from kit.model.vectors import site_vectors
from kit.profiles.by_cell import COUNT, CellChoice
from kit.profiles.embed import embed
from tests.commands import kit_command
from tests.images.made_work import CHANNELS, label, make_work
from tests.profiles.test_embed import put_run

PX = 20  # of crops
CELLS = {1: [(3.0, 4.0), (16.2, 15.9), (30.0, 8.0)], 2: [(10.0, 10.0)], 3: []}


@pytest.fixture(scope="module")
def template(tmp_path_factory):
    """Two plates of two wells of three sites of 32 px, of three, one and no cell; a tiny run."""
    path = tmp_path_factory.mktemp("template") / "work"
    work = make_work(path, wells=2, sites=3)
    label(path, "P1", "P2")
    for plate in work.plates:
        rows = [(plate, well, site, y, x) for _, well, site in work.sites.loc[work.sites[WHO[0]] == plate, WHO].to_numpy()
                for y, x in CELLS[site]]  # fmt: skip
        write_cells(work, plate, pd.DataFrame(rows, columns=[*WHO, "y", "x"]), {"made": 1})
    put_run(path, "run")
    return path


@pytest.fixture
def work(template, tmp_path):
    return kit.open(shutil.copytree(template, tmp_path / "work"))


def vectors_alone(work, plate, well, site, corners):
    """The vector of each square of a site, embedded in a batch of its own."""
    network, config, mean_C, sd_C = load_backbone(work.run_folder("run"))
    site_CHW = work.read_site(plate, well, site, CHANNELS)
    crops = [site_CHW[:, top : top + PX, left : left + PX] for top, left in corners]
    return np.stack([
        site_vectors(network, torch.from_numpy(crop.copy())[None], mean_C=mean_C.float(), sd_C=sd_C.float(),
                     side=config.embed.side, views=ViewsConfig()).numpy()[0] for crop in crops
    ])  # fmt: skip


def corners_by_hand(site):
    if not CELLS[site]:
        return [(top, left) for top in (0, 6, 12) for left in (0, 6, 12)]
    return [tuple(min(max(round(place) - PX // 2, 0), 32 - PX) for place in cell) for cell in CELLS[site]]


def test_a_site_is_the_mean_of_its_cells(work):
    done = embed(work, "run", cells=CellChoice(True, PX, keep=True))
    assert done.run == f"run-cells{PX}"
    assert done.text().splitlines()[1] == "16 cells of 12 sites, 20 px around each; 4 sites without a cell, shown as nine squares"
    features = work.features(f"run-cells{PX}")
    kept = pd.read_parquet(work.run_folder(f"run-cells{PX}") / "cells" / "P1.parquet")
    names = [name for name in features if name.startswith("f0")]
    for _, row in features[(features["Metadata_Plate"] == "P1") & (features["Metadata_Well"] == "A02")].iterrows():
        site = row["Metadata_Site"]
        assert row[COUNT] == len(CELLS[site])
        alone = vectors_alone(work, "P1", "A02", site, corners_by_hand(site))
        np.testing.assert_allclose(row[names].to_numpy(float), alone.mean(axis=0), atol=2e-6)
        of_cells = kept[(kept["Metadata_Well"] == "A02") & (kept["Metadata_Site"] == site)]
        np.testing.assert_allclose(of_cells[["y", "x"]], np.array(CELLS[site]).reshape(-1, 2))
        if CELLS[site]:
            np.testing.assert_allclose(of_cells[names], alone, atol=2e-6)
    assert len(kept) == 8


def test_a_well_is_the_mean_of_its_sites(work, tmp_path):
    name = embed(work, "run", tiles="turns", cells=CellChoice(True, PX)).run
    assert name == f"run-turns-cells{PX}"
    kit_command("profile", "--work", work.path, "--run", name, "--merge", "mean", "--out", tmp_path / "p.parquet")
    wells = pd.read_parquet(tmp_path / "p.parquet")
    features = work.features(name)
    sites = features[(features["Metadata_Plate"] == "P2") & (features["Metadata_Well"] == "A02")]
    row = wells[(wells["Metadata_Plate"] == "P2") & (wells["Metadata_Well"] == "A02")].iloc[0]
    numbers = [name for name in wells if not name.startswith("Metadata_")]
    width = len(numbers)  # cls and patch: the first two parts
    expected = sites[[f"f{index:04d}" for index in range(width)]].mean()
    np.testing.assert_allclose(row[numbers].to_numpy(float), expected, atol=1e-6)


def test_plates_that_are_done_are_kept_unless_their_cells_are_wanted(work):
    embed(work, "run", cells=CellChoice(True, PX))
    folder = work.run_folder(f"run-cells{PX}")
    facts = json.loads((folder / "features" / "features.json").read_text())
    assert facts["cells"] == {"px": PX, "from": [{"made": 1}]}
    assert embed(work, "run", cells=CellChoice(True, PX)).kept == 2
    assert embed(work, "run", cells=CellChoice(True, PX, keep=True)).kept == 0
    (folder / "cells" / "P2.parquet").write_bytes(b"PAR1")
    assert embed(work, "run", cells=CellChoice(True, PX, keep=True)).kept == 1
    write_cells(work, "P1", pd.DataFrame([("P1", "A01", 1, 5.0, 5.0)], columns=[*WHO, "y", "x"]), {"made": 2})
    assert embed(work, "run", cells=CellChoice(True, PX)).kept == 0  # other cells, other features


def test_names_and_what_is_shown_follow_the_training():
    cell, site = CropsConfig(around="cell"), CropsConfig()
    named = [(CellChoice(wanted, px), crops) for wanted, px in ((None, None), (True, None), (False, None), (None, 64))
             for crops in (site, cell)]  # fmt: skip
    assert [(choice.shown(crops), choice.suffix(crops)) for choice, crops in named] == [
        (False, ""), (True, ""), (True, "-cells"), (True, ""), (False, ""), (False, "-sites"),
        (True, "-cells64"), (True, "-cells64"),
    ]  # fmt: skip
    assert middle_px(replace(cell, global_area=(0.64, 0.64))) == 128  # Cell-DINO: 128 of 160
    assert middle_px(cell) == 160
    many = np.arange(20, dtype=np.float32).repeat(2).reshape(20, 2)
    assert shown_corners(many, 1, (40, 40), most=4).tolist() == [[0, 0], [5, 5], [10, 10], [15, 15]]


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (
            ["--cells", "--cell-px", "40"],
            2,
            "a crop of 40 px around a cell does not fit the sites of plate P1, 32 x 32 px: give a smaller one with --cell-px",
        ),
        (["--cells", "--cell-px", "0"], 2, "--cell-px 0: need pixels, 1 or more"),
        (["--no-cells", "--keep-cells"], 2, "--keep-cells goes with --cells, not with --no-cells"),
        (["--cells", "--cell-px", "20", "--tiles", "16"], 2, "--tiles 16 cuts sites, and cells are shown one by one"),
        (["--cells", "--baseline", "intensity"], 2, "--cells is for a network: --baseline intensity measures the whole site"),
    ],
)
def test_wrong_usage_is_one_line(template, words, code, says):
    assert says in kit_command("embed", "--work", template, "--run", "run", *words, code=code).stderr


def test_unknown_cells_are_said_before_anything_is_written(work):
    (work.path / "cells" / "P2.parquet").unlink()
    with pytest.raises(KitError, match="the cells of plate P2 are not known: find them with kit cells"):
        embed(work, "run", cells=CellChoice(True, PX))
    assert not work.run_folder(f"run-cells{PX}").exists()
    with pytest.raises(UsageError, match="--keep-cells"):
        CellChoice(False, None, True)
