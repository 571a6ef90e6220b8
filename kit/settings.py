"""The recipes and every `--set` key with type, default and meaning: `kit recipes`, and docs/settings.md from the same source."""

import dataclasses
import json
import tomllib
import types
import typing
from collections.abc import Iterator
from dataclasses import dataclass
from textwrap import wrap
from typing import Any

from kit.config import RunConfig
from kit.ranges import Need
from kit.recipe import load_recipe, recipe_names, recipe_path
from kit.words import count

_NO_KEYS = ("recipe", "store")  # --recipe names the one; kit ingest chose the other, and a run records it
_TYPES = {int: "integer", float: "number", bool: "true or false", str: "text"}
_MANY = {int: "integers", float: "numbers", str: "names"}
_WIDTH = 110  # columns of a terminal
_HEAD = """# Recipes and settings

Made by `make docs` from `kit/recipes` and `kit/config`; `kit recipes` prints the same. A recipe is a TOML file; each of its
values can be changed for one run:

    kit train --work work --recipe sslprofiler-local --run fluo --set train.lr=1e-4 --set crops.global_area=[0.4,1.0]

A file of your own may build on any recipe: `extends = "sslprofiler"`, then what differs. Give its path to `--recipe`. A recipe
without `channels` is trained twice, with `--channels fluorescence` and `--channels brightfield`; `kit profile` takes both runs.
"""


@dataclass(frozen=True, slots=True)
class Setting:
    """One `--set` key: its table's name is the part before the dot, if it has one."""

    key: str
    type: str  # and range, in words
    value: str  # as it would be written behind `--set key=`
    meaning: str


@dataclass(frozen=True, slots=True)
class Table:
    """The keys of one table of a recipe; the one without a name holds the keys of no table."""

    name: str
    about: str
    settings: tuple[Setting, ...]


@dataclass(frozen=True, slots=True)
class Recipe:
    """A recipe's file: what it is, in its own words, what it extends, and the keys it sets itself."""

    name: str
    about: str
    extends: str
    keys: tuple[str, ...]


def read_recipe(name: str) -> Recipe:
    """Return what the file of a recipe says of itself."""
    table = tomllib.loads(recipe_path(name).read_text())
    about, extends = table.pop("about", ""), table.pop("extends", "")
    keys = [f"{key}.{inner}" for key, value in table.items() if isinstance(value, dict) for inner in value]
    return Recipe(name, about, extends, (*(key for key in table if not isinstance(table[key], dict)), *keys))


def tables(config: RunConfig) -> list[Table]:
    """Return every `--set` key, by table, with its value in `config`."""
    nested = {key: hint for key, hint in _hints(RunConfig).items() if dataclasses.is_dataclass(hint) and key not in _NO_KEYS}
    found = [Table("", "Top level", tuple(_settings(config, "")))]
    for name, cls in nested.items():
        about = " ".join((cls.__doc__ or "").split()).replace(f": table [{name}]", "")
        found.append(Table(name, about, tuple(_settings(getattr(config, name), f"{name}."))))
    return found


def recipes_text() -> str:
    """Return a line for every recipe: what it is, and what it extends."""
    names = recipe_names()
    width = max(map(len, names))
    lines = [f"{name:{width}}  {_about(read_recipe(name))}" for name in names]
    more = "kit recipes NAME shows all values of a recipe, kit recipes --settings every --set key with its default."
    return "\n".join([*lines, "", more])


def settings_text(recipe: str | None = None) -> str:
    """Return every `--set` key with type, value and meaning: a recipe's values, or the defaults where none is named."""
    config = RunConfig() if recipe is None else load_recipe(recipe)
    lines = [] if recipe is None else [f"{recipe}: {_about(read_recipe(recipe))}", ""]
    for table in tables(config):
        lines += [f"[{table.name}] {table.about}" if table.name else table.about]
        for setting in table.settings:
            lines.append(f"  {setting.key} = {setting.value}  ({setting.type})")
            lines += wrap(setting.meaning, _WIDTH, initial_indent="      ", subsequent_indent="      ")
        lines.append("")
    return "\n".join(lines[:-1])


def settings_markdown() -> str:
    """Return docs/settings.md."""
    lines = [
        _HEAD,
        "## Recipes",
        "",
        *_markdown_table(("recipe", "what it is", "extends", "sets"), map(_recipe_row, map(read_recipe, recipe_names()))),
        "",
        "## Settings",
        "",
        "The default holds where a recipe is silent. SSLProfiler 1 and 2, DINOv2: [the papers](papers.md).",
    ]
    for table in tables(RunConfig()):
        heading = f"### [{table.name}]" if table.name else "### Top level"
        rows = ((f"`{one.key}`", one.type, f"`{one.value}`", one.meaning) for one in table.settings)
        lines += [
            "",
            heading,
            "",
            *([table.about, ""] if table.name else []),
            *_markdown_table(("key", "type", "default", "meaning"), rows),
        ]
    return "\n".join(lines) + "\n"


def _settings(config: Any, prefix: str) -> Iterator[Setting]:
    hints = _hints(type(config))
    for field in dataclasses.fields(config):
        bare, *needs = typing.get_args(hints[field.name]) if _is_annotated(hints[field.name]) else (hints[field.name],)
        if prefix + field.name not in _NO_KEYS and not dataclasses.is_dataclass(bare):
            words = [need.words for need in needs if isinstance(need, Need)]
            value = getattr(config, field.name)
            yield Setting(prefix + field.name, _type(bare, words), _value(value), field.metadata["meaning"])


def _hints(cls: type) -> dict[str, Any]:
    return typing.get_type_hints(cls, include_extras=True)


def _is_annotated(hint: Any) -> bool:
    return typing.get_origin(hint) is typing.Annotated


def _type(hint: Any, words: list[str]) -> str:
    """Return a type in words: `2 numbers, 0 < least <= most <= 1`; a text of few values is those values."""
    if hint is str and words:
        return words[0]
    if isinstance(hint, types.GenericAlias):
        inner = typing.get_args(hint)
        kind = f"list of {_MANY[inner[0]]}" if inner[-1] is Ellipsis else f"{len(inner)} {_MANY[inner[0]]}"
    else:
        kind = _TYPES[hint]
    return ", ".join([kind, *words])


def _value(value: Any) -> str:
    """Return a value as `--set` takes it."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, tuple):
        inner = [json.dumps(item) if isinstance(item, str) else _value(item) for item in value]
        return f"[{','.join(inner)}]"
    return str(value) if value != "" else '""'


def _about(recipe: Recipe) -> str:
    return f"{recipe.about}; extends {recipe.extends}" if recipe.extends else recipe.about


def _recipe_row(recipe: Recipe) -> tuple[str, str, str, str]:
    """Name, what it is, what it extends, and which keys it sets over that one."""
    own = ", ".join(f"`{key}`" for key in recipe.keys) if recipe.extends else count(len(recipe.keys), "key")
    return f"`{recipe.name}`", recipe.about, f"`{recipe.extends}`" if recipe.extends else "", own


def _markdown_table(head: tuple[str, ...], rows: Iterator[tuple[str, ...]]) -> list[str]:
    return [_row(head), _row(("---",) * len(head)), *map(_row, rows)]


def _row(cells: tuple[str, ...]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"
