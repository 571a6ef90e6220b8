"""Option types shared by the verbs."""

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from kit.errors import UsageError


class _Path(click.Path):
    """A path; an empty one, as from an unset shell variable, would mean the current folder and is refused."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if value == "":
            self.fail("the path is empty", param, ctx)
        return super().convert(value, param, ctx)


class _Picture(_Path):
    """A file to be written as PNG."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        path = super().convert(value, param, ctx)
        if path.suffix.lower() != ".png":
            self.fail(f"{path}: pictures are written as PNG; use a name ending in .png", param, ctx)
        return path


PATH = _Path(path_type=Path)
OUT_FILE = _Path(path_type=Path, dir_okay=False)
OUT_FOLDER = _Path(path_type=Path, file_okay=False)
PICTURE = _Picture(path_type=Path, dir_okay=False)


def words(text: str | None, option: str) -> tuple[str, ...]:
    """Return the words of a comma-separated option; an empty tuple if it is not given.

    Raises:
        UsageError: it is given and empty.
    """
    found = tuple(word.strip() for word in (text or "").split(",") if word.strip())
    if text is not None and not found:
        raise UsageError(f"{option} {text!r}: give comma-separated names, or omit the option")
    return found


def more_than_zero(ctx: click.Context, param: click.Parameter, value: float | None) -> float | None:
    """Callback of an option that takes a number above 0."""
    if value is not None and not 0 < value < math.inf:
        raise click.BadParameter(f"{value:g} is not a number above 0")
    return value


class Once(click.Command):
    """A verb that takes one value an option, except where the option has `multiple`; click alone would silently keep the last."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if not ctx.resilient_parsing:
            _, _, given = self.make_parser(ctx).parse_args(args=list(args))
            for option in given:
                if isinstance(option, click.Option) and not (option.multiple or option.is_flag) and given.count(option) > 1:
                    raise click.UsageError(f"{option.opts[0]} is given {given.count(option)} times: it takes one value", ctx)
        return super().parse_args(ctx, args)


def recipe_option(verb: Callable) -> Callable:
    """Decorator: `--recipe` of a verb that takes one."""
    return click.option(
        "--recipe",
        default="sslprofiler-local",
        show_default=True,
        metavar="NAME",
        help="Name of a recipe (see kit recipes), or a .toml file.",
    )(verb)
