"""The page holds the numbers it is made from, and needs nothing from elsewhere."""

import base64
import io
import json
import re

import numpy as np
import pandas as pd
import pytest

import kit
from kit.challenge.report import report
from kit.challenge.score import score, write_scores
from kit.errors import KitError
from tests.images.made_work import CHANNELS, change_table, make_work

from .conftest import make_table


@pytest.fixture
def work(tmp_path):
    make_work(tmp_path / "work", wells=3, sites=2)
    for plate in ("P1", "P2"):
        path = tmp_path / "work" / "plates" / f"{plate}.parquet"
        table = pd.read_parquet(path).assign(Metadata_Batch="MADE_7", position_source="load_data")
        table["Mito_mean"] = np.arange(len(table), dtype=float)
        table.loc[1, "channels"] = "Mito"
        (table if plate == "P1" else table.drop(index=3)).to_parquet(path)
    folder = tmp_path / "work" / "runs" / "fluo"
    folder.mkdir(parents=True)
    (folder / "metrics.jsonl").write_text(
        '{"step": 10, "loss": 4.5, "minutes": 0.1}\n{"step": 20, "loss": 3.25, "minutes": 0.2}\n{"st'
    )
    return kit.open(tmp_path / "work")


def test_the_page_shows_plates_runs_and_scores(work, metadata, tmp_path):
    result = score(make_table(), metadata)
    write_scores({"schema": 1, "files": {"mine <b>": result}}, tmp_path / "score.json")
    text = report(work, tmp_path / "report.html").read_text()
    assert "mine &lt;b&gt;" in text
    for name, direction in result["directions"].items():
        assert f"<td>{100 * direction['accuracy']:.1f}</td>" in text, name
    assert "<td>10.00</td>" in text  # chance
    assert "<td>P1</td><td>MADE_7</td><td>U2OS</td><td>3</td><td>6</td><td>0</td><td>1</td><td>load_data</td>" in text
    assert "<td>P2</td><td>MADE_7</td><td>A549</td><td>3</td><td>5</td><td>1</td><td>1</td>" in text
    assert "<td>20</td><td>3.250</td><td>0.2</td>" in text
    assert "Made plates (batch MADE_7)" in text
    assert not re.search(r'(src|href)="(?!data:)', text)


def test_a_lab_without_cell_lines_has_labels_all_the_same(tmp_path):
    make_work(tmp_path / "work", wells=1, sites=1)
    change_table(tmp_path / "work", "P1", lambda table: table.drop(columns="Metadata_Cell_type").assign(Metadata_gene="TP53"))
    change_table(
        tmp_path / "work", "P2", lambda table: table.drop(columns="Metadata_Cell_type").assign(Metadata_is_control=False)
    )
    text = report(kit.open(tmp_path / "work"), tmp_path / "report.html").read_text()
    assert "<td>P1</td><td>-</td><td>-</td>" in text
    assert "<td>P2</td><td>-</td><td>unlabelled</td>" in text


def test_the_heat_map_is_a_picture_with_the_wells_in_it(work, tmp_path):
    from PIL import Image

    text = report(work, tmp_path / "report.html").read_text()
    picture = re.search(r"data:image/png;base64,([A-Za-z0-9+/=]+)", text)[1]
    pixels = np.array(Image.open(io.BytesIO(base64.b64decode(picture))).convert("RGB"))
    assert len(np.unique(pixels.reshape(-1, 3), axis=0)) > 3  # three wells a plate, low to high
    assert "Mito" in text


def test_scores_that_used_the_position_say_so(work, metadata, tmp_path):
    result = {**score(make_table(), metadata), "uses_well_position": True}
    write_scores(result, tmp_path / "score.json")
    text = report(work, tmp_path / "report.html").read_text()
    assert "k-NN accuracy *" in text
    assert "pure noise scores high" in text


def test_a_damaged_score_file_is_named(work, tmp_path):
    (tmp_path / "score.json").write_text(json.dumps({"schema": 1})[:-1])
    with pytest.raises(KitError, match=r"score\.json is not valid JSON"):
        report(work, tmp_path / "report.html")
    assert not (tmp_path / "report.html").exists()
    assert CHANNELS[2] == "RNA"
