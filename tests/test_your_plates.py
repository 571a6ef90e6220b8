"""docs/your-plates.md, followed to the letter: commands, files, snippets and quoted outputs, on small drawn plates of its labs.

What a block of the page is follows from its fence: none, commands; `text`, what they print, or files that lie there; `csv`, the
first lines of the file named before it; `python`, a snippet; `toml`, the recipe.
"""

import contextlib
import importlib.util
import io
import json
import re
import shlex
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import kit
from kit.profiles.table import read_profiles
from kit.recipe import load_recipe
from tests.commands import kit_command
from tests.lab_plates import COMPOUNDS, write_imagexpress, write_phenix, write_single

PAGE = Path(__file__).parents[1] / "docs" / "your-plates.md"
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


@dataclass(frozen=True)
class Block:
    """A fenced block: what its fence says, its text, and the tables named in the prose since the block before."""

    kind: str
    text: str
    tables: list[str]

    def lines(self) -> list[str]:
        return self.text.splitlines()

    def commands(self) -> list[list[str]]:
        """Return the words of each command line."""
        return [shlex.split(line) for line in self.text.replace("\\\n", " ").splitlines() if line.strip()]


def sections() -> dict[str, list[Block]]:
    """Return the blocks of each section of the page, by the first word of its heading."""
    found = {}
    for part in re.split(r"^## ", PAGE.read_text(), flags=re.MULTILINE)[1:]:
        pieces = re.split(r"^```(\w*)\n(.*?)^```$", part, flags=re.MULTILINE | re.DOTALL)
        blocks = [
            Block(kind, text, re.findall(r"`([\w/.-]+\.csv)`", prose))
            for prose, kind, text in zip(pieces[::3], pieces[1::3], pieces[2::3], strict=False)
        ]
        found[part.split()[0].rstrip(".,")] = blocks
    return found


SECTIONS = sections()


class Walk:
    """Follows the page in one folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.names: dict[str, object] = {}
        (folder / "my-lab.toml").write_text('extends = "sslprofiler-local"\n' + SMALL)

    def follow(self, blocks: list[Block]) -> str:
        """Run blocks in order, see that they do what the page says, and return all they printed."""
        said, everything, last, tables = "", "", "prose", []
        for block, following in zip(blocks, [*blocks[1:], None], strict=True):
            tables += block.tables
            if block.kind == "":
                fails = following is not None and following.text.startswith(
                    "kit: "
                )  # what a failed command says is quoted below it
                said = "".join(self.kit(words, code=int(fails)) for words in block.commands())
            elif block.kind == "python":
                said = self.python(block.text)
            elif block.kind == "csv":
                lines = (self.folder / tables[-1]).read_text().splitlines()
                assert block.lines() == lines[: len(block.lines())], tables[-1]
            elif last in ("", "python"):
                see_said(block.text, said)
            else:
                assert all((self.folder / line).is_file() for line in block.lines()), block.text
            everything += said if block.kind in ("", "python") else ""
            last = block.kind
        return everything

    def kit(self, words: list[str], code: int = 0) -> str:
        """Run a command of the page."""
        assert words[0] == "kit", words
        with contextlib.chdir(self.folder):
            done = kit_command(*words[1:], code=code)
        return done.stdout + done.stderr

    def python(self, text: str) -> str:
        """Run a snippet, with the names of those before it."""
        printed = io.StringIO()
        with contextlib.chdir(self.folder), contextlib.redirect_stdout(printed):
            exec(compile(text, PAGE.name, "exec"), self.names)
        return printed.getvalue()


def see_said(quoted: str, said: str) -> None:
    """See that the lines quoted were printed, in that order; `...` stands for lines left out, or for the end of a line."""
    printed = iter(plain(said))
    for line in plain(quoted):
        start = line.removesuffix("...")
        found = line == "..." or any(other == line or (start != line and other.startswith(start)) for other in printed)
        assert found, f"not printed, or not in this order: {line}\n{said}"


def plain(text: str) -> list[str]:
    """Return the lines with one space between words and # for what differs from machine to machine."""
    return [" ".join(MEASURED.sub("#", line).split()) for line in text.splitlines()]


@pytest.fixture(scope="module")
def phenix(tmp_path_factory) -> Walk:
    """Section A, followed."""
    walk = Walk(tmp_path_factory.mktemp("phenix"))
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
    walk = Walk(tmp_path)
    write_imagexpress(tmp_path)
    walk.follow(SECTIONS["B"])
    profiles = read_profiles(tmp_path / "cells.parquet")
    assert not profiles.is_control_M.any()
    scores = json.loads((tmp_path / "work" / "score.json").read_text())
    assert scores["wells"]["scored"] == 18


def test_single_fields(tmp_path):
    walk = Walk(tmp_path)
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
    for file, heading in re.findall(r"\]\(([\w.-]*)#?([\w-]*)\)", PAGE.read_text()):
        text = (PAGE.parent / (file or PAGE.name)).read_text()
        slugs = [
            re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in re.findall(r"^#+ (.*)$", text, re.MULTILINE)
        ]
        assert not heading or heading in slugs, f"{file}#{heading}"
