"""One plate at a time, any measure, under the pointer."""

import re
from typing import Any

import pandas as pd

from kit.images.names import well_position
from kit.profiles.table import PLATE, WELL
from kit.report.blocks import Chart, Missing
from kit.report.charts import chart
from kit.report.colours import MUTED, SCALE
from kit.report.context import Context
from kit.report.plate_frame import row_letters
from kit.report.plate_maps import plate_shape
from kit.report.well_measures import Measure, well_table


def plate_chart(context: Context, found: list[Measure]) -> Chart | Missing:
    """Return a chart of one plate with menus for plate and measure, and every well's numbers under the pointer."""
    wells = well_table(context, found)
    titles = [one.title for one in found]
    shown = wells.rename(columns={one.name: one.title for one in found})
    places = [well_position(well) for well in shown[WELL]]
    data = pd.DataFrame(
        {
            "plate": shown[PLATE], "well": shown[WELL], "row": [row_letters(row) for row, _ in places],
            "column": [column for _, column in places], "group": shown["group"], "name": shown["name"],
            **{title: shown[title].astype("float64").map(_short) for title in titles},
        }
    )  # fmt: skip
    rows, across = plate_shape(shown[WELL])
    columns = list(range(1, across + 1))
    letters = [row_letters(row + 1) for row in range(rows)]
    return chart(
        context.files,
        "plate_wells",
        lambda altair: _make(altair, data, titles, letters, columns),
        wells.rename(columns={PLATE: "plate", WELL: "well"}),
        alt=f"Wells of one plate by row and column, coloured by {', '.join(titles)}; menus choose plate and measure",
        caption="Choose a plate and a measure; a well says its numbers under the pointer. Colours run from this plate's lowest "
        "to its highest well; an outline alone is a well without a number.",
        title="One plate at a time",
    )


def _make(altair: Any, data: pd.DataFrame, titles: list[str], letters: list[str], columns: list[int]) -> Any:
    plates = list(dict.fromkeys(data["plate"]))
    plate = altair.param("plate", value=plates[0], bind=altair.binding_select(options=plates, name="plate "))
    measure = altair.param("measure", value=titles[0], bind=altair.binding_select(options=titles, name="measure "))
    base = (
        altair.Chart(data)
        .transform_filter("datum.plate == plate")
        .transform_calculate(value="datum[measure]")
        .encode(
            x=altair.X(
                "column:O",
                title=None,
                scale=altair.Scale(domain=columns),
                axis=altair.Axis(labelAngle=0, orient="top", ticks=False, domain=False, labelOverlap=True, labelSeparation=4),
            ),
            y=altair.Y("row:N", title=None, scale=altair.Scale(domain=letters), axis=altair.Axis(ticks=False, domain=False)),
            tooltip=[altair.Tooltip(name) for name in ("plate", "well", "group", "name", *map(_field, titles))],
        )
    )
    outline = base.mark_rect(fill="transparent", stroke=MUTED, strokeWidth=0.6)
    filled = (
        base.transform_filter("isValid(datum.value)")
        .mark_rect()
        .encode(
            color=altair.Color(
                "value:Q", scale=altair.Scale(scheme=SCALE), legend=altair.Legend(title=None, orient="bottom", gradientLength=200)
            )
        )
    )
    return altair.layer(outline, filled).add_params(plate, measure).properties(width="container", height=22 * len(letters))


def _field(name: str) -> str:
    """Return a column's name as Vega-Lite reads it: no dots or brackets of its own."""
    return re.sub(r"([.\[\]:])", r"\\\1", name)


def _short(value: float) -> float | None:
    return None if pd.isna(value) else float(f"{value:.4g}")
