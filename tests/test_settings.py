"""kit recipes and docs/settings.md: every key, what it means, and nothing that cannot be typed behind --set."""

import dataclasses
from pathlib import Path

import pytest

from kit.config import RunConfig
from kit.recipe import changed_keys, load_recipe, recipe_names
from kit.settings import settings_markdown, tables
from tests.commands import kit_here

ROOT = Path(__file__).parents[1]


def keys_of(config: object, prefix: str = "") -> set[str]:
    """The dotted name of every value of a configuration."""
    found = set()
    for field in dataclasses.fields(config):
        value = getattr(config, field.name)
        found |= keys_of(value, f"{prefix}{field.name}.") if dataclasses.is_dataclass(value) else {prefix + field.name}
    return found


def settings_of(config: RunConfig) -> list:
    return [setting for table in tables(config) for setting in table.settings]


def test_every_key_is_there_once_with_its_meaning():
    settings = settings_of(RunConfig())
    keys = [setting.key for setting in settings]
    assert len(keys) == len(set(keys))
    assert set(keys) == {key for key in keys_of(RunConfig()) if key not in ("recipe", "groups") and not key.startswith("store.")}
    assert "model.weights" in keys
    assert not [setting for setting in settings if len(setting.meaning.split()) < 2 or not setting.type]


def test_types_and_values_are_written_as_a_person_would():
    found = {setting.key: (setting.type, setting.value) for setting in settings_of(load_recipe("dinov2-8ch"))}
    assert found["crops.global_side"] == ("integer, at least 1 pixel", "224")
    assert found["crops.global_area"] == ("2 numbers, 0 < min <= max <= 1", "[0.32,1.0]")
    assert found["views.rotation"] == ("free, right or none", "none")
    assert found["loss.local_aggregation"] == ("true or false", "false")
    assert found["model.weights"] == ("text", '""')
    assert found["plates"] == ("list of names", "[]")
    assert found["channels"][1].startswith('["Mito","AGP",')


@pytest.mark.parametrize("recipe", recipe_names())
def test_what_is_printed_can_be_typed(recipe):
    """All of a recipe's values behind --set turn another recipe into it."""
    wanted = load_recipe(recipe)
    other = load_recipe("sslprofiler", [f"{setting.key}={setting.value}" for setting in settings_of(wanted)])
    assert changed_keys(wanted, other) == ([] if recipe == "sslprofiler" else ["recipe"])


def test_the_settings_page_is_not_stale():
    assert (ROOT / "docs" / "settings.md").read_text() == settings_markdown(), "docs/settings.md is stale: run make docs"


def test_the_recipes_by_name(capsys):
    kit_here("recipes")
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines[: len(recipe_names())]] == recipe_names()
    assert "winner" in lines[recipe_names().index("sslprofiler-local")]
    assert lines[recipe_names().index("sslprofiler-local")].endswith("; extends sslprofiler")
    kit_here("recipes demo")
    assert "  train.batch = 32  (integer, more than 0)\n      samples per step" in capsys.readouterr().out
    kit_here("recipes --settings")
    assert "  train.batch = 128  (integer, more than 0)\n" in capsys.readouterr().out
    kit_here("recipes --markdown")
    assert capsys.readouterr().out == settings_markdown()


def test_a_recipe_says_of_its_values_whose_they_are(tmp_path, capsys):
    """The comment behind a value in its own file, or in that of the recipe which it extends, and those at the files' heads."""
    kit_here("recipes cell-dino-small")
    said = capsys.readouterr().out
    assert '"its code" the published code and configurations, where the paper gives no number' in " ".join(said.split())
    assert "      cell-dino-small: Cell-DINO, Cell Painting protocol: random crops of 128 px\n" in said
    assert "      cell-dino: its code: the default of its random resized crop\n" not in said  # another value has taken its place
    assert "  train.layer_decay = 0.9  " in said
    assert "      cell-dino: its code: DINOv2's default\n" in said
    mine = tmp_path / "mine.toml"
    mine.write_text('extends = "mae"\n[train]\nlr = 1e-3  # ours # tried\nbatch = 64\n[views]\nstyle = "none" # no "#"\n')
    kit_here(f"recipes {mine}")
    said = capsys.readouterr().out
    assert "      mine: ours # tried\n" in said
    assert '      mine: no "#"\n' in said
    assert "  train.batch = 64  (integer, more than 0)\n      samples per step" in said
    assert said.count("dinov2-8ch: SSLProfiler 2, section 4.1\n") == 4  # epochs, warm-up, patch, SwiGLU


def test_wrong_words_for_recipes(capsys):
    kit_here("recipes dem", code=2)
    assert "no recipe 'dem'; did you mean demo?" in capsys.readouterr().err
    kit_here("recipes demo --settings", code=2)
    assert "one of NAME, --settings and --markdown" in capsys.readouterr().err
