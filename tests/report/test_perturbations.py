"""The section of perturbations: its numbers are those of the score, names are names, and what cannot be made is said."""

import json
import re
import shutil
import subprocess

import pandas as pd
import pytest

from kit.challenge.by_label import ByLabel
from kit.challenge.score import score
from kit.measures.section import Measures
from kit.profiles.table import write_profiles
from kit.report import perturbations, well_map
from kit.report.context import Context
from kit.report.perturbations import section, unique_names
from kit.report.rows_table import AT_ONCE, Cell, rows_table
from kit.report.well_map import MOST_NAMED, OTHER, map_table
from tests.companions.made import made
from tests.images.made_work import make_work


def context_of(tmp_path, profiles) -> Context:
    work = make_work(tmp_path / "work", wells=3, sites=1)
    write_profiles(profiles, tmp_path / "profiles.parquet")
    return Context(work=work, out=tmp_path / "report.html", profiles_path=tmp_path / "profiles.parquet")


def rows_of(html: str) -> list:
    return json.loads(re.search(r"rowsTable\(document.currentScript.parentElement, (.*), \[.*\], \d+\);", html)[1])


def test_the_table_holds_the_scores_numbers_and_pictures_of_the_nearest_wells(tmp_path, monkeypatch):
    pytest.importorskip("altair")
    monkeypatch.setattr(pytest.importorskip("vl_convert"), "vegalite_to_png", lambda *_, **__: b"")  # slow, and not asked here
    profiles = made(compound=1.5, plates=("P1", "P2"))
    profiles.who["Metadata_pert_iname"] = profiles.who["Metadata_broad_sample"].str.replace("BRD-", "drug ")
    context = context_of(tmp_path, profiles)
    map_of_wells, table, matrix = section(context).blocks
    result = score(profiles, sections=(ByLabel(), Measures()))
    own = pd.read_csv(context.files.folder / "perturbations.csv").set_index("label")
    assert own["accuracy"].to_dict() == pytest.approx(result["by_label"], abs=1e-4)
    assert own["map"].mean() == pytest.approx(result["map"]["activity"]["U2OS"]["value"], abs=1e-4)
    assert own["map"].is_monotonic_decreasing
    rows = rows_of(table.html)
    assert [row[0] for row in rows] == own["name"].tolist()
    assert own.loc["BRD-03", "name"] == "drug 03"
    assert rows[0][2] == round(100 * own["accuracy"].iloc[0], 1)
    pictured = [(row[0], said) for row in rows for said in (row[6][1] if isinstance(row[6], list) else [])]
    assert pictured  # of the wells that this store has
    assert all(re.fullmatch(r"drug \d\d, P[12] A0[123]", said[1]) for _, said in pictured)
    assert len(map_of_wells.table) == len(profiles.who)
    assert set(map_of_wells.table["perturbation"]) == {"control", *own["name"]}
    assert len(matrix.table) == 16 * 16
    assert matrix.table.query("perturbation == beside")["cosine"].eq(1).all()


def test_one_plate_has_map_and_likeness_but_nothing_recognised(tmp_path, monkeypatch):
    for module in (perturbations, well_map):
        monkeypatch.setattr(module, "well_maps" if module is perturbations else "chart", lambda *_, **__: [])
    monkeypatch.setattr(perturbations, "alike", lambda *_, **__: None)
    context = context_of(tmp_path, made(compound=1.5, plates=("P1",)))
    table = section(context).blocks[0]
    own = pd.read_csv(context.files.folder / "perturbations.csv")
    assert own["accuracy"].isna().all()
    assert own["map"].notna().all()
    assert {row[2] for row in rows_of(table.html)} == {""}


def test_without_profiles_it_is_said_how_to_make_them(tmp_path):
    context = Context(work=make_work(tmp_path / "work", wells=1, sites=1), out=tmp_path / "report.html")
    assert [block.kind for block in section(context).blocks] == ["missing", "missing"]


def test_labels_that_share_a_name_are_told_apart():
    assert unique_names({"B1": "x", "B2": "x", "B3": "y"}) == {"B1": "x (B1)", "B2": "x (B2)", "B3": "y"}


def test_the_map_names_only_as_many_as_can_be_told_apart():
    profiles = made(plates=("P1",))
    table = map_table(profiles, "Metadata_broad_sample", ["BRD-03", "BRD-07"])
    assert set(table["named"]) == {"BRD-03", "BRD-07", "control", OTHER}
    assert (table["perturbation"] == "control").sum() == 12
    assert set(map_table(profiles, "Metadata_broad_sample", [f"none {i}" for i in range(MOST_NAMED)] + ["BRD-03"])["named"]) == {
        "control",
        OTHER,
    }


def made_rows(tmp_path, count=50) -> str:
    rows = [[Cell(f"<b>{number}"), Cell(number if number else ""), Cell("", (("data:,a", "well"),))] for number in range(count)]
    files = Context(work=None, out=tmp_path / "report.html").files
    table = pd.DataFrame({"name": range(count)})
    return rows_table(files, "mine", ["name", "number", "wells"], rows, table, title="T", caption="C").html


def test_a_long_table_stands_in_the_page_once_and_its_pictures_too(tmp_path):
    html = made_rows(tmp_path)
    assert html.count("<tr>") == 1 + AT_ONCE
    assert "<b>3" not in html.partition("<script>")[0]
    assert html.count("data:,a") == 1
    assert [row[1] for row in rows_of(html)] == ["", *range(1, 50)]
    assert len(pd.read_csv(tmp_path / "report_files" / "mine.csv")) == 50


@pytest.mark.slow
def test_the_reader_sorts_and_searches_in_a_browser(tmp_path):
    browser = shutil.which("chromium")
    if browser is None:
        pytest.skip("chromium is not installed: apt-get install chromium")
    ask = """<script>
    const [name, number] = document.querySelectorAll("th button"), find = document.querySelector("input"), said = [];
    const rows = () => [...document.querySelectorAll("tbody tr")];
    const see = () => said.push(rows().slice(0, 3).map(row => row.cells[1].textContent).join(" "));
    number.click(); see(); number.click(); see(); name.click(); see();
    find.value = "B>4"; find.dispatchEvent(new Event("input")); see();
    said.push(rows().length, document.querySelector("tbody img").title);
    document.title = said.join("|");
    </script>"""
    (tmp_path / "p.html").write_text(f"<!doctype html><body>{made_rows(tmp_path)}{ask}")
    done = subprocess.run(
        [browser, "--headless", "--no-sandbox", "--disable-gpu", "--dump-dom", f"file://{tmp_path / 'p.html'}"],
        capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip
    assert re.search("<title>(.*)</title>", done.stdout)[1] == "49 48 47|1 2 3| 1 2|4 40 41|11|well"
