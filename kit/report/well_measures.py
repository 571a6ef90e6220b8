"""What is known of every well, a column each: recognised, cells, focus, saturation, counts of one channel, sites."""

import json
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd

from kit.challenge.columns import short
from kit.profiles.table import PLATE, WELL
from kit.recipe import load_config
from kit.report.blocks import Missing
from kit.report.context import Context
from kit.words import typed

NUCLEI = " nuclei log count"  # how `kit embed --baseline texture` names logarithm of 1 + nuclei of a site


@dataclass(frozen=True, slots=True)
class Measure:
    """A number of wells. values: PLATE, WELL and the column `name`. limits: of the colours, None: as they are."""

    name: str
    title: str
    caption: str
    values: pd.DataFrame
    limits: tuple[float, float] | None = None


def measures(context: Context) -> tuple[list[Measure], list[Missing]]:
    """Return the measures in the order of the page, and what is missing of them."""
    made = [make(context) for make in _MAKERS]
    return [one for one in made if isinstance(one, Measure)], [one for one in made if isinstance(one, Missing)]


def well_table(context: Context, found: list[Measure]) -> pd.DataFrame:
    """Return every well with all its measures and who it is."""
    table = context.wells.rename(columns={"label": short(context.work.perturbation)})
    for one in found:
        table = table.merge(one.values, on=[PLATE, WELL], how="left")
    return table


def _recognised(context: Context) -> Measure | Missing:
    found = context.recognised
    if isinstance(found, str):
        return Missing("how often each well is recognised", found)
    values = found.shares.assign(recognised=100 * found.shares["share"])[[PLATE, WELL, "recognised"]]
    caption = (
        f"How often a well's nearest wells on other plates name its perturbation, over all directions ({context.profiles.said}). "
        "Controls are not asked. A dark edge or corner is a fault of the plate, not of a perturbation."
    )
    return Measure("recognised", "Recognised, %", caption, _every_well(context, values), (0, 100))


def _cells(context: Context) -> Measure | Missing:
    for folder in sorted((context.work.path / "runs").glob("*/features")):
        path = folder / "features.json"
        names = json.loads(path.read_text()).get("features", []) if path.is_file() else []
        at = [index for index, name in enumerate(names) if str(name).endswith(NUCLEI)]
        if at:
            column = f"f{at[0]:04d}"
            files = sorted(folder.glob("*.parquet"))
            sites = pd.concat([pd.read_parquet(file, columns=[PLATE, WELL, column]) for file in files], ignore_index=True)
            sites["nuclei"] = np.expm1(sites[column].astype("float64"))
            stain = names[at[0]].removesuffix(NUCLEI)
            caption = (
                f"Nuclei found in {stain}, mean over the sites of a well. Few cells: a toxic perturbation, or an empty well."
            )
            return Measure("nuclei", "Nuclei per site", caption, _mean(context, sites, "nuclei"))
    runs = [path for path in sorted((context.work.path / "runs").glob("*")) if (path / "run.toml").is_file()]
    run = next((path.name for path in runs if "DNA" in load_config(path / "run.toml").channels), "RUN")  # of brightfield: none
    how = f"kit embed --work {typed(context.work.path)} --run {run} --baseline texture counts nuclei where a channel shows DNA"
    return Missing("a map of cell counts: no run has counted nuclei", how)


def _focus(context: Context) -> Measure | Missing:
    caption = (
        "Sharpness over the plate's median, of the channel that falls lowest, mean over sites. 1 is usual; a site below 0.5 is "
        "blurred."
    )
    return _of_sites(context, "focus", "Focus", caption, 1.0)


def _saturation(context: Context) -> Measure | Missing:
    caption = "Pixels at the camera's largest count, of the channel that has most, mean over sites."
    return _of_sites(context, "saturated_share", "Saturated pixels, %", caption, 100.0)


def _intensity(context: Context) -> Measure | Missing:
    measured = [channel for channel in ("DNA", *context.work.channels) if f"{channel}_mean" in context.sites]
    if not measured:
        return Missing("a map of intensity: this store keeps no mean counts", "ingest the plates again with this version of kit")
    caption = "Camera counts, mean over the sites of a well. Bright or dim edges and stripes are the plate's, not the cells'."
    return _of_sites(context, f"{measured[0]}_mean", f"Mean {measured[0]} count", caption, 1.0)


def _sites(context: Context) -> Measure | Missing:
    values = context.sites.groupby([PLATE, WELL]).size().rename("sites").astype("float64").reset_index()
    return Measure(
        "sites", "Sites per well", "How many sites of a well are in the store.", values, (0.0, float(values["sites"].max()))
    )


_MAKERS: tuple[Callable[[Context], Measure | Missing], ...] = (
    _recognised, _cells, _focus, _saturation, _intensity, _sites,
)  # fmt: skip


def _of_sites(context: Context, column: str, title: str, caption: str, times: float) -> Measure | Missing:
    if column not in context.sites:
        return Missing(
            f"a map of {title.lower()}: this store does not know it", "ingest the plates again with this version of kit"
        )
    sites = context.sites[[PLATE, WELL]].assign(**{column: times * context.sites[column].astype("float64")})
    return Measure(column, title, caption, _mean(context, sites, column))


def _mean(context: Context, sites: pd.DataFrame, column: str) -> pd.DataFrame:
    return _every_well(context, sites.groupby([PLATE, WELL])[column].mean().reset_index())


def _every_well(context: Context, values: pd.DataFrame) -> pd.DataFrame:
    """Return the values of every well of the store, NaN where there is none."""
    return context.wells[[PLATE, WELL]].merge(values, on=[PLATE, WELL], how="left")
