"""A contact sheet of cells: control and the strongest perturbations of each group, channel by channel on one scale."""

import re
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from markupsafe import Markup

from kit.config.channels import BRIGHTFIELD
from kit.errors import KitError
from kit.profiles.table import PLATE, SITE, WELL
from kit.report.blocks import Block, Figure, Missing, Picture, Section, Text
from kit.report.context import Context
from kit.report.figures import figure, style
from kit.report.pixels import jpeg_uri
from kit.report.sheet import sheet
from kit.report.strength import strengths
from kit.report.tiles import Tile, Window, mixed, read_tile, windows
from kit.words import count

_STRONGEST, _GROUPS = 11, 6
_UNKNOWN = 6  # wells shown where none has a label
_WIDTH = 170  # pixels on the page: two beside each other on a phone


def section(context: Context) -> Section:
    """Return a sheet for each group."""
    ranked, said = strengths(context)
    groups = context.groups
    blocks: list[Block] = []
    for group in groups[:_GROUPS]:
        mine = ranked[ranked["group"] == group] if group else ranked
        blocks.append(_sheet(context, group, mine, said))
    if len(groups) > _GROUPS:
        blocks.append(Text(f"The first {_GROUPS} of {len(groups)} groups."))
    return Section("cells", "Cells", tuple(blocks))


def _sheet(context: Context, group: str, everything: pd.DataFrame, said: str) -> Figure | Missing:
    sites = _usable(context, group)
    imaged = everything[everything["label"].isin(sites["label"])]  # profiles may hold plates that are not in this store
    ranked, here = imaged.head(_STRONGEST), "" if len(imaged) == len(everything) else " of this store"
    chosen = _choose(sites, ranked)
    channels = _channels(context)
    try:
        tiles = [(row, read_tile(context.work, row[PLATE], row[WELL], row[SITE], channels)) for row in chosen]
        scales = {
            plate: _scale(context, sites, plate, channels, tiles) for plate in dict.fromkeys(row[PLATE] for row, _ in tiles)
        }
    except (KitError, OSError) as error:
        return Missing(
            f"cells of {group or 'these plates'}: {error}", "kit ingest --verify names damaged images; ingest their plate again"
        )
    if not tiles:
        return Missing(
            f"cells of {group or 'these plates'}: no site has {', '.join(channels)}", "ingest plates with these channels"
        )
    shown = [(row, tile.shown(scales[row[PLATE]])) for row, tile in tiles]
    name = f"cells_{re.sub('[^A-Za-z0-9._+-]+', '-', group)}" if group else "cells"  # a file's name, whatever the group's is
    pictures = [_card(row, views, channels) for row, views in shown]
    caption = (
        f"{_who(chosen, ranked, here, said)}, its middle {tiles[0][1].side} px; on a plate a channel is bright or dark by the "
        f"same camera counts everywhere. Above: {_mix(channels)}; below: {', '.join(channels)}."
    )
    rows = [{**row, **_range(scales[row[PLATE]], channels)} for row in chosen]
    with style():
        names = [str(row["name"]) for row in chosen]
        drawing = sheet([views for _, views in shown], names, ("together", *channels), 1.3)
        alt = f"Cells of {group or 'the plates'}: {', '.join(names)}"
        return figure(
            context.files, name, drawing, pd.DataFrame(rows).round(4), alt=alt, caption=caption, title=group, pictures=pictures
        )  # fmt: skip


def _who(chosen: list[dict[str, Any]], ranked: pd.DataFrame, here: str, said: str) -> str:
    """Return what is shown, in words."""
    if ranked.empty:
        return "The sharpest site of a control" if chosen[0]["name"] == "control" else "The sharpest site of some wells"
    both = "Control and the" if chosen[0]["name"] == "control" else "The"
    strongest = f"{both} {count(len(ranked), 'perturbation')}{here} farthest from the controls, by {said}"
    return f"{strongest}. The sharpest site of the first well"


def _usable(context: Context, group: str) -> pd.DataFrame:
    """Return the sites of a group with all shown channels: who they are and their focus, the sharpest first."""
    sites = context.work.sites_with(_channels(context))
    focus = sites["focus"].astype("float64") if "focus" in sites else 1.0
    known = sites[[PLATE, WELL, SITE]].assign(focus=focus).merge(context.wells, on=[PLATE, WELL])
    return known[known["group"] == group] if group else known


def _choose(sites: pd.DataFrame, ranked: pd.DataFrame) -> list[dict[str, Any]]:
    """Return the site to show of the control and of each perturbation, all of one plate where it has them.

    Where no well has a label, some wells of the first plate are shown under their own names.
    """
    found = []
    first = sites[PLATE].min() if len(sites) else ""
    wanted = [("control", np.nan, sites[sites["is_control"]])]
    rows = zip(ranked["name"], ranked["strength"], ranked["label"], strict=True)
    wanted += [(name, strength, sites[sites["label"] == label]) for name, strength, label in rows]
    if not any(len(own) for _, _, own in wanted):
        names = sorted(sites.loc[sites[PLATE] == first, WELL].unique())
        wanted = [(name, np.nan, sites[sites[WELL] == name]) for name in names[:: -(-len(names) // _UNKNOWN) or 1]]
    for name, strength, own in wanted:
        if len(own):
            here = own[own[PLATE] == first] if (own[PLATE] == first).any() else own[own[PLATE] == own[PLATE].min()]
            best = here[here[WELL] == here[WELL].min()].sort_values(["focus", SITE], ascending=[False, True]).iloc[0]
            found.append({"name": name, PLATE: best[PLATE], WELL: best[WELL], SITE: int(best[SITE]), "strength": strength})
    return found


def _channels(context: Context) -> tuple[str, ...]:
    """Return the channels that are shown: the stains, or whatever there is."""
    stains = [name for group, names in context.work.groups.items() if group != BRIGHTFIELD for name in names]
    return tuple(stains or context.work.channels)[:8]


def _scale(context: Context, sites: pd.DataFrame, plate: str, channels: Sequence[str], tiles: list[tuple[dict, Tile]]) -> Window:
    """Return the counts that are black and white on a plate: from its controls, else from what is shown of it."""
    controls = sites[(sites[PLATE] == plate) & sites["is_control"]].head(4)
    read = [read_tile(context.work, plate, row[WELL], row[SITE], channels) for _, row in controls.iterrows()]
    return windows(read or [tile for row, tile in tiles if row[PLATE] == plate])


def _card(row: dict[str, Any], views: list[np.ndarray], channels: Sequence[str]) -> Picture:
    where = f"{row[PLATE]} {row[WELL]}, site {row[SITE]}"
    big, *small = [jpeg_uri(view) for view in views]
    strip = Markup("").join(
        Markup('<img src="{}" alt="{}" title="{}" loading="lazy">').format(uri, channel, channel)
        for uri, channel in zip(small, channels, strict=True)
    )
    more = "" if pd.isna(row["strength"]) else f", {row['strength']:.1f} from control"
    html = Markup('<img src="{}" alt="{}"><div class="strip">{}</div><p class="under">{}{}</p>').format(
        big, f"Cells, {row['name']}, {where}", strip, where, more
    )
    return Picture(html, _WIDTH, str(row["name"]))


def _mix(channels: Sequence[str]) -> str:
    return ", ".join(f"{name} {colour}" for name, colour in mixed(channels))


def _range(scale: Window, channels: Sequence[str]) -> dict[str, float]:
    pairs = zip(channels, scale.low_C, scale.high_C, strict=True)
    return {f"{name} {end}": float(value) for name, low, high in pairs for end, value in (("black", low), ("white", high))}
