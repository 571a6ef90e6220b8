"""A configuration dataclass from the plain values of TOML or JSON: all mistakes are reported in one line.

Types are strict, except that an integer is accepted for a float and a list for a tuple. pydantic validates the values; it
is imported with the first configuration, so that `kit --help` stays fast.
"""

import dataclasses
import difflib
import functools
import types
import typing
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any

from kit.errors import UsageError
from kit.ranges import Need
from kit.words import nearest

if TYPE_CHECKING:
    from pydantic import TypeAdapter

_TYPES = {
    "dict_type": "a table",
    "int_type": "int",
    "float_type": "float",
    "bool_type": "bool",
    "string_type": "str",
    "tuple_type": "a list",
}


def build(cls: type, table: Mapping[str, Any], where: str) -> Any:
    """Return the configuration dataclass `cls` with the values of `table`, nested tables for its nested dataclasses.

    Args:
        where: the source of the values, in front of the errors.

    Raises:
        UsageError: naming every unknown key, wrong type and value out of range; then values that contradict each other.
    """
    from pydantic import ValidationError

    try:
        return _adapter(cls).validate_python(table)
    except ValidationError as error:
        wrong = [_said(cls, mistake) for mistake in error.errors(include_url=False)]
        raise UsageError(f"{where}: {'; '.join(dict.fromkeys(wrong))}") from None


@functools.cache
def _adapter(cls: type[Any]) -> "TypeAdapter[Any]":
    from pydantic import TypeAdapter

    return TypeAdapter(_table(cls))


def _table(cls: type[Any]) -> Any:
    """Return the pydantic type of a dataclass: a table of its fields and no others."""
    from pydantic import AfterValidator, ConfigDict, create_model

    fields: dict[str, Any] = {key: (_value(hint), None) for key, hint in typing.get_type_hints(cls, include_extras=True).items()}
    model = create_model(cls.__name__, __config__=ConfigDict(extra="forbid"), **fields)

    def made(values: Any) -> Any:
        return cls(**{key: getattr(values, key) for key in values.model_fields_set})

    return Annotated[model, AfterValidator(made)]


def _value(hint: Any) -> Any:
    """Return the pydantic type of a field: strict except for lists, with its range."""
    from pydantic import AfterValidator, InstanceOf, Strict

    if dataclasses.is_dataclass(hint):
        return _table(typing.cast(type[Any], hint))
    if typing.get_origin(hint) is Annotated:
        bare, *needs = typing.get_args(hint)
        return Annotated[_value(bare), *(AfterValidator(need.checked) for need in needs if isinstance(need, Need))]
    if typing.get_origin(hint) is dict:
        return types.GenericAlias(dict, tuple(map(_value, typing.get_args(hint))))
    if isinstance(hint, types.GenericAlias):  # a tuple; dataclasses in it come ready made
        marks = [(item, InstanceOf() if dataclasses.is_dataclass(item) else Strict()) for item in hint.__args__]
        return types.GenericAlias(tuple, tuple(item if item is ... else Annotated[item, mark] for item, mark in marks))
    return Annotated[hint, Strict()]


def _said(cls: type, mistake: Mapping[str, Any]) -> str:
    """Return one of pydantic's errors in kit's wording."""
    kind, value = mistake["type"], mistake["input"]
    path = [part for part in mistake["loc"] if isinstance(part, str)]  # numbers are places in a list
    key = ".".join(path)
    if kind == "extra_forbidden":
        name = ".".join((*path[:-1], _first_leaf(path[-1], value)))
        return f"unknown key {name}{_meant(name, _dotted_keys(cls))}"
    if kind == "model_type":
        return f"{key} is a table, not {value!r}"
    if kind == "value_error":
        said = mistake["ctx"]["error"]
        return str(said) if isinstance(said, UsageError) else f"{key} = {said}"
    if kind in ("missing", "too_long"):
        return f"{key} = {value!r}: need {len(typing.get_args(_field_type(cls, path)))} values"
    return f"{key} = {value!r}: need {mistake.get('ctx', {}).get('class') or _TYPES.get(kind, kind)}"


def _field_type(cls: Any, path: list[str]) -> Any:
    for key in path:
        cls = typing.get_type_hints(cls)[key]
    return cls


def _dotted_keys(cls: Any) -> tuple[str, ...]:
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
