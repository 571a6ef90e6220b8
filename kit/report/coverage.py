"""Where the sites of a well lie, and which wells lack some."""

from functools import partial
from typing import TYPE_CHECKING

import pandas as pd

from kit.profiles.table import PLATE, SITE
from kit.report.blocks import Block, Figure, Missing, Section
from kit.report.colours import INK, SCALE
from kit.report.context import Context
from kit.report.figures import Files
from kit.report.panels import Panel, panels
from kit.words import count, some

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_SIDE = 2.4  # inches: of a layout
_MOST = 6  # layouts drawn


def section(context: Context) -> Section:
    """Return the layouts of sites."""
    return Section("coverage", "Sites of a well", tuple(_blocks(context)))


def layouts(sites: pd.DataFrame) -> list[tuple[list[str], pd.DataFrame]]:
    """Return (plates, table) for each layout of sites, the most common first.

    table: site, x_um and y_um in whole micrometres (the median of its wells), and share, of the wells of these plates that
    have it.
    """
    found: dict[tuple, tuple[list[str], list[pd.DataFrame]]] = {}
    for plate, own in sites.groupby(PLATE, sort=True):
        at = own.groupby(SITE)[["x_um", "y_um"]].median().round()
        shares = own.groupby(SITE).size() / own["Metadata_Well"].nunique()
        table = at.assign(share=shares).reset_index().rename(columns={SITE: "site"})
        places = tuple(table[["site", "x_um", "y_um"]].itertuples(index=False, name=None))
        plates, tables = found.setdefault(places, ([], []))
        plates.append(str(plate))
        tables.append(table)
    ordered = sorted(found.values(), key=lambda one: -len(one[0]))
    return [
        (plates, tables[0].assign(share=pd.concat(tables).groupby("site")["share"].mean().to_numpy()))
        for plates, tables in ordered
    ]


def _blocks(context: Context) -> list[Block]:
    sites = context.sites
    if "x_um" not in sites or sites["x_um"].isna().all():
        how = "kit ingest with --load-data, or from a folder with the microscope's index: they know where a field lies"
        return [Missing("where sites lie in a well: the store has no positions", how)]
    return [_figure(context.files, layouts(sites.dropna(subset=["x_um", "y_um"])))]


def _figure(files: Files, found: list[tuple[list[str], pd.DataFrame]]) -> Figure:
    shown = []
    for plates, table in found[:_MOST]:
        least = 100 * table["share"].min()
        alt = f"{count(len(table), 'site')} of a well at their places; the rarest is in {least:.1f} % of wells"
        shown.append(Panel(f"{count(len(table), 'site')}: {some(plates, 2)}", alt, partial(_draw, table=table)))
    rows = pd.concat([table.assign(plates=" ".join(plates)) for plates, table in found], ignore_index=True)
    caption = (
        "Each square is a site at its place in the well, with its number and the share of wells that have it. Where plates "
        "differ, sites of the same number show different places."
    )
    alt = f"{count(len(found), 'layout')} of sites in a well"
    return panels(files, "coverage", shown, rows.round(4), size=(_SIDE, _SIDE), across=_MOST, alt=alt, caption=caption)


def _draw(axes: "Axes", table: pd.DataFrame) -> None:
    from matplotlib import colormaps
    from matplotlib.patches import Rectangle

    x, y = table["x_um"].to_numpy(dtype=float), table["y_um"].to_numpy(dtype=float)
    gaps = [gap for values in (sorted(set(x)), sorted(set(y))) for gap in pd.Series(values).diff().dropna() if gap > 1]
    side = 0.92 * min(gaps, default=100.0)
    for left, bottom, site, share in zip(x, y, table["site"], table["share"], strict=True):
        axes.add_patch(
            Rectangle(
                (left - side / 2, bottom - side / 2), side, side, facecolor=colormaps[SCALE](share), edgecolor=INK, linewidth=0.6
            )
        )
        ink, small = "white" if share < 0.6 else "black", 7.5 if len(table) <= 16 else 5.5
        axes.text(left, bottom, f"{site}\n{100 * share:.0f} %", ha="center", va="center", fontsize=small, color=ink)
    axes.set(xlim=(x.min() - side, x.max() + side), ylim=(y.min() - side, y.max() + side), aspect="equal")
    axes.set_axis_off()
