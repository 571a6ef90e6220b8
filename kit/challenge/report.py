"""An HTML report on a work folder: scores with what stands beside them, plates, runs. One self-contained file."""

import base64
import datetime
import io
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jinja2
import numpy as np
import pandas as pd

from kit.challenge.columns import short
from kit.challenge.report_beside import beside_table
from kit.challenge.score_text import accuracy, chance, direction_names, is_down, notes_of, percent, reasons_of, rules_text
from kit.errors import KitError
from kit.files import write_whole
from kit.images.names import well_position
from kit.profiles.table import PLATE, SITE, WELL, open_parquet
from kit.recipe import load_config
from kit.version import __version__
from kit.words import count, some

if TYPE_CHECKING:
    from kit.images.store.work import Work

_MAPS_A_ROW = 4


def report(work: "Work", out: Path) -> Path:
    """Write the page to `out` and return it. Scores are read from score*.json in the work folder and next to the page."""
    sites = work.sites
    if sites.empty:
        raise KitError(f"{work.path} has no plates: run kit ingest first")
    batches, perturbation = _values(sites, "Metadata_Batch"), work.perturbation
    channel = "DNA" if "DNA_mean" in sites else next((name for name in work.channels if f"{name}_mean" in sites), None)
    page = _template().render(
        title=f"{work.path.resolve().name}: {', '.join(batches) or count(len(work.plates), 'plate')}",
        made=[batch for batch in batches if batch.startswith("MADE_")],
        scores=[(name, _score_table(scores)) for name, scores in _read_scores([work.path, Path(out).parent])],
        plates=[_plate_row(str(plate), rows, work.channels, perturbation) for plate, rows in sites.groupby(PLATE, sort=True)],
        perturbation=short(perturbation) if _values(sites, perturbation) else None,
        differences=_differences(sites),
        runs=[_run_row(folder) for folder in sorted((work.path / "runs").glob("*")) if folder.is_dir()],
        heat_map=_heat_maps(sites, f"{channel}_mean") if channel else None,
        heat_channel=channel,
        version=__version__,
        made_on=f"{datetime.datetime.now(datetime.UTC):%Y-%m-%d %H:%M} UTC",
    )
    write_whole(Path(out), page)
    return Path(out)


def _template() -> jinja2.Template:
    environment = jinja2.Environment(loader=jinja2.FileSystemLoader(Path(__file__).parent), autoescape=True)
    return environment.get_template("report.html.j2")


def _read_scores(folders: list[Path]) -> list[tuple[str, dict[str, Any]]]:
    paths = {path.resolve(): path for folder in folders for path in sorted(folder.glob("score*.json"))}
    found = []
    for path in paths.values():
        try:
            scores = json.loads(path.read_text())
        except ValueError as error:
            raise KitError(f"{path} is not valid JSON: {error}") from error
        if isinstance(scores, dict) and scores.get("schema") == 1:
            table = scores.get("files", {"k-NN accuracy": scores})
            if not table or any("directions" not in result for result in table.values()):
                raise KitError(f"{path} was not written by kit score --json; move it elsewhere")
            found.append((path.name, table))
    return found


def _score_table(scores: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """Return a score file as rows of cells: a row for each score, or for each direction with a value where there are many."""
    results, names = list(scores.values()), direction_names(scores.values())
    heads = [name + (" *" if result.get("uses_well_position") else "") for name, result in scores.items()]
    values = [[percent(accuracy(result, name)) for name in names] + [percent(result["mean"])] for result in results]
    levels = list(map(chance, results))
    if not is_down(results):
        head = [*names, "mean"]
        rows = [[name, *cells] for name, cells in zip(heads, values, strict=True)]
        rows += [["chance", *[level] * len(head)] for level in dict.fromkeys(levels)]
    else:
        head = heads
        rows = [[name, *cells] for name, *cells in zip([*names, "mean"], *values, strict=True)] + [["chance", *levels]]
    return {
        "head": head,
        "rows": rows,
        "rule": f"k-NN, {rules_text(results[0])}",
        "notes": reasons_of(scores) + notes_of(scores),
        "leaks": any(result.get("uses_well_position") for result in results),
        "beside": [(name, table) for name, result in scores.items() if (table := beside_table(result))],
    }


def _values(table: pd.DataFrame, column: str) -> list[str]:
    """Return the values of a column in order, without those that are unknown."""
    return sorted(set(map(str, table[column].dropna())) - {""}) if column in table else []


def _differences(sites: pd.DataFrame) -> list[str]:
    """Return the columns of which every plate has one value and not all the same, with their values."""
    names = [name for name in map(str, sites) if name.startswith("Metadata_") and name not in (PLATE, WELL, SITE)]
    of_plates = [name for name in names if (sites.groupby(PLATE)[name].nunique(dropna=False) == 1).all()]
    found = {short(name): _values(sites, name) for name in of_plates}
    return [f"{name} ({some(values)})" for name, values in found.items() if len(values) > 1]


def _plate_row(plate: str, sites: pd.DataFrame, channels: tuple[str, ...], perturbation: str) -> dict[str, Any]:
    wells, fields = sites.drop_duplicates(WELL), sites[SITE].nunique()
    most = sites["channels"].str.count(",").max()
    control = wells["Metadata_is_control"].eq(True) if "Metadata_is_control" in wells else pd.Series(False, index=wells.index)
    label = wells[perturbation].fillna("") if perturbation in wells else pd.Series("", index=wells.index)
    return {
        "name": plate,
        "batch": ", ".join(_values(sites, "Metadata_Batch")) or "-",
        "line": ", ".join(_values(sites, "Metadata_Cell_type")) or ("-" if _is_labelled(wells) else "unlabelled"),
        "wells": len(wells),
        "sites": len(sites),
        "missing": len(wells) * fields - len(sites),
        "lacking": int((sites["channels"].str.count(",") < max(most, len(channels) - 1)).sum()),
        "source": ", ".join(_values(sites, "position_source")) or "-",
        "labels": label[~control & (label != "")].nunique(),
        "controls": int(control.sum()),
        "unknown": int((~control & (label == "")).sum()),
    }


def _is_labelled(wells: pd.DataFrame) -> bool:
    others = {PLATE, WELL, SITE, "Metadata_is_control"}
    return any(_values(wells, column) for column in map(str, wells) if column.startswith("Metadata_") and column not in others)


def _run_row(folder: Path) -> dict[str, Any]:
    config = load_config(folder / "run.toml") if (folder / "run.toml").is_file() else None
    lines = (folder / "metrics.jsonl").read_text().splitlines() if (folder / "metrics.jsonl").is_file() else []
    steps = [line for line in map(_parsed, lines) if "loss" in line]
    last = steps[-1] if steps else {}
    sites = sum(open_parquet(path).metadata.num_rows for path in (folder / "features").glob("*.parquet"))
    return {
        "name": folder.name,
        "recipe": config.recipe if config else "-",
        "channels": ", ".join(config.channels) if config else "-",
        "steps": last.get("step", "-"),
        "loss": f"{last['loss']:.3f}" if last else "-",
        "minutes": f"{last['minutes']:.1f}" if "minutes" in last else "-",
        "features": f"{sites} sites" if sites else "-",
    }


def _parsed(line: str) -> dict[str, Any]:
    try:
        return json.loads(line)
    except ValueError:  # the last line of a run that was killed
        return {}


def _heat_maps(sites: pd.DataFrame, column: str) -> str:
    """Return a PNG in base64: for every plate the wells' mean of a sites column, at their rows and columns."""
    from matplotlib.figure import Figure  # slow to import, and only a page needs it

    wells = sites.groupby([PLATE, WELL])[column].mean().astype(float)
    plates = wells.index.get_level_values(PLATE).unique()
    places = np.array([well_position(well) for well in wells.index.get_level_values(WELL)])
    shape = tuple(places.max(axis=0))
    rows = -(-len(plates) // _MAPS_A_ROW)
    figure = Figure(
        figsize=(3 * _MAPS_A_ROW, 3 * rows * max(0.5, min(1.0, shape[0] / shape[1])) + 0.4), dpi=80, layout="constrained"
    )
    axes = figure.subplots(rows, _MAPS_A_ROW, squeeze=False).ravel()
    for axis in axes:
        axis.set_axis_off()
    for axis, plate in zip(axes, plates, strict=False):
        here = wells.index.get_level_values(PLATE) == plate
        grid = np.full(shape, np.nan)
        grid[tuple(places[here].T - 1)] = wells[here]
        axis.imshow(grid, cmap="viridis")
        axis.set_title(plate, fontsize=8)
    image = io.BytesIO()
    figure.savefig(image, format="png")
    return base64.b64encode(image.getvalue()).decode()
