"""docs/kaggle.md, followed to the letter: kit, the real kaggle command line, and servers on this machine in place of Kaggle."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from kit.recipe import config_to_toml, load_config, load_recipe
from tests.images.made_work import make_work
from tests.pages import DOCS, Walk, dead_links, sections
from tests.test_first import PLATES, WELLS, write_gallery, write_ids
from tests.wheels.made import made_wheel

PAGE = DOCS / "kaggle.md"
SECTIONS = sections(PAGE)
NUMBERS = re.compile(r"\d[\d.,]*\d|\d")  # the page's plates are the challenge's, the test's are made
NONE = re.compile(r"(?!)")


class Competitor(Walk):
    """Follows the page; `kaggle` is the real command line."""

    def command(self, words: list[str], code: int = 0) -> str:
        if words[0] != "kaggle":
            return super().command(words, code)
        script = shutil.which("kaggle", path=str(Path(sys.executable).parent))
        done = subprocess.run([script, *words[1:]], cwd=self.folder, capture_output=True, text=True, check=False)
        assert done.returncode == code, done.stdout + done.stderr
        return done.stdout + done.stderr


def test_links_lead_somewhere():
    assert not dead_links(PAGE)


def test_every_command_is_one_that_kit_has(tmp_path):
    walk = Competitor(tmp_path, NUMBERS)
    commands = [block for blocks in SECTIONS.values() for block in blocks if block.kind in ("", "sh")]
    assert len(commands) > 8
    for block in commands:
        walk.check(block)


def test_the_recipe_that_fits(tmp_path):
    """To the digit: nothing in it depends on the machine."""
    Competitor(tmp_path, NONE).follow(SECTIONS["4"])


@pytest.mark.slow
def test_from_a_clone_to_a_submission(kaggle, tmp_path, monkeypatch):
    folder = tmp_path / "clone"
    shutil.copytree(DOCS.parent / "notebooks", folder / "notebooks")
    write_gallery(tmp_path / "gallery")
    monkeypatch.setattr("kit.first.GALLERY", str(tmp_path / "gallery"))
    ids = write_ids(tmp_path / "ids.csv", PLATES, [well for well in WELLS if WELLS[well]])
    kaggle.outputs["metadata_test.csv"] = ids.read_bytes()
    walk = Competitor(folder, NUMBERS)
    walk.follow(SECTIONS["2"])
    assert (folder / "metadata_test.csv").read_bytes() == ids.read_bytes()
    said = walk.follow(SECTIONS["3"])
    assert kaggle.uploaded == (folder / "first" / "submission.csv").read_bytes()
    assert "0.39100" in said
    make_work(folder / "work", plates=("P1",), wells=2, sites=1)
    (folder / "kit-wheels").mkdir()
    made_wheel(folder / "kit-wheels", "cellpaint-kit", "0.1.0")
    walk.follow(SECTIONS["5"])
    assert list(kaggle.datasets) == ["someone/cpjump1-store", "someone/kit-wheels"]
    kaggle.outputs = {"runs/fluorescence/run.toml": config_to_toml(load_recipe("demo")).encode()}
    walk.follow(SECTIONS["6"])
    assert load_config(folder / "work" / "runs" / "fluorescence" / "run.toml").recipe == "demo"
    walk.follow(SECTIONS["7"])
    assert list(kaggle.datasets)[2:] == ["someone/kit-runs"]
    assert [notebook["slug"] for notebook in kaggle.notebooks] == ["someone/kit-train", "someone/kit-infer"]
