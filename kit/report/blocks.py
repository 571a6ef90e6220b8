"""What a section of the page is made of. A section says what it has; `page.html.j2` says how that looks."""

from dataclasses import dataclass, field
from typing import Any, ClassVar

import pandas as pd
from markupsafe import Markup


@dataclass(frozen=True, slots=True)
class Text:
    """A paragraph. note: set apart, for what a reader must not miss."""

    kind: ClassVar[str] = "text"
    text: str
    note: bool = False


@dataclass(frozen=True, slots=True)
class Missing:
    """What the page could show and does not, and the command or step that makes it."""

    kind: ClassVar[str] = "missing"
    what: str
    how: str


@dataclass(frozen=True, slots=True)
class Table:
    """Rows of cells under a head, text or numbers; the first column is the name of the row, a row named chance is set back.

    folded: shown when asked for. words: cells are words more than numbers.
    """

    kind: ClassVar[str] = "table"
    head: list[str]
    rows: list[list[Any]]
    title: str = ""
    notes: tuple[str, ...] = ()
    folded: bool = False
    words: bool = False


@dataclass(frozen=True, slots=True)
class Facts:
    """Large numbers side by side: (number, what it is, more about it)."""

    kind: ClassVar[str] = "facts"
    facts: list[tuple[str, str, str]]


@dataclass(frozen=True, slots=True)
class Picture:
    """A drawn picture: inline SVG whose ink is the page's, or an `img`. width: pixels at which it is drawn."""

    html: Markup
    width: int
    title: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Figure:
    """Pictures that flow into as many columns as the screen has room for, with the table behind them.

    name: of the files beside the page. alt: what is to be seen, in a sentence. table: what is drawn, as in NAME.csv.
    """

    kind: ClassVar[str] = "figure"
    name: str
    pictures: tuple[Picture, ...]
    alt: str
    caption: str
    table: pd.DataFrame = field(repr=False)
    folder: str = ""
    title: str = ""
    folded: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Chart:
    """A chart that answers to the pointer, a Vega-Lite specification; `charts.chart` makes it."""

    kind: ClassVar[str] = "chart"
    name: str
    spec: Markup = field(repr=False)
    alt: str
    caption: str
    table: pd.DataFrame = field(repr=False)
    folder: str = ""
    title: str = ""


@dataclass(frozen=True, slots=True)
class Html:
    """Markup that a section made itself, already safe."""

    kind: ClassVar[str] = "html"
    html: Markup


Block = Text | Missing | Table | Facts | Figure | Chart | Html


@dataclass(frozen=True, slots=True)
class Section:
    """name: the anchor, a word. title: the heading."""

    name: str
    title: str
    blocks: tuple[Block, ...]
