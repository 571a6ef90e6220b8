"""The trial on fields: its table, its weeks and its text; training apart."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import tifffile

from kit.errors import KitError, UsageError
from kit.images.source.folders import ImageFile, Reader
from kit.images.source.load_data import images_of, read_load_data
from kit.trials.fields import (
    JOINED,
    NULL,
    accuracies,
    choose_weeks,
    confounds,
    p_values,
    read_fields,
    score,
    second_network,
    side_by_side,
    write_load_data,
)
from tests.trials.test_weeks import WELLS, one_hot

TABLE = """index,file,plate,well,site,compound,concentration,moa,week,min_actin,min_dna
0,images/0.tif,p1,A01,1,x,0.10,m,Week1,3,4
1,images/1.tif,p2,A01,1,x,0.10,m,Week1,3,4
2,images/2.tif,p2,A02,1,y,3.0,n,Week2,3,4
3,images/3.tif,p3,A03,1,z,3.0,n,Week2,3,4
"""

WORK = SimpleNamespace(channels=("ch1", "ch2"))


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "images.csv").write_text(TABLE)
    return tmp_path


def test_the_table_is_read_as_text_and_names_the_planes(folder):
    fields, planes = read_fields(folder)
    assert planes == ("actin", "dna")
    assert fields["treatment"].tolist() == ["x 0.10", "x 0.10", "y 3.0", "z 3.0"]
    write_load_data(folder, fields, planes, folder / "load_data.csv")
    file = ImageFile(str(folder / "load_data.csv"))
    rows = read_load_data(file, Reader())
    images = images_of(rows[rows["plate"] == "p1"], file)
    assert {(key, name, image.plane) for key, files in images.items() for name, image in files.items()} == {
        (("A01", 1), "actin", 1), (("A01", 1), "dna", 2),
    }  # fmt: skip


def test_weeks_of_several_compounds_are_scored(folder):
    fields, _ = read_fields(folder)
    assert choose_weeks(fields, "") == ["Week2"]
    assert choose_weeks(fields, " Week2,") == ["Week2"]
    with pytest.raises(UsageError, match="--weeks Week7: no such week; there are Week1, Week2"):
        choose_weeks(fields, "Week7")
    with pytest.raises(KitError, match=r"x on plate p1 has no well of another compound on another plate of Week1"):
        choose_weeks(fields, "Week1, Week2")  # before anything is trained
    with pytest.raises(UsageError, match="no week has two compounds"):
        choose_weeks(fields[fields["week"] == "Week1"], "")


def test_planes_without_names_are_numbered(folder):
    (folder / "images.csv").write_text(TABLE.replace(",min_actin,min_dna", "").replace(",3,4", ""))
    with pytest.raises(UsageError, match=r"0.tif does not exist.*images.csv names it"):
        read_fields(folder)
    (folder / "images").mkdir()
    planes = np.zeros((3, 8, 8), np.uint8)
    tifffile.imwrite(folder / "images" / "0.tif", planes, photometric="minisblack", metadata={"axes": "CYX"})
    assert read_fields(folder)[1] == ("ch1", "ch2", "ch3")
    tifffile.imwrite(folder / "images" / "0.tif", planes, photometric="minisblack", metadata={"axes": "ZYX"})
    with pytest.raises(KitError, match=r"0.tif: a z-stack.*columns min_<channel> of images.csv name its planes"):
        read_fields(folder)


def test_what_is_missing_is_named(folder):
    (folder / "images.csv").write_text(TABLE.replace(",moa,", ",mechanism,"))
    with pytest.raises(KitError, match=r"images.csv has no column moa"):
        read_fields(folder)
    (folder / "images.csv").write_text(TABLE.replace("x,0.10", ",0.10", 1))
    with pytest.raises(KitError, match=r"images.csv, row 2: compound is empty"):
        read_fields(folder)


def test_tables():
    rng = np.random.default_rng(0)
    noise = [[rng.normal(size=(len(WELLS), 4))] for _ in range(2)]
    sets = {"trained": [[one_hot("treatment")]] * 2, "texture": [[one_hot("compound")]], "random weights": noise}
    sets[JOINED] = [[*sets["trained"][0], *sets["texture"][0]]] * 2
    found = score(sets, WELLS)
    tables = accuracies(found, WELLS)
    assert [table.split(",")[0] for table in tables] == ["| w1", "| w2", "| all"]
    assert "| trained | 100.0 +- 0.0 | 100.0 +- 0.0 |" in tables[-1]
    assert "| guess by week | 25.0 | 12.5 | 33.3 |" in tables[-1]
    assert np.mean([seed["treatment"] for seed in found[NULL]]) == pytest.approx(1 / 8, abs=0.06)
    assert "| trained above random weights | 0.000 | 0.000 |" in p_values(found, WELLS)
    assert "both networks" not in p_values(found, WELLS)
    both = p_values(found | {"both networks": found["trained"], "both networks, random weights": found["random weights"]}, WELLS)
    assert "| both networks above both networks, random weights | 0.000 | 0.000 |" in both
    wells = WELLS.assign(well="A01")
    assert confounds(wells).startswith("Position and treatment are confounded")
    moved = pd.concat([wells.iloc[:-1], wells.iloc[-1:].assign(well="B02")])
    assert confounds(moved).startswith("15 of 16 treatments keep their well")


def test_two_networks_stand_side_by_side_seed_by_seed():
    names = ("trained", "random weights", "second network", "second network, random weights")
    blocks = {name: [[np.full((1, 1), 10 * at + seed)] for seed in range(2)] for at, name in enumerate(names)}
    blocks["texture"] = [[np.full((1, 1), 99)]]
    found = {name: [[int(block[0, 0]) for block in of] for of in seeds] for name, seeds in side_by_side(blocks).items()}
    assert found == {
        "both networks, random weights": [[10, 30], [11, 31]],
        "both networks": [[0, 20], [1, 21]],
        "both networks + texture": [[0, 20, 99], [1, 21, 99]],
        "trained + texture": [[0, 99], [1, 99]],
    }
    assert set(side_by_side({name: blocks[name] for name in ("trained", "random weights", "texture")})) == {"trained + texture"}


@pytest.mark.parametrize("join", ["", "demo 'x", "demo,energy model.dim=96"])
def test_a_second_network_is_one_recipe_with_its_settings(join):
    with pytest.raises(UsageError, match=r"^--join .*: (need a recipe and its settings|one recipe, not 2)"):
        second_network(join, [0], WORK, 0)


def test_a_second_network_has_settings_of_its_own():
    first, second = second_network("demo crops.global_side=56 model.dim=48", [3, 4], WORK, 0)
    assert (first.crops.global_side, first.model.dim, first.embed.side) == (56, 48, 392)  # behind the trial's own
    assert (first.seed, second.seed, first.channels) == (3, 4, ("ch1", "ch2"))
