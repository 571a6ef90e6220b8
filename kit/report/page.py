"""Write the report: one HTML file that needs nothing from elsewhere, its pictures and tables in a folder beside it."""

import datetime
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import jinja2
from markupsafe import Markup

from kit.errors import KitError
from kit.files import existing_file, write_whole
from kit.report import charts
from kit.report.blocks import Section
from kit.report.context import Context, read_scores
from kit.report.sections import SECTIONS
from kit.version import __version__
from kit.words import count

if TYPE_CHECKING:
    from kit.images.store.work import Work

ROWS_SHOWN = 200  # of the table behind a picture; the CSV has them all


def report(
    work: "Work", out: Path, *, profiles: Path | None = None, sections: Sequence[Callable[[Context], Section]] = SECTIONS
) -> Path:
    """Write the page to `out` and return it.

    Args:
        out: report.html; its pictures and their tables go to the folder report_files beside it. Scores are read from
            score*.json in the work folder and beside the page.
        profiles: what `kit profile` wrote, for the sections that need wells' features; without it the first file that a score
            names.
        sections: what stands on it, from the top.

    Raises:
        KitError: no plates, a damaged score file, profiles of other plates. UsageError: `profiles` does not exist.
    """
    if work.sites.empty:
        raise KitError(f"{work.path} has no plates: run kit ingest first")
    if profiles is not None:
        existing_file(profiles)
    out = Path(out)
    context = Context(work=work, out=out, scores=read_scores([work.path, out.parent]), profiles_path=profiles)
    write_whole(out, render(context, [make(context) for make in sections]))
    return out


def render(context: Context, sections: list[Section]) -> str:
    """Return the page."""
    has_charts = any(block.kind == "chart" for section in sections for block in section.blocks)
    folder = Path(__file__).parent
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(folder), autoescape=True, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters["head"] = _head
    return environment.get_template("page.html.j2").render(
        title=f"{context.work.path.resolve().name}: {', '.join(context.batches) or count(len(context.work.plates), 'plate')}",
        subtitle=_subtitle(context),
        made=context.made,
        sections=sections,
        css=Markup((folder / "page.css").read_text()),
        bundle=charts.bundle() if has_charts else None,
        rows_shown=ROWS_SHOWN,
        version=__version__,
        made_on=f"{datetime.datetime.now(datetime.UTC):%Y-%m-%d %H:%M} UTC",
    )


def _subtitle(context: Context) -> str:
    wells, groups = context.wells, [group for group in context.groups if group]
    parts = [count(len(context.work.plates), "plate"), count(len(wells), "well"), count(len(context.sites), "site")]
    parts += [" and ".join([", ".join(groups[:-1]), groups[-1]] if len(groups) > 1 else groups)] if groups else []
    treated = wells["label"][~wells["is_control"] & (wells["label"] != "")].nunique()
    return ", ".join([*parts, *([count(treated, "perturbation")] if treated else [])])


def _head(table: object, rows: int) -> Iterator[tuple]:
    """Yield the first rows of a table."""
    return table.head(rows).itertuples(index=False, name=None)  # type: ignore[attr-defined]  # a DataFrame, from the template
