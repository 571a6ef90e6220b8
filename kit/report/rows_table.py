"""A long table that the reader sorts and searches: `rows_table.js` shows a page of it at a time."""

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd
from markupsafe import Markup

from kit.report.blocks import Html
from kit.report.charts import in_script
from kit.report.figures import Files

AT_ONCE = 20  # rows that are shown before the reader asks for more


class Cell(NamedTuple):
    """A text or a number, and pictures: (data: address, what it shows)."""

    value: Any
    pictures: tuple[tuple[str, str], ...] = ()


def rows_table(
    files: Files,
    name: str,
    head: Sequence[str],
    rows: Sequence[Sequence[Cell]],
    table: pd.DataFrame,
    *,
    title: str,
    caption: str,
) -> Html:
    """Return the table as a block, and write NAME.csv with `table`. Without JavaScript its first rows stand there."""
    folder = files.write(name, table)
    body = Markup("\n").join(_row(head, row) for row in rows[:AT_ONCE])
    # A picture that stands in several rows is in the page once.
    pictures = list(dict.fromkeys(uri for row in rows for cell in row for uri, _ in cell.pictures))
    place = {uri: number for number, uri in enumerate(pictures)}
    data = [
        [[cell.value, [[place[uri], said] for uri, said in cell.pictures]] if cell.pictures else cell.value for cell in row]
        for row in rows
    ]
    html = Markup(
        '<figure id="{name}" class="rows"><h3>{title}</h3>\n'
        '<p class="find"><label>find <input type="search" placeholder="part of a name"></label> <span class="files"></span></p>\n'
        '<table class="stacks"><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>\n'
        '<p><button type="button">more rows</button></p>\n'
        '<figcaption>{caption}<p class="files">{count} rows, also in <code>{folder}/{name}.csv</code></p></figcaption>\n'
        "<script>{script}\nrowsTable(document.currentScript.parentElement, {data}, {pictures}, {at_once});</script></figure>"
    ).format(
        name=name, title=title, caption=caption, folder=folder, body=body, count=len(rows), script=_script(), at_once=AT_ONCE,
        head=Markup("").join(Markup('<th><button type="button" class="sort">{}</button></th>').format(word) for word in head),
        data=in_script(data), pictures=in_script(pictures),
    )  # fmt: skip
    return Html(html)


def _row(head: Sequence[str], row: Sequence[Cell]) -> Markup:
    cells = (Markup('<td data-of="{}">{}</td>').format(word, cell.value) for word, cell in zip(head, row, strict=True))
    return Markup("<tr>{}</tr>").format(Markup("").join(cells))


@lru_cache(maxsize=1)
def _script() -> Markup:
    return Markup((Path(__file__).parent / "rows_table.js").read_text())
