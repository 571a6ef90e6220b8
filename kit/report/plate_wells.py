"""Plates as plates: one under the pointer, and a map of all for each number that is known of wells."""

from kit.report.blocks import Section
from kit.report.context import Context
from kit.report.plate_chart import plate_chart
from kit.report.plate_maps import plate_maps
from kit.report.well_measures import measures

_OPEN = 8  # plates of which every map is shown; of more only the first measure's, until the others are asked for


def section(context: Context) -> Section:
    """Return the chart and the maps, and what is missing of them."""
    found, missing = measures(context)
    many = len(context.work.plates) > _OPEN
    maps = [
        plate_maps(
            context.files,
            f"plates_{one.name}",
            one.values,
            one.name,
            title=one.title,
            caption=one.caption,
            limits=one.limits,
            folded=many and number > 0,
        )
        for number, one in enumerate(found)
    ]
    return Section("wells", "Plates, well by well", (plate_chart(context, found), *maps, *missing))
