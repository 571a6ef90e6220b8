"""Recipes and settings: a RunConfig from a TOML file and `key=value` settings, and back into the run's own TOML.

A key that does not exist is refused, with the nearest name that does, in whichever table it is.
"""

import dataclasses
import difflib
import json
import tomllib
import types
import typing
from pathlib import Path

from kit.config import RunConfig
from kit.errors import UsageError
from kit.words import nearest


def recipe_names() -> list[str]:
    """Return the names of the recipes that come with kit."""
    return sorted(path.stem for path in (Path(__file__).parent / "recipes").glob("*.toml"))


def load_recipe(name: str, settings: typing.Iterable[str] = (), **values) -> RunConfig:
    """Return the recipe `name` (or the .toml file it names) with `key=value` settings and top-level values laid over it.

    Raises:
        UsageError: no such recipe, no such key, or a value out of range.
    """
    path, table = _read_recipe(name)
    fixed = tuple(table.get("channels", ()))
    if fixed and values.get("channels") and tuple(values["channels"]) != fixed:
        raise UsageError(f"recipe {name} is made for the channels {','.join(fixed)}, not {','.join(values['channels'])}")
    own_name = table.get("recipe")
    _lay_settings(table, settings)
    if table.get("recipe") != own_name:
        raise UsageError(f"setting recipe={table['recipe']} would rename recipe {name}, not change it: --recipe chooses one")
    table.update({key: value for key, value in values.items() if value is not None and value != ()})
    return config_from_dict({"recipe": path.stem, **table}, where=f"recipe {name}")


def _read_recipe(name: str, below: tuple[str, ...] = ()) -> tuple[Path, dict]:
    """Return a recipe's file and its table, laid over that of the recipe it `extends`; `below`: those that extend this one."""
    path = Path(name) if name.endswith(".toml") else Path(__file__).parent / "recipes" / f"{name}.toml"
    if not path.is_file():
        raise UsageError(f"no recipe {name!r}{nearest(name, recipe_names())}; there are: {', '.join(recipe_names())}")
    table = _read_toml(path)
    parent = table.pop("extends", None)
    if parent is None:
        return path, table
    if not isinstance(parent, str):
        raise UsageError(f"recipe {name}: extends = {parent!r}: need the name of a recipe, or a .toml file")
    if parent.endswith(".toml"):
        parent = str(path.parent / parent)
    if parent in (*below, name):
        raise UsageError(f"recipe {name} extends {parent}, and so at last itself")
    base = _read_recipe(parent, (*below, name))[1]
    for key, value in table.items():
        both = isinstance(value, dict) and isinstance(base.get(key), dict)
        base[key] = {**base[key], **value} if both else value
    return path, base


def load_config(path: Path) -> RunConfig:
    """Return the configuration stored in a run.toml; an unknown key is refused."""
    return config_from_dict(_read_toml(path), where=str(path))


def config_from_dict(table: dict, *, where: str) -> RunConfig:
    """Build and check a RunConfig; lists become tuples; `where` names the source in errors."""
    return _build(RunConfig, table, where)


def config_to_toml(config: RunConfig) -> str:
    """Return the text of a run.toml that `load_config` reads back to an equal configuration."""

    def text(value) -> str:
        if isinstance(value, bool):
            return str(value).lower()
        if isinstance(value, list):
            return f"[{', '.join(text(item) for item in value)}]"
        return json.dumps(value, ensure_ascii=False) if isinstance(value, str) else repr(value)

    table = config_to_dict(config)
    lines = [f"{key} = {text(value)}" for key, value in table.items() if not isinstance(value, dict)]
    for name, values in table.items():
        if isinstance(values, dict):
            lines += ["", f"[{name}]", *(f"{key} = {text(value)}" for key, value in values.items())]
    return "\n".join(lines) + "\n"


def config_to_dict(config: RunConfig) -> dict:
    """Return plain dicts and lists, ready for TOML or JSON."""

    def plain(value):
        if isinstance(value, dict):
            return {key: plain(item) for key, item in value.items()}
        return [plain(item) for item in value] if isinstance(value, tuple) else value

    return plain(dataclasses.asdict(config))


def config_from_settings(cls: type, settings: typing.Iterable[str] = (), **values):
    """Return the configuration dataclass `cls` with `key=value` settings laid over its defaults and `values`."""
    table = dict(values)
    _lay_settings(table, settings)
    return _build(cls, table, cls.__name__)


def changed_keys(old: RunConfig, new: RunConfig, *, ignore: tuple[str, ...] = ()) -> list[str]:
    """Return the dotted keys whose values differ between two configurations."""

    def flat(table: dict, prefix: str = "") -> dict:
        items = {}
        for key, value in table.items():
            items |= flat(value, f"{prefix}{key}.") if isinstance(value, dict) else {prefix + key: value}
        return items

    before, after = flat(config_to_dict(old)), flat(config_to_dict(new))
    return [key for key in after if before[key] != after[key] and key not in ignore]


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


def _build(cls: type, table: dict, where: str, prefix: str = "", known: tuple[str, ...] = ()):
    """Return `cls` from a table; `known`: the dotted keys of the whole configuration that it is a part of."""
    if not isinstance(table, dict):
        raise UsageError(f"{where}: {prefix.rstrip('.')} is a table, not {table!r}")
    known = known or _dotted_keys(cls)
    hints = typing.get_type_hints(cls)
    values = {}
    for key, value in table.items():
        if key not in hints:
            name = prefix + _first_leaf(key, value)
            raise UsageError(f"{where}: unknown key {name}{_meant(name, known)}")
        if dataclasses.is_dataclass(hints[key]):
            values[key] = _build(hints[key], value, where, f"{prefix}{key}.", known)
        else:
            values[key] = _convert(value, hints[key], f"{where}: {prefix}{key}")
    return cls(**values)


def _dotted_keys(cls: type) -> tuple[str, ...]:
    """Return the keys of a configuration and of its tables: channels, views.elastic_p ..."""
    keys = []
    for key, hint in typing.get_type_hints(cls).items():
        keys += [f"{key}.{inner}" for inner in _dotted_keys(hint)] if dataclasses.is_dataclass(hint) else [key]
    return tuple(keys)


def _first_leaf(key: str, value: object) -> str:
    """Return the dotted key of the first value in what may be a table."""
    while isinstance(value, dict) and value:
        inner, value = next(iter(value.items()))
        key = f"{key}.{inner}"
    return key


def _meant(name: str, known: tuple[str, ...]) -> str:
    """Return the known key that was probably meant: with the same last word in any table, else a similar one, near first."""
    table, _, word = name.rpartition(".")
    parts = {key: key.rpartition(".") for key in known}
    same = [key for key in known if parts[key][2] == word]
    if same:
        return nearest(name, same, cutoff=0) if table or len(same) == 1 else f"; did you mean {' or '.join(same)}?"
    for keys in ([key for key in known if parts[key][0] == table], known):
        words = {parts[key][2]: key for key in keys}
        close = difflib.get_close_matches(word, words, n=1)
        if close:
            return f"; did you mean {words[close[0]]}?"
    return ""


def _convert(value, hint, where: str):
    """Check a TOML value against a field's type; an integer serves for a float, a list for a tuple."""
    if isinstance(hint, types.GenericAlias):
        inner = typing.get_args(hint)
        if isinstance(value, str) or not isinstance(value, list | tuple):
            raise UsageError(f"{where} = {value!r}: need a list")
        if inner[-1] is Ellipsis:
            return tuple(_convert(item, inner[0], where) for item in value)
        if len(value) != len(inner):
            raise UsageError(f"{where} = {value!r}: need {len(inner)} values")
        return tuple(_convert(item, kind, where) for item, kind in zip(value, inner, strict=True))
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if not isinstance(value, hint) or (hint is not bool and isinstance(value, bool)):
        raise UsageError(f"{where} = {value!r}: need {hint.__name__}")
    return value
