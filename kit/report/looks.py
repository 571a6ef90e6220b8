"""What the network looks at: the patches of a few sites as colours, and what each channel is to it."""

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from markupsafe import Markup

from kit.errors import KitError
from kit.profiles.table import PLATE, SITE, WELL
from kit.report.blocks import Block, Figure, Missing, Picture, Section
from kit.report.colours import INK, MUTED, PALETTE
from kit.report.context import Context
from kit.report.figures import figure, style
from kit.report.matches import matched
from kit.report.panels import Panel, panels
from kit.report.pixels import enlarged, jpeg_uri
from kit.report.sheet import sheet
from kit.report.strength import strengths
from kit.report.tiles import Tile, mixed, windows
from kit.words import typed

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from kit.profiles.backbone import Backbone
    from kit.profiles.looks import ChannelUse, Key, PatchMaps

SITES = 4  # a control, and the perturbations that stand out most
RUNS = 2  # the longest trained
_SIDE = 270  # pixels on the page: of a site and its map


def section(context: Context) -> Section:
    """Return for the longest trained runs what their networks look at."""
    folders = [path.parent for path in (context.work.path / "runs").glob("*/checkpoints") if any(path.glob("*.safetensors"))]
    steps = {folder.name: max(path.stem for path in folder.glob("checkpoints/*.safetensors")) for folder in folders}
    if not steps:
        how = f"kit train --work {typed(context.work.path)} --recipe NAME --channels fluorescence --run fluorescence"
        return Section("looks", "What the network looks at", (Missing("a trained network to look into", how),))
    blocks: list[Block] = []
    for run in sorted(steps, key=lambda run: (steps[run], run), reverse=True)[:RUNS]:
        blocks += _blocks(context, run)
    return Section("looks", "What the network looks at", tuple(blocks))


def _blocks(context: Context, run: str) -> list[Block]:
    from kit.profiles.looks import channel_use, patch_maps  # torch is needed from here on
    from kit.profiles.opening import open_run

    what = f"what the network of {run} looks at"
    try:
        backbone = open_run(context.work, run)
        keys = _choose(context, backbone.channels)
        found: list[Block] = _maps(context, run, backbone, patch_maps(backbone, keys)) if keys else []
    except (KitError, OSError) as error:
        return [Missing(what, f"a whole checkpoint and sites with its channels: {error}")]
    try:
        return [*found, _channels(context, run, channel_use(backbone), backbone.config.embed.side)]
    except KitError as error:
        return [*found, Missing(f"which channel matters to {run}", f"plates that share perturbations: {error}")]


def _choose(context: Context, channels: Sequence[str]) -> "list[Key]":
    """Return the first site of a control well and of wells of the strongest perturbations."""
    sites = context.work.sites_with(channels)[[PLATE, WELL, SITE]].merge(context.wells, on=[PLATE, WELL])
    ranked, _ = strengths(context)
    wanted = [sites[sites["is_control"]]]
    for label in ranked.sort_values("strength", ascending=False)["label"].drop_duplicates().head(SITES - 1):
        wanted.append(sites[(sites["label"] == label) & ~sites["is_control"]])
    first = [own.sort_values([PLATE, WELL, SITE]).iloc[0] for own in wanted if len(own)]
    return [(str(row[PLATE]), str(row[WELL]), int(row[SITE])) for row in first] or list(
        sites[[PLATE, WELL, SITE]].head(SITES).itertuples(index=False, name=None)
    )


def _maps(context: Context, run: str, backbone: "Backbone", maps: "PatchMaps") -> list[Block]:
    """Return the sites, each above its patches, and the patches of the first found again in the others."""
    name_of = context.wells.set_index([PLATE, WELL])["name"].to_dict()
    channels = tuple(name for name, _ in mixed(backbone.channels))
    levels = [context.work.read_site(*key, channels=channels) for key in maps.keys]
    tiles = [Tile(channels, site_CHW.astype(np.float32)) for site_CHW in levels]
    scale = windows(tiles)
    views = [_small(tile.shown(scale)[0]) for tile in tiles]
    colours = [enlarged(colour_RR3, _SIDE) for colour_RR3 in maps.colour_BRR3]
    pictures, rows = [], []
    for (plate, well, site), view, colour, colour_RR3 in zip(maps.keys, views, colours, maps.colour_BRR3, strict=True):
        named, where = name_of.get((plate, well), "") or "unknown", f"{plate} {well}, site {site}"
        html = Markup('<img src="{}" alt="{}"><img src="{}" alt="{}"><p class="under">{}</p>').format(
            jpeg_uri(view), f"{named}, {where}", jpeg_uri(colour), f"Patches of {named}, {where}, coloured by the network", where
        )
        pictures.append(Picture(html, _SIDE, named))
        rows += [
            (named, plate, well, site, row, column, *np.round(colour_RR3[row, column], 3))
            for row, column in np.argwhere(np.isfinite(colour_RR3[..., 0]))
        ]
    shares = ", ".join(
        f"{colour} {100 * share:.0f} %" for colour, share in zip(("red", "green", "blue"), maps.share_3, strict=True)
    )
    caption = (
        f"Above a site ({', '.join(f'{name} {colour}' for name, colour in mixed(channels))}), below what {run} makes of its "
        f"patches: their tokens on three principal components, the same for all sites ({shares} of the variance). Alike colours "
        "are alike to the network; patches without contrast, the background, are left out."
    )
    with style():
        drawing = sheet((views, colours), ("site", "patches"), [picture.title for picture in pictures], 2.2)
        table = pd.DataFrame(rows, columns=["perturbation", "plate", "well", "site", "row", "column", "red", "green", "blue"])
        alt = f"Sites and their patches as {run} sees them: {', '.join(picture.title for picture in pictures)}"
        coloured = figure(
            context.files, f"looks_{run}", drawing, table, alt=alt, caption=caption, title=f"Patches, as {run} sees them",
            pictures=pictures,
        )  # fmt: skip
    if len(views) < 2:
        return [coloured]
    return [coloured, matched(context, run, maps, [picture.title for picture in pictures], views)]


def _small(view_HW3: np.ndarray) -> np.ndarray:
    from PIL import Image

    return np.asarray(Image.fromarray(view_HW3).resize((_SIDE, _SIDE), Image.Resampling.LANCZOS))


def _channels(context: Context, run: str, use: "ChannelUse", side: int) -> Figure:
    """Return a bar for each channel: how much wells change without it, and what is left of the score."""
    table = pd.DataFrame({"channel": use.channels, "change": (1 - use.similarity_C).round(4)})
    if use.accuracy is not None and use.accuracy_C is not None:
        table = table.assign(
            accuracy_without=use.accuracy_C.round(4), accuracy_with_all=round(use.accuracy, 4), chance=use.chance
        )
    said = f"Which channel matters to {run}"
    named = {"change of the profile, 0 none to 1": _draw_change}
    if "accuracy_without" in table:
        named["k-NN on other plates without it, %"] = _draw_accuracy
    shown = [Panel(title, f"{said}: {title}", partial(draw, table=table)) for title, draw in named.items()]
    part = "whole" if use.side == side else f"the middle {use.side} of {side} px, for the time it takes"
    caption = (
        f"One channel blanked at a time at {use.sites} sites of {use.plates} plates, {part}. Change: 1 minus the cosine "
        "between a site with all channels and without one, each set centred on its mean; 0: the network does without it. "
        "Channels that say the same stand in for each other, so that no single one may matter."
    )
    alt = f"{said}: {', '.join(f'{row.channel} {row.change:.2f}' for row in table.itertuples())}"
    return panels(
        context.files, f"channels_{run}", shown, table, size=(3.7, 0.34 * len(table) + 0.75), across=2, alt=alt, caption=caption,
        title=said,
    )  # fmt: skip


def _draw_change(axes: "Axes", table: pd.DataFrame) -> None:
    axes.barh(table["channel"], table["change"], 0.62, color=PALETTE[0])
    axes.set(xlim=(0, max(1.0, table["change"].max())), ylim=(len(table) - 0.5, -0.5))
    axes.tick_params(axis="y", length=0)


def _draw_accuracy(axes: "Axes", table: pd.DataFrame) -> None:
    axes.barh(table["channel"], 100 * table["accuracy_without"], 0.62, color=PALETTE[0])
    axes.axvline(100 * table["accuracy_with_all"].iloc[0], color=INK, linestyle="--", linewidth=1, label="with all")
    axes.axvline(100 * table["chance"].iloc[0], color=MUTED, linestyle=":", linewidth=1.6, label="chance")
    axes.set(xlim=(0, 100), ylim=(len(table) - 0.5, -0.5))
    axes.tick_params(axis="y", length=0)
    axes.legend(loc="lower right")
