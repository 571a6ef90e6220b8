"""kit cells at the command line: what is written, what is kept, what a kill leaves, what another tool's table must say."""

import re
import shutil

import numpy as np
import pandas as pd
import pytest

import kit
from kit.errors import KitError
from kit.images.cells.table import CellsOfSites, cells_path, has_cells, read_cells
from kit.images.store.parts import link_store
from tests.commands import kit_command
from tests.images import made_work
from tests.images.made_work import change_table

SIDE = 48


def spots(places, side=SIDE):
    y, x = np.mgrid[:side, :side]
    light = np.zeros((side, side))
    for cy, cx in places:
        light = np.maximum(light, np.clip(5 - np.hypot(y - cy, x - cx) + 0.5, 0, 1))
    return (20 + 180 * light).astype(np.uint8)


PLACES = {1: [(14, 12), (30, 33)], 2: [(20, 20)], 3: []}


@pytest.fixture(scope="module")
def template(tmp_path_factory):
    """Two plates of two wells of three sites, of two, one and no nucleus; AGP shows them."""

    def site(plate, well, number, side):
        plane = spots(PLACES[number])
        return np.stack([np.full_like(plane, 7), plane, np.zeros_like(plane)])

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(made_work, "made_site", site)
        return made_work.make_work(tmp_path_factory.mktemp("template") / "work", wells=2, sites=3, side=SIDE).path


@pytest.fixture
def work(template, tmp_path):
    return kit.open(shutil.copytree(template, tmp_path / "work"))


def test_cells_are_found_stored_and_kept(work):
    said = kit_command("cells", work.path, "--nuclei", "AGP").stdout
    assert said.splitlines() == [
        "nuclei of AGP",
        "P1: 6 cells in 6 sites, 1 a site (0 to 2); 2 sites without a cell",
        "P2: 6 cells in 6 sites, 1 a site (0 to 2); 2 sites without a cell",
    ]
    cells = read_cells(work, ["P1", "P2"])
    for (_, _, number), rows in cells.groupby(["Metadata_Plate", "Metadata_Well", "Metadata_Site"]):
        np.testing.assert_allclose(sorted(rows[["y", "x"]].to_numpy().tolist()), PLACES[number], atol=0.1)
    stored = pd.read_parquet(cells_path(work, "P1"))
    assert list(stored)[:5] == ["Metadata_Plate", "Metadata_Well", "Metadata_Site", "y", "x"]
    assert {"area_px", "diameter_px"} <= set(stored)
    before = cells_path(work, "P1").stat().st_mtime_ns
    cells_path(work, "P2").write_bytes(b"PAR1half")  # not ours: a damaged file is made again
    assert "1 plate had them already" in kit_command("cells", work.path, "--nuclei", "AGP").stdout
    assert cells_path(work, "P1").stat().st_mtime_ns == before
    assert len(read_cells(work, ["P2"])) == 6


def test_a_kill_leaves_whole_plates(work, monkeypatch):
    import kit.images.cells.run as run

    def stop(*_):
        raise KeyboardInterrupt

    plain = run.write_cells
    monkeypatch.setattr(run, "write_cells", lambda *given: plain(*given) if given[1] == "P1" else stop())
    kit_command("cells", work.path, "--nuclei", "AGP", code=130)
    assert [path.name for path in (work.path / "cells").iterdir()] == ["P1.parquet"]
    with pytest.raises(KitError, match=r"^the cells of plate P2 are not known: find them with kit cells"):
        read_cells(work, ["P1", "P2"])
    monkeypatch.setattr(run, "write_cells", plain)
    assert "1 plate had them already" in kit_command("cells", work.path, "--nuclei", "AGP").stdout


def test_cells_of_other_pixels_do_not_count(work):
    kit_command("cells", work.path, "--nuclei", "AGP")
    change_table(work.path, "P1", lambda table: table.assign(Metadata_dose=1))  # a label changes no pixel
    assert has_cells(kit.open(work.path), "P1")
    change_table(work.path, "P1", lambda table: table.assign(AGP_crc=table["AGP_crc"] + 1))
    anew = kit.open(work.path)
    assert has_cells(anew, "P2")
    assert not has_cells(anew, "P1")
    with pytest.raises(KitError, match="plate P1 are of other pixels than those stored now"):
        read_cells(anew, ["P1"])


def test_linked_plates_bring_their_cells(work, tmp_path):
    kit_command("cells", work.path, "--nuclei", "AGP")
    link_store(work.path, tmp_path / "linked")
    linked = kit.open(tmp_path / "linked")
    pd.testing.assert_frame_equal(read_cells(linked, ["P1"]), read_cells(work, ["P1"]))


def test_a_damaged_site_has_no_cells_and_is_named(work):
    shard = work.container("P1").shard("A01")
    shard.write_bytes(shard.read_bytes()[:-40])
    said = kit_command("cells", work.path, "--nuclei", "AGP")
    assert "P1: 3 cells in 6 sites" in said.stdout
    assert "no cells of plate P1 well A01 site 1: " in said.stderr


def test_sites_know_their_cells():
    who = ["Metadata_Plate", "Metadata_Well", "Metadata_Site"]
    sites = pd.DataFrame([("P", "A01", 1), ("P", "A01", 2), ("P", "B01", 1)], columns=who)
    cells = pd.DataFrame([("P", "B01", 1, 1, 2), ("P", "Z01", 1, 9, 9), ("P", "A01", 1, 3, 4), ("P", "B01", 1, 5, 6)],
                         columns=[*who, "y", "x"])  # fmt: skip
    found = CellsOfSites.of(sites, cells)
    assert [found.places(row).tolist() for row in range(3)] == [[[3, 4]], [], [[1, 2], [5, 6]]]


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--nuclei", "DNA"], "--nuclei DNA: .* has no such channel"),
        ([], "none of the channels Mito, AGP, RNA is named after a nuclear stain"),
        (["--nuclei", "AGP", "--plates", "P3"], "plate P3 is not in"),
        (["--nuclei", "AGP", "--jobs", "0"], "--jobs 0: need at least 1"),
        (["--images", "Image.csv"], "--images goes with --locations"),
        (["--locations", "x.csv", "--bodies", "RNA"], "--nuclei and --bodies find cells in the pixels"),
        (["--locations", "x.csv"], "x.csv does not exist"),
    ],
)
def test_wrong_usage_is_one_line(template, words, says):
    said = kit_command("cells", template, *words, code=2).stderr
    assert len(said.splitlines()) == 1
    assert re.search(says, said), said


def test_a_channel_without_nuclei_is_said(work):
    assert "not one cell in 2 plates" in kit_command("cells", work.path, "--nuclei", "RNA", code=1).stderr
