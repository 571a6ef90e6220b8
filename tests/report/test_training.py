"""The section of trainings: its numbers are the run folder's, and what a run lacks is said."""

import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from kit.recipe import config_to_toml, load_recipe
from kit.report import training
from kit.report.context import Context
from kit.report.training import section, thinned
from kit.report.well_measures import measures
from tests.images.made_work import CHANNELS, make_work

SIGNS = {"entropy": 0.5, "used": 0.9, "rank": 3.0, "spread": 0.4}
FIRST = {"dino_well": 6.0, "dino_same": 5.0, "ibot": 2.9, "koleo": 3.0, "loss": 14.0, "lr": 1e-3, "minutes": 0.5}
LINES = [
    {"step": 10, **FIRST, "signs": SIGNS},
    {"step": 10, "event": "knn", "accuracy": 0.5, "chance": 0.25, "wells": 8},
    {"step": 20, **FIRST, "dino_well": 5.5, "loss": 12.0, "minutes": 1.0, "signs": {**SIGNS, "rank": 1.05}},
    {"step": 20, "event": "collapse", "what": "collapse at step 20: features differ along one direction only"},
]


@pytest.fixture
def context(tmp_path):
    return Context(work=make_work(tmp_path / "work", wells=1, sites=1), out=tmp_path / "report.html")


def add_run(context, name, config=None, lines=LINES, views=True):
    folder = context.work.path / "runs" / name
    (folder / "figures").mkdir(parents=True)
    if config is not None:
        (folder / "run.toml").write_text(config_to_toml(config))
    (folder / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    if views:
        Image.fromarray(np.full((30, 60, 3), 200, dtype=np.uint8)).save(folder / "figures" / "views_00000020.png")


def by_kind(context) -> dict[str, list]:
    found = {kind: [] for kind in ("table", "figure", "text", "missing")}
    for block in section(context).blocks:
        found[block.kind].append(block)
    return found


def test_the_curves_and_the_table_are_the_runs_own(context):
    add_run(context, "fluo", load_recipe("demo", ["train.lr=0.5"], channels=CHANNELS))
    add_run(context, "bare", lines=[])
    found = by_kind(context)
    runs, alarm, settings = found["table"]
    assert runs.rows[1] == ["fluo", "demo", ", ".join(CHANNELS), 20, "12.000", "1.0", "50.0", "-"]
    assert runs.rows[0] == ["bare", *["-"] * 7]
    assert [row[0] for row in settings.rows] == ["train.lr"]
    assert settings.rows[0][1] == "0.5"
    curves, views = found["figure"]
    assert [picture.title for picture in curves.pictures] == [
        "class tokens, cross-entropy", "masked patches (iBOT)", "spread of the class tokens (KoLeo)", "whole loss",
        "k-NN of wells on other plates, %", "learning rate",
    ]  # fmt: skip
    assert "a guess, ln K = 5.55" in curves.pictures[0].html
    own = pd.read_csv(context.files.folder / "run_fluo.csv").set_index(["step", "what"])
    assert own.loc[(20, "dino_well")].tolist() == [5.5, pytest.approx(math.log(256))]
    assert own.loc[(10, "k-NN accuracy"), "value"] == 0.5
    assert (context.files.folder / "run_fluo.png").is_file()
    rank = next(row for row in alarm.rows if row[0].startswith("rank"))
    assert rank[1:] == ["1.05 to 3", "1.05", "1.1 or more", "1 of 2"]
    assert "raised nothing" not in alarm.notes[0]
    assert [block.text for block in found["text"] if block.note] == [LINES[-1]["what"]]
    assert views.folded
    assert views.pictures[0].html.startswith('<img src="data:image/jpeg;base64,')


def test_what_a_run_lacks_is_said_with_the_way_to_it(context):
    config = load_recipe("demo", channels=CHANNELS)
    add_run(context, "old", config, lines=[{"step": 10, "loss": 3.0}])
    found = by_kind(context)
    said = {block.what: block.how for block in found["missing"]}
    assert "train.knn_epochs" in said["the k-NN accuracy of old while it trained"]
    assert "what the collapse alarm saw in old" in said
    assert "has the settings of recipe demo" in found["text"][0].text


def test_a_recipe_that_is_not_kits_has_all_settings_listed():
    config = replace(load_recipe("demo", channels=CHANNELS), recipe="mine")
    every = training._settings(training._Run(Path("old"), config, []))
    assert every.folded
    assert "has no recipe mine" in every.title
    assert ["train.lr", f"{config.train.lr:g}"] in every.rows


def test_without_runs_the_page_says_how_to_train(context):
    (missing,) = section(context).blocks
    assert f"kit train --work {context.work.path}" in missing.how


def test_a_long_run_is_thinned_to_both_ends():
    table = pd.DataFrame({"step": range(10, 70_010, 10)})
    short = thinned(table, 300)["step"]
    assert (len(short), short.iloc[0], short.iloc[-1]) == (300, 10, 70_000)
    assert set(np.diff(short)) <= {230, 240}
    assert len(thinned(table.head(5), 300)) == 5


def test_the_way_to_cell_counts_names_a_run_that_sees_dna(context):
    for name, channels in (("brightfield", ("Brightfield",)), ("fluorescence", (*CHANNELS, "DNA"))):
        add_run(context, name, load_recipe("demo", channels=channels), views=False)
    (said,) = (one.how for one in measures(context)[1] if "cell counts" in one.what)
    assert "--run fluorescence --baseline texture" in said
