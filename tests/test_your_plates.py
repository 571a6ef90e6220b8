"""docs/your-plates.md, followed to the letter (see tests.pages) on small drawn plates; a `toml` block is the recipe."""

import importlib.util
import json
import re
import shlex
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import kit
from kit.profiles.table import read_profiles
from kit.recipe import load_recipe
from tests.lab_plates import COMPOUNDS, write_imagexpress, write_phenix, write_single
from tests.pages import DOCS, Walk, dead_links, sections

PAGE = DOCS / "your-plates.md"
SMALL = """
[crops]
global_side = 28
global_area = [0.1, 0.3]
[views]
elastic_alpha = 20.0
elastic_sigma = 4.0
[model]
dim = 32
depth = 1
heads = 2
position_side = 28
[loss]
prototypes = 32
head_hidden = 32
head_bottleneck = 16
[train]
max_steps = 3
batch = 4
warmup_steps = 1
[embed]
side = 84
"""
# What differs from machine to machine: fractions, times and rates.
MEASURED = re.compile(r"\d+\.\d+|\d+(?= images/s|%| s\b| MB)")


SECTIONS = sections(PAGE)


class Lab(Walk):
    """Follows the page in a lab's folder, with a recipe small enough for a test."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, MEASURED)
        (folder / "my-lab.toml").write_text('extends = "sslprofiler-local"\n' + SMALL)


@pytest.fixture(scope="module")
def phenix(tmp_path_factory) -> Lab:
    """Section A, followed."""
    walk = Lab(tmp_path_factory.mktemp("phenix"))
    write_phenix(walk.folder)
    walk.follow(SECTIONS["A"])
    return walk


def test_the_recipe_holds_what_the_nuclei_printed_and_overrides_only_that(tmp_path):
    (block,) = SECTIONS["The"]
    (tmp_path / "my-lab.toml").write_text(block.text)
    recipe = load_recipe(str(tmp_path / "my-lab.toml"))
    printed = next(line for lab in SECTIONS["A"] if lab.kind == "text" for line in lab.lines() if line.startswith("  --set"))
    assert recipe == load_recipe(str(tmp_path / "my-lab.toml"), [word for word in shlex.split(printed) if word != "--set"])
    assert recipe.loss.local_aggregation


def test_phenix(phenix):
    profiles = read_profiles(phenix.folder / "cells.parquet")
    assert profiles.is_control_M.sum() == 8
    assert set(profiles.who["Metadata_compound"]) == {"DMSO", *COMPOUNDS}
    scores = json.loads((phenix.folder / "work" / "score.json").read_text())["files"]
    assert list(scores["cells.parquet"]["directions"]) == ["A431->A431", "A431->HeLa", "HeLa->A431", "HeLa->HeLa"]
    assert all(score["chance"] == pytest.approx(1 / 3) for score in scores.values())
    assert "HeLa" in (phenix.folder / "report.html").read_text()


def test_imagexpress_without_a_control(tmp_path):
    walk = Lab(tmp_path)
    write_imagexpress(tmp_path)
    walk.follow(SECTIONS["B"])
    profiles = read_profiles(tmp_path / "cells.parquet")
    assert not profiles.is_control_M.any()
    scores = json.loads((tmp_path / "work" / "score.json").read_text())
    assert scores["wells"]["scored"] == 18


def test_single_fields(tmp_path):
    walk = Lab(tmp_path)
    write_single(tmp_path)
    walk.follow(SECTIONS["C"])
    assert kit.open(tmp_path / "work").channels == ("hoechst", "phalloidin")
    own, stack = (kit.open(tmp_path / work).read_site("day1", "C03", 1) for work in ("work", "stacks-work"))
    np.testing.assert_array_equal(own, stack)


def test_labels_later(phenix):
    labels = pd.read_csv(phenix.folder / "phenix" / "labels.csv", dtype=str)
    labels["batch"] = labels["plate"].map({"P101": "spring", "P102": "autumn", "P103": "spring", "P104": "autumn"})
    labels.to_csv(phenix.folder / "phenix" / "labels.csv", index=False)
    said = phenix.follow(SECTIONS["Labels"])
    assert "autumn->spring" in said
    assert set(kit.open(phenix.folder / "work").wells["Metadata_batch"]) == {"spring", "autumn"}


def test_pandas(phenix):
    said = phenix.follow(SECTIONS["Other"][:2])
    assert said.count("4") >= 2


def test_pycytominer_and_copairs(phenix):
    for name in ("pycytominer", "copairs"):
        if importlib.util.find_spec(name) is None:
            pytest.skip(
                f"{name} is not installed: the page's snippet for it was run by hand with pycytominer 1.7.1 and copairs 0.5.5"
            )
    phenix.follow(SECTIONS["Other"])
    assert len(phenix.names["wells"]) == 32


def test_links_lead_somewhere():
    assert not dead_links(PAGE)
