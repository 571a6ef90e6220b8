"""A map of wells: each a point where its profile lies, coloured by what the reader asks for."""

from typing import Any

import numpy as np
import pandas as pd

from kit.profiles.projection import principal_components, umap_plane, umap_rows
from kit.profiles.table import PLATE, WELL, Profiles
from kit.report.blocks import Block, Chart, Missing
from kit.report.charts import chart
from kit.report.colours import MUTED, PALETTE
from kit.report.context import Context, described
from kit.words import count

MOST_POINTS = 6000  # drawn on the page; the CSV has all
OTHER = "others"
_COLOURS = PALETTE[:7]  # without the grey
_SHAPES = ("circle", "square", "triangle-up", "diamond", "cross")  # a colour that comes again has another shape
MOST_NAMED = len(_COLOURS) * len(_SHAPES)


def well_maps(context: Context, strongest: list[str]) -> list[Block]:
    """Return the map of principal components, and of UMAP where it is installed.

    strongest: labels; the first MOST_NAMED have a colour of their own.
    """
    profiles = context.profiles.profiles
    if profiles is None:
        return [Missing("a map of wells", context.profiles.said)]
    wells = map_table(profiles, context.work.perturbation, strongest)
    points_MN, share_N = principal_components(profiles.features_MF, 2)
    if points_MN.shape[1] < 2:
        return [Missing("a map of wells", "profiles of two wells or more, with two features or more")]
    axes = tuple(f"component {number}, {100 * share:.0f} % of the variance" for number, share in enumerate(share_N, 1))
    blocks: list[Block] = [_chart(context, wells, points_MN, "map", "Map of wells", axes)]
    rows = umap_rows(len(wells))
    plane_M2 = umap_plane(profiles.features_MF[rows])
    if plane_M2 is not None:
        title = "Map of wells by UMAP" + (f", {count(len(rows), 'well')} of {len(wells)}" if len(rows) < len(wells) else "")
        blocks.append(_chart(context, wells.iloc[rows], plane_M2, "map_umap", title, ("UMAP 1", "UMAP 2")))
    return blocks


def map_table(profiles: Profiles, perturbation: str, strongest: list[str]) -> pd.DataFrame:
    """Return who each well is, text: plate, well, group, perturbation (its name), and `named`: that, or OTHER."""
    who = described(profiles.who.reset_index(drop=True), profiles.labels.get("perturbation") or perturbation)
    control_M = profiles.is_control_M
    name = who["name"].where(~control_M, "control").where(who["name"] != "", "unknown")
    shown = control_M | who["label"].isin(strongest[: MOST_NAMED - 1]).to_numpy()
    table = pd.DataFrame({"plate": who[PLATE], "well": who[WELL], "group": who["group"], "perturbation": name})
    return table.assign(named=name.where(shown, OTHER))


def _chart(
    context: Context, wells: pd.DataFrame, points_M2: np.ndarray, name: str, title: str, axes: tuple[str, ...]
) -> Chart | Missing:
    table = wells.assign(x=points_M2[:, 0].round(3), y=points_M2[:, 1].round(3)).reset_index(drop=True)
    drawn = table
    if len(table) > MOST_POINTS:
        drawn = table.iloc[np.linspace(0, len(table) - 1, MOST_POINTS).round().astype(int)]
    choices = {"perturbation": "named", **{key: key for key in ("group", "plate") if table[key].nunique() > 1}}
    named = table.loc[table["named"] != OTHER, "named"].nunique()
    total = table["perturbation"].nunique()
    caption = (
        f"Profiles: {context.profiles.said}. Each point is a well; wells that lie together look alike to the features. "
        + (
            f"{named} of {total} perturbations have a colour, those that stand out most; the others are grey. "
            if named < total
            else ""
        )
        + (f"{len(drawn)} of {len(table)} wells are drawn. " if len(drawn) < len(table) else "")
        + "Where plates or groups form clouds of their own, what is read as a perturbation may be a plate."
    )
    alt = f"{title}: {len(drawn)} wells of {count(wells['plate'].nunique(), 'plate')} in a plane, coloured by perturbation"

    def make(altair: Any) -> Any:
        return _specify(altair, drawn, choices, axes)

    return chart(context.files, name, make, table, alt=alt, caption=caption, title=title)


def _specify(altair: Any, drawn: pd.DataFrame, choices: dict[str, str], axes: tuple[str, ...]) -> Any:
    """Return the chart: what has no colour below, what has one above, and rings around what the reader looks for."""
    by = altair.param(
        name="by",
        value="named",
        bind=altair.binding_select(options=list(choices.values()), labels=list(choices), name="colour by "),
    )
    find = altair.param(name="find", value="", bind=altair.binding(input="search", placeholder="part of a name", name="find "))
    shown = altair.Chart(drawn).transform_calculate(shown="datum[by]")
    x, y = (
        channel(
            f"{key}:Q", title=title, scale=altair.Scale(domain=_span(drawn[key])), axis=altair.Axis(ticks=False, labels=False)
        )
        for channel, key, title in ((altair.X, "x", axes[0]), (altair.Y, "y", axes[1]))
    )
    tooltip = ["perturbation:N", "plate:N", "well:N", "group:N"]
    cycle = len(_COLOURS)
    colour = altair.Color(
        "shown:N", scale=altair.Scale(range=list(_COLOURS) * len(_SHAPES)),
        legend=altair.Legend(
            orient="bottom", columns=altair.ExprRef("max(1, floor(width / 165))"), title=None, labelLimit=140,
            symbolLimit=MOST_NAMED,
        ),
    )  # fmt: skip
    shape = altair.Shape("shown:N", scale=altair.Scale(range=[shape for shape in _SHAPES for _ in range(cycle)]))
    below = (
        shown.transform_filter(f"datum.shown === '{OTHER}'")
        .mark_circle(size=14, color=MUTED, opacity=0.45)
        .encode(x=x, y=y, tooltip=tooltip)
    )
    above = (
        shown.transform_filter(f"datum.shown !== '{OTHER}'")
        .mark_point(size=34, filled=True, opacity=0.85)
        .encode(x=x, y=y, color=colour, shape=shape, tooltip=tooltip)
    )
    rings = (
        shown.transform_filter("find !== '' && indexof(lower(datum.perturbation), lower(find)) >= 0")
        .mark_point(size=130, filled=False, strokeWidth=2, color=PALETTE[5])
        .encode(x=x, y=y, tooltip=tooltip)
    )
    return altair.layer(below, above, rings).add_params(by, find).properties(width="container", height=440)


def _span(values: pd.Series) -> list[float]:
    """Return the ends of an axis: a layer that shows nothing must not set them."""
    low, high = float(values.min()), float(values.max())
    margin = 0.04 * (high - low) or 1.0
    return [low - margin, high + margin]
