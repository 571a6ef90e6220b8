"""What stands in the sections: values by laws and worked cases; what is missing says how to make it."""

import json
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import kit
from kit.challenge.null import align_beside_noise
from kit.profiles.table import write_profiles
from kit.report import alignment, cells, compared, coverage, meaning, scores
from kit.report.blocks import Missing
from kit.report.charts import INSTALL, chart, in_script
from kit.report.context import Context, ScoreFile, read_scores
from kit.report.coverage import layouts
from kit.report.figures import Files
from kit.report.set_aside import faults
from kit.report.strength import strengths
from kit.report.tiles import Tile, read_tile, windows
from tests.companions.made import made
from tests.images.made_work import change_table, label, make_work


def context(work, **known) -> Context:
    return Context(work=work, out=work.path.parent / "report.html", **known)


@pytest.fixture(scope="module")
def work(tmp_path_factory):
    """Two plates of three wells and two sites; A01 is the control."""
    path = tmp_path_factory.mktemp("report") / "work"
    make_work(path, wells=3, sites=2)
    label(path, "P1", "P2")
    for plate in ("P1", "P2"):
        change_table(path, plate, lambda table: table.assign(Metadata_is_control=table["Metadata_Well"] == "A01"))
    return kit.open(path)


def test_alignment_is_that_of_features_and_noise(tmp_path):
    """The rows that are not worked out anew included."""
    profiles = made(compound=0.6, position=0.3)
    make_work(tmp_path / "work", plates=("P1", "P2"), wells=1, sites=1)
    write_profiles(profiles, tmp_path / "p.parquet")
    table = alignment.section(context(kit.open(tmp_path / "work"), profiles_path=tmp_path / "p.parquet")).blocks[1]
    wanted = align_beside_noise(profiles, None)
    assert [row[-1] for row in table.rows] == [f"{100 * scores['mean']:.1f}" for scores in wanted.values()]
    assert float(table.rows[5][-1]) > 3 * float(table.rows[1][-1])  # noise, aligned by 0.7 and not at all


def test_profiles_that_are_aligned_are_not_aligned_again(tmp_path, work):
    profiles = made()
    aligned = profiles.after(profiles.features_MF, step="align", a=0.9, uses_well_position=True)
    write_profiles(aligned, tmp_path / "p.parquet")
    [missing] = alignment.section(context(work, profiles_path=tmp_path / "p.parquet")).blocks
    assert "aligned already" in missing.how


def test_the_strongest_perturbation_comes_first(tmp_path, work):
    profiles = made()
    who = profiles.who["Metadata_broad_sample"]
    moved = profiles.features_MF + 5.0 * (who == "BRD-07").to_numpy()[:, None] + 2.0 * (who == "BRD-03").to_numpy()[:, None]
    write_profiles(profiles.after(moved, step="moved"), tmp_path / "p.parquet")
    ranked, said = strengths(context(work, profiles_path=tmp_path / "p.parquet"))
    assert ranked["label"].tolist()[:2] == ["BRD-07", "BRD-03"]
    assert ranked["strength"].iloc[0] == pytest.approx(5, rel=0.2)  # control standard deviations
    assert said == "p.parquet"


def test_a_tile_holds_the_counts_and_the_same_counts_look_the_same():
    """Two images of different black and white: a count is the same shade in both."""
    dim = Tile(("DNA",), np.array([[[100.0, 150.0], [200.0, 300.0]]], dtype=np.float32))
    bright = Tile(("DNA",), np.array([[[200.0, 300.0], [1000.0, 1100.0]]], dtype=np.float32))
    window = windows([dim, bright])
    shown = [tile.shown(window)[1] for tile in (dim, bright)]
    assert (shown[0][1] == shown[1][0]).all()  # 200 and 300
    assert shown[0].max() < shown[1].max() == 255


def test_a_tile_is_the_middle_of_a_site_in_counts(work):
    tile = read_tile(work, "P1", "A02", 1, ("Mito", "RNA"))
    row = work.sites.query("Metadata_Plate == 'P1' and Metadata_Well == 'A02' and Metadata_Site == 1").iloc[0]
    levels = work.read_site("P1", "A02", 1, ["Mito", "RNA"]).astype(float)
    assert tile.counts_CPP.shape == (2, 32, 32)
    wanted = row["RNA_black"] + levels[1] / 255 * (row["RNA_white"] - row["RNA_black"])
    np.testing.assert_allclose(tile.counts_CPP[1], wanted, rtol=1e-5)


def test_the_sheet_shows_control_and_perturbations_of_each_group(work):
    section = cells.section(context(work))
    assert [block.title for block in section.blocks] == ["A549", "U2OS"]
    names = [picture.title for picture in section.blocks[0].pictures]
    assert (names[0], set(names[1:])) == ("control", {"BRD-A02", "BRD-A03"})
    drawn = pd.read_csv(work.path.parent / "report_files" / "cells_U2OS.csv")
    assert drawn["Metadata_Plate"].tolist() == ["P1"] * 3
    assert drawn["Mito white"].nunique() == 1  # one scale a plate


def test_the_sheet_says_how_many_it_shows_where_profiles_know_more(tmp_path, work):
    profiles = made()  # of U2OS, sixteen perturbations; two of them in this store
    names = {"BRD-07": "BRD-A02", "BRD-03": "BRD-A03"}
    who = profiles.who.assign(Metadata_broad_sample=profiles.who["Metadata_broad_sample"].replace(names))
    write_profiles(replace(profiles, who=who), tmp_path / "p.parquet")
    block = cells.section(context(work, profiles_path=tmp_path / "p.parquet")).blocks[1]
    assert {picture.title for picture in block.pictures} == {"control", "BRD-A02", "BRD-A03"}
    assert block.caption.startswith("Control and the 2 perturbations of this store farthest from the controls, by p.parquet.")


def test_wells_that_nobody_labelled_are_shown_under_their_own_names(tmp_path):
    made_plate = make_work(tmp_path / "work", plates=("P1",), wells=11, sites=1)
    [block] = cells.section(context(made_plate)).blocks
    assert [picture.title for picture in block.pictures] == ["A01", "A03", "A05", "A07", "A09", "A11"]
    assert block.caption.startswith("The sharpest site of some wells, its middle 32 px")


def test_layouts_group_plates_whose_sites_lie_alike():
    rows = [(plate, well, site, x) for plate, shift in (("P1", 0), ("P2", 0), ("P3", 50)) for well in "AB"
            for site, x in ((1, 0.0 + shift), (2, 100.0)) if (plate, well, site) != ("P2", "B", 2)]  # fmt: skip
    sites = pd.DataFrame(rows, columns=["Metadata_Plate", "Metadata_Well", "Metadata_Site", "x_um"]).assign(y_um=0.0)
    found = layouts(sites)
    assert [plates for plates, _ in found] == [["P1", "P2"], ["P3"]]
    assert found[0][1]["share"].tolist() == [1.0, 0.75]


def test_every_fault_is_listed_with_its_reason(tmp_path):
    make_work(tmp_path / "work", wells=3, sites=2)

    def change(table):
        table = table.assign(focus=[0.4, 1, 1, 1, 1, 1], empty=[False, False, True, False, False, False])
        table.loc[3, "channels"] = "Mito,AGP"
        return table.assign(Metadata_broad_sample=["a", "a", "b", "b", "", ""], Metadata_is_control=False).drop(index=1)

    bad = [{"path": "x.tiff", "reason": "cut short"}]
    change_table(tmp_path / "work", "P1", change, bad=bad)
    found = faults(context(kit.open(tmp_path / "work").only(["P1"])))
    assert found[["well", "site", "what", "why"]].to_numpy().tolist() == [
        ["A01", "2", "site missing", ""],
        ["A02", "2", "site lacks a channel", "RNA"],
        ["A02", "1", "empty site", ""],
        ["A01", "1", "blurred site", ""],
        ["", "", "image set aside", "x.tiff: cut short"],
        ["A03", "", "well without a label", ""],
    ]


def test_without_score_and_features_the_page_says_what_to_do(work):
    here = context(work)
    for module in (scores, meaning, alignment, compared, coverage):
        [block] = module.section(here).blocks
        said = getattr(block, "how", "") or block.text
        assert "kit " in said, module


def test_a_score_that_names_its_profiles_relative_to_itself_finds_them(tmp_path, work):
    (tmp_path / "profiles").mkdir()
    write_profiles(made(), tmp_path / "profiles" / "p.parquet")
    result = {"directions": {}, "mean": None, "mean_of": []}
    file = ScoreFile(tmp_path / "score.json", {"profiles/p.parquet": result})
    assert context(work, scores=(file,)).profiles.said == "p.parquet"


def test_scores_are_read_once_from_work_and_page(tmp_path):
    (tmp_path / "score.json").write_text('{"schema": 1, "directions": {}}')
    (tmp_path / "score_other.json").write_text('{"schema": 2}')
    assert [file.path.name for file in read_scores([tmp_path, Path(tmp_path)])] == ["score.json"]


def test_without_altair_a_chart_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "altair", None)
    found = chart(Files(tmp_path), "map", lambda altair: None, pd.DataFrame(), alt="", caption="", title="A map")
    assert found == Missing("A map, as a chart that answers to the pointer", INSTALL)
    assert "cellpaint-kit[report]" in INSTALL


def test_a_script_cannot_be_closed_by_a_name():
    text = in_script({"name": "</script><!-- x"})
    assert "</script" not in text
    assert "<!--" not in text
    assert json.loads(text) == {"name": "</script><!-- x"}


def test_a_group_may_be_named_as_no_file_can_be(tmp_path):
    make_work(tmp_path / "work", plates=("P1",), lines=("24 h/10 µM",), wells=2, sites=1)
    label(tmp_path / "work", "P1")
    [block] = cells.section(context(kit.open(tmp_path / "work"))).blocks
    assert (block.title, block.name) == ("24 h/10 µM", "cells_24-h-10-M")
    assert (tmp_path / "report_files" / "cells_24-h-10-M.png").is_file()
