"""Recipes and settings: a RunConfig from a TOML file and `key=value` settings, and back to the run's TOML.

An unknown key is refused with the nearest known name, from any table.
"""

import dataclasses
import tomllib
import typing
from pathlib import Path

import tomli_w

from kit.coerce import build
from kit.config import MadeFor, RunConfig
from kit.errors import UsageError
from kit.words import nearest

Config = typing.TypeVar("Config")


def recipe_names() -> list[str]:
    """Return the names of the recipes that come with kit."""
    return sorted(path.stem for path in (Path(__file__).parent / "recipes").glob("*.toml"))


def recipe_path(name: str) -> Path:
    """Return the file of a recipe shipped with kit, or the .toml file that `name` is.

    Raises:
        UsageError: no such recipe; the message lists the recipes.
    """
    path = Path(name) if name.endswith(".toml") else Path(__file__).parent / "recipes" / f"{name}.toml"
    if not path.is_file():
        raise UsageError(f"no recipe {name!r}{nearest(name, recipe_names())}; available: {', '.join(recipe_names())}")
    return path


def load_recipe(name: str, settings: typing.Iterable[str] = (), **values: typing.Any) -> RunConfig:
    """Return the recipe `name` (or the .toml file it names) with `key=value` settings and top-level values applied.

    Raises:
        UsageError: no such recipe; or naming every key that does not exist and every wrong value.
    """
    path, table = _read_recipe(name)
    table.pop("made_for", None)
    fixed = table.get("channels")
    if isinstance(fixed, list) and fixed and values.get("channels") and list(values["channels"]) != fixed:
        raise UsageError(
            f"recipe {name} is made for the channels {','.join(map(str, fixed))}, not {','.join(values['channels'])}"
        )
    own_name = table.get("recipe")
    _lay_settings(table, settings)
    if table.get("recipe") != own_name:
        raise UsageError(f"setting recipe={table['recipe']} would rename recipe {name}, not change it: choose one with --recipe")
    if "groups" in table:
        raise UsageError(f"recipe {name}: groups of channels belong to the store: kit ingest --work WORK --groups ...")
    table.update({key: value for key, value in values.items() if value is not None and value != ()})
    return config_from_dict({"recipe": path.stem, **table}, where=f"recipe {name}")


def made_for(name: str) -> MadeFor | None:
    """Return the plates that the recipe `name` was made for, or None where it does not say so.

    A recipe that sets crops.global_area itself says so itself: what it extends was made for other areas.

    Raises:
        UsageError: no such recipe; an unknown key or a wrong value.
    """
    table = _read_recipe(name)[1].get("made_for")
    return None if table is None else build(MadeFor, table, f"recipe {name}, made_for")


def _read_recipe(name: str, below: tuple[str, ...] = ()) -> tuple[Path, dict]:
    """Return a recipe's file and its table merged over that of the recipe it `extends`; `below`: those that extend this one."""
    path = recipe_path(name)
    table = _read_toml(path)
    table.pop("about", None)
    parent = table.pop("extends", None)
    if parent is None:
        return path, table
    if not isinstance(parent, str):
        raise UsageError(f"recipe {name}: extends = {parent!r}: need the name of a recipe, or a .toml file")
    parent = _beside(path, parent)
    if parent in (*below, name):
        raise UsageError(f"recipe cycle: {' extends '.join((*below, name, parent))}")
    base = _read_recipe(parent, (*below, name))[1]
    crops = table.get("crops")
    if "made_for" in table or (isinstance(crops, dict) and "global_area" in crops):
        base.pop("made_for", None)  # both values are the recipe's own, or none is
    for key, value in table.items():
        both = isinstance(value, dict) and isinstance(base.get(key), dict)
        base[key] = {**base[key], **value} if both else value
    return path, base


def recipe_files(name: str) -> list[Path]:
    """Return the file of a recipe, then that of the one it extends, and so on, of a recipe that `load_recipe` takes."""
    path = recipe_path(name)
    parent = _read_toml(path).get("extends")
    return [path] if parent is None else [path, *recipe_files(_beside(path, parent))]


def _beside(path: Path, parent: str) -> str:
    """Return the name of what the recipe in `path` extends; a file is beside it."""
    return str(path.parent / parent) if parent.endswith(".toml") else parent


def load_config(path: Path) -> RunConfig:
    """Return the configuration stored in a run.toml; an unknown key is refused."""
    return config_from_dict(_read_toml(path), where=str(path))


def config_from_dict(table: dict, *, where: str) -> RunConfig:
    """Build and check a RunConfig; lists become tuples; `where` names the source in errors.

    Raises:
        UsageError: naming every unknown key and every wrong value.
    """
    return build(RunConfig, table, where)


def config_to_toml(config: RunConfig) -> str:
    """Return the text of a run.toml that `load_config` reads back to an equal configuration."""
    return tomli_w.dumps(config_to_dict(config))


def config_to_dict(config: RunConfig) -> dict:
    """Return plain dicts and lists, ready for TOML or JSON."""

    def plain(value: typing.Any) -> typing.Any:
        if isinstance(value, dict):
            return {key: plain(item) for key, item in value.items()}
        return [plain(item) for item in value] if isinstance(value, tuple) else value

    table = plain(dataclasses.asdict(config))
    if not table["groups"]:
        del table["groups"]  # as before runs had them
    return table


def config_from_settings(cls: type[Config], settings: typing.Iterable[str] = (), *, where: str, **values: typing.Any) -> Config:
    """Return the configuration dataclass `cls` with `key=value` settings over its defaults and `values`; errors as above."""
    table = dict(values)
    _lay_settings(table, settings)
    return build(cls, table, where)


def changed_keys(old: RunConfig, new: RunConfig, *, ignore: tuple[str, ...] = ()) -> list[str]:
    """Return the dotted keys whose values differ between two configurations."""
    before, after = flat_settings(old), flat_settings(new)
    return [key for key in after | before if before.get(key) != after.get(key) and key not in ignore]


def flat_settings(config: RunConfig) -> dict[str, typing.Any]:
    """Return every value of a configuration by its dotted key, as `--set` names them: train.lr ..."""

    def flat(table: dict, prefix: str = "") -> dict[str, typing.Any]:
        items: dict[str, typing.Any] = {}
        for key, value in table.items():
            items |= flat(value, f"{prefix}{key}.") if isinstance(value, dict) else {prefix + key: value}
        return items

    return flat(config_to_dict(config))


def differences(config: RunConfig) -> dict[str, tuple[typing.Any, typing.Any]]:
    """Return {key: (the run's value, the recipe's)} where a run differs from the recipe it names.

    Channels, groups and the store's settings are left out: a recipe leaves them to the plates.

    Raises:
        UsageError: kit has no such recipe: it was a file, or one of another version.
    """
    recipe = load_recipe(config.recipe)
    theirs, own = flat_settings(recipe), flat_settings(config)
    of_plates = ("recipe", "channels", "groups.", "store.")
    return {key: (own[key], theirs[key]) for key in changed_keys(recipe, config) if not key.startswith(of_plates)}


def _read_toml(path: Path) -> dict:
    try:
        return tomllib.loads(path.read_text())
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"{path} is not valid TOML: {error}") from error


def _lay_settings(table: dict, settings: typing.Iterable[str]) -> None:
    for setting in settings:
        key, text = split_setting(setting)
        _lay(table, key, _parse_value(text))


def split_setting(setting: str, option: str = "--set") -> tuple[str, str]:
    """Return the key and the value's text of `key=value`; `option` is where it was given.

    Raises:
        UsageError: it is no `key=value`.
    """
    key, separator, text = setting.partition("=")
    if not separator or not key.strip():
        raise UsageError(f"{option} {setting!r}: need key=value, for example train.lr=1e-4")
    return key.strip(), text.strip()


def _lay(table: dict, dotted: str, value: object) -> None:
    *parents, last = dotted.split(".")
    for parent in parents:
        table = table.setdefault(parent, {})
        if not isinstance(table, dict):
            raise UsageError(f"setting {dotted}: {parent} is a value, not a table")
    table[last] = value


def _parse_value(text: str) -> object:
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text  # a bare word is a string
