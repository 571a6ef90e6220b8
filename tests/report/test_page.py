"""The page holds the numbers it is made from, and needs nothing from elsewhere."""

import base64
import html
import io
import json
import re

import numpy as np
import pandas as pd
import pytest
from matplotlib import colormaps

import kit
from kit.challenge.score import score, write_scores
from kit.companions.beside_table import beside_table
from kit.errors import KitError
from kit.report import plates, scores, training
from kit.report.figures import Files
from kit.report.page import report
from kit.report.plate_maps import plate_maps
from tests.challenge.conftest import compound_of_well, make_table
from tests.companions.made import made
from tests.images.made_work import CHANNELS, change_table, make_work


def page(work, out, *sections) -> str:
    """The page of these sections as text, its cells without attributes."""
    wanted = sections or (scores, plates, training)
    return re.sub(r"<td [^>]*>", "<td>", report(work, out, sections=[one.section for one in wanted]).read_text())


@pytest.fixture
def undrawn(monkeypatch):
    """Without bars, where a test reads words."""
    monkeypatch.setattr(scores, "bars", lambda *_: [])


@pytest.fixture
def work(tmp_path):
    make_work(tmp_path / "work", wells=3, sites=2)

    def change(table: pd.DataFrame) -> pd.DataFrame:
        table = table.assign(Metadata_Batch="MADE_7", position_source="load_data", Mito_mean=np.arange(len(table), dtype=float))
        table.loc[1, "channels"] = "Mito"
        return table if (table["Metadata_Plate"] == "P1").all() else table.drop(index=3)

    for plate in ("P1", "P2"):
        change_table(tmp_path / "work", plate, change)
    folder = tmp_path / "work" / "runs" / "fluo"
    folder.mkdir(parents=True)
    (folder / "metrics.jsonl").write_text(
        '{"step": 10, "loss": 4.5, "minutes": 0.1}\n{"step": 20, "loss": 3.25, "minutes": 0.2}\n{"st'
    )
    return kit.open(tmp_path / "work")


def test_the_page_shows_plates_runs_and_scores(work, metadata, tmp_path):
    result = score(make_table(), metadata)
    write_scores({"schema": 1, "files": {"mine <b>": result}}, tmp_path / "score.json")
    text = page(work, tmp_path / "report.html")
    assert "mine &lt;b&gt;" in text
    for name, direction in result["directions"].items():
        assert f"<td>{100 * direction['accuracy']:.1f}</td>" in text, name
    assert "<td>10.00</td>" in text  # chance
    assert "<td>P1</td><td>MADE_7</td><td>U2OS</td><td>3</td><td>6</td><td>0</td><td>1</td><td>load_data</td>" in text
    assert "<td>P2</td><td>MADE_7</td><td>A549</td><td>3</td><td>5</td><td>1</td><td>1</td>" in text
    assert "<td>20</td><td>3.250</td><td>0.2</td>" in text
    assert "Made plates (batch MADE_7)" in text
    assert not re.search(r'(src|href)="(?!data:|#)', text)


@pytest.mark.usefixtures("undrawn")
def test_a_direction_without_a_score_is_no_row_but_a_reason(work, metadata, tmp_path):
    result = score(make_table(), metadata)
    result["directions"]["U2OS->HeLa"] = {"accuracy": None, "reason": "no HeLa"}
    write_scores(result, tmp_path / "score.json")
    text = page(work, tmp_path / "report.html", scores)
    assert "<p>U2OS-&gt;HeLa: no HeLa</p>" in text
    assert "<td>U2OS-&gt;A549</td>" in text
    assert "<td>U2OS-&gt;HeLa</td>" not in text


def test_a_lab_without_cell_lines_has_labels_all_the_same(tmp_path):
    make_work(tmp_path / "work", wells=1, sites=1)
    change_table(tmp_path / "work", "P1", lambda table: table.drop(columns="Metadata_Cell_type").assign(Metadata_gene="TP53"))
    change_table(
        tmp_path / "work", "P2", lambda table: table.drop(columns="Metadata_Cell_type").assign(Metadata_is_control=False)
    )
    text = page(kit.open(tmp_path / "work"), tmp_path / "report.html", plates)
    assert "<td>P1</td><td>-</td><td>-</td>" in text
    assert "<td>P2</td><td>-</td><td>unlabelled</td>" in text


def test_a_plate_is_drawn_with_its_wells_at_their_places(work, tmp_path):
    """Three wells in A01, A02 and A03 of a plate of 2 x 3; their numbers rise from P1 to P2, and P2 has no A03."""
    from PIL import Image

    wells = work.wells[["Metadata_Plate", "Metadata_Well"]].assign(number=[0.0, 1, 2, 3, 4, np.nan])
    block = plate_maps(Files(tmp_path / "files"), "map", wells, "number", title="Number <b>", caption="Told.")
    assert [picture.title for picture in block.pictures] == ["P1", "P2", ""]
    found = [re.search(r"data:image/png;base64,([A-Za-z0-9+/=\s]+)", picture.html)[1] for picture in block.pictures[:2]]
    pixels = [np.array(Image.open(io.BytesIO(base64.b64decode(one)))) for one in found]
    shades = colormaps["cividis"](np.linspace(0, 1, 5), bytes=True).tolist()
    clear = [0, 0, 0, 0]
    assert pixels[0].tolist() == [shades[:3], [clear] * 3]  # row B has no well
    assert pixels[1].tolist() == [[*shades[3:], clear], [clear] * 3]
    assert "Plate P2, Number &lt;b&gt;: 2 wells, median 3.5, from 3 to 4" in block.pictures[1].html
    pd.testing.assert_frame_equal(pd.read_csv(tmp_path / "files" / "map.csv"), wells)
    drawn = np.array(Image.open(tmp_path / "files" / "map.png").convert("RGB"))
    assert drawn.shape[1] > 700
    assert all((drawn == shade[:3]).all(axis=2).sum() > 8000 for shade in shades)  # a well has 91 x 91 pixels there


@pytest.mark.usefixtures("undrawn")
def test_scores_that_used_the_position_say_so(work, metadata, tmp_path):
    result = {**score(make_table(), metadata), "uses_well_position": True}
    write_scores(result, tmp_path / "score.json")
    text = page(work, tmp_path / "report.html", scores)
    assert "k-NN accuracy *" in text
    assert "pure noise scores high" in text


def test_a_damaged_score_file_is_named(work, tmp_path):
    (tmp_path / "score.json").write_text(json.dumps({"schema": 1})[:-1])
    with pytest.raises(KitError, match=r"score\.json is not valid JSON"):
        report(work, tmp_path / "report.html")
    assert not (tmp_path / "report.html").exists()
    assert CHANNELS[2] == "RNA"


@pytest.mark.usefixtures("undrawn")
def test_many_groups_stand_one_below_the_other(work, tmp_path):
    lines = {
        plate: line
        for line, plates in {"HeLa": ("U1", "U2"), "HEK": ("A1", "A2"), "MCF7": ("A3", "A4")}.items()
        for plate in plates
    }
    table = make_table(tuple(lines)).assign(Metadata_drug=lambda own: own["Metadata_Well"].map(compound_of_well()))
    result = score(table.assign(Metadata_line=table["Metadata_Plate"].map(lines)), label="drug", group="line")
    write_scores(result, tmp_path / "score.json")
    text = page(work, tmp_path / "report.html", scores)
    for name, direction in result["directions"].items():
        assert f"<td>{name.replace('>', '&gt;')}</td><td>{100 * direction['accuracy']:.1f}</td>" in text
    assert f"<td>mean</td><td>{100 * result['mean']:.1f}</td>" in text
    assert "<p>labels: the file&#39;s own columns</p>" in text
    assert "<p>18 wells without a label (drug) left out</p>" in text


def test_a_lab_s_labels_are_counted(work, tmp_path):
    """Three wells a plate: a control, a drug, and one that nobody labelled; no batch, no cell line."""
    names = {"A01": "water", "A02": "drug", "A03": ""}

    def change(table: pd.DataFrame) -> pd.DataFrame:
        table = table.drop(columns=["Metadata_Batch", "Metadata_Cell_type"])
        drug = table["Metadata_Well"].map(names)
        hours = table["Metadata_Plate"].map({"P1": "24", "P2": "48"})
        return table.assign(Metadata_drug=drug, Metadata_hours=hours, Metadata_is_control=drug == "water")

    labels = {"source": "plates.csv", "perturbation": "Metadata_drug", "control": "water"}
    for plate in ("P1", "P2"):
        change_table(tmp_path / "work", plate, change, labels=labels)
    text = page(kit.open(tmp_path / "work"), tmp_path / "report.html", plates)
    assert "<title>kit: work: 2 plates</title>" in text
    assert (
        "<td>P1</td><td>-</td><td>-</td><td>3</td><td>6</td><td>0</td><td>1</td><td>load_data</td><td>1</td><td>1</td><td>1</td>"
        in text
    )
    assert "The perturbation of a well is its drug. The plates differ in hours (24, 48)." in text


@pytest.mark.usefixtures("undrawn")
def test_what_stands_beside_an_accuracy_is_on_the_page(tmp_path):
    result = kit.score(made(compound=1.0, position=0.5))
    make_work(tmp_path / "work", wells=1, sites=1)
    write_scores(result, tmp_path / "score.json")
    text = page(kit.open(tmp_path / "work"), tmp_path / "report.html", scores)
    for row in beside_table(result)["rows"]:
        assert "".join(f"<td>{html.escape(str(cell))}</td>" for cell in row) in text
