"""The sites table of a plate: from the records of its wells, its positions and its metadata."""

import numpy as np
import pandas as pd

from kit.images.ingest.well import WellRecord
from kit.images.labels import Labels
from kit.images.names import well_position
from kit.images.source.positions import Positions

_COUNTS = ("least", "most", "black", "white", "low", "high", "saturated", "sum8", "sumsq8", "crc")
_WHO = ("Metadata_Plate", "Metadata_Well", "Metadata_Site")
_NAMES = {"least": "min", "most": "max"}


def sites_table(plate: str, records: list[WellRecord], channels: tuple[str, ...], positions: Positions) -> pd.DataFrame:
    """Return one row per stored site, in plate order.

    Columns: Metadata_Plate, Metadata_Well, Metadata_Site, x_um, y_um (micrometres from the well's centre, y up),
    position_source, channels, and per channel <Channel>_min, _max, _mean, _sd (counts), _levels (grey levels between _low and
    _high), _focus, _saturated (pixels), _black and _white (the counts that became 0 and 255), _low and _high (counts at
    percentiles 0.5 and 99.5), _sum8 and _sumsq8 (of the levels), _crc (CRC-32C of the stored pixels). With --scale image-robust
    also _hot (pixels that were replaced); the others, _saturated apart, are then of the image after that.
    """
    rows: dict[tuple[str, int], dict] = {}
    for record in records:
        for image in record.images:
            x, y = positions.of(record.well, image["site"])
            who = {"Metadata_Plate": plate, "Metadata_Well": record.well, "Metadata_Site": image["site"], "x_um": x, "y_um": y}
            row = rows.setdefault((record.well, image["site"]), {**who, "position_source": positions.source, "channels": []})
            row["channels"].append(image["channel"])
            row.update(_image_columns(image))
    ordered = [rows[key] for key in sorted(rows, key=lambda key: (well_position(key[0]), key[1]))]
    for row in ordered:
        row["channels"] = ",".join(name for name in channels if name in row["channels"])
        if np.isnan(row["x_um"]):
            row["position_source"] = "none"
    table = pd.DataFrame(ordered)
    own = [column for column in map(str, table) if column in ("position_source", "channels") or column.startswith("Metadata_")]
    own[3:3] = ["x_um", "y_um"]
    columns = [f"{channel}_{name}" for channel in channels for name in _column_names() if f"{channel}_{name}" in table]
    table = table[[*own, *columns]]
    whole = [column for column in columns if not column.endswith(("_mean", "_sd", "_focus"))]
    return table.astype({column: "Int64" if table[column].isna().any() else "int64" for column in whole})


def add_labels(table: pd.DataFrame, plate: str, labels: Labels) -> pd.DataFrame:
    """Return the table with the labels of its wells, in place of those it had."""
    wells = list(dict.fromkeys(table["Metadata_Well"]))
    return table.drop(columns=label_columns(table)).merge(labels.of_wells(plate, wells), on="Metadata_Well", how="left")


def label_columns(table: pd.DataFrame) -> list[str]:
    """Return the columns of a sites table that hold labels."""
    return [column for column in map(str, table) if column.startswith("Metadata_") and column not in _WHO]


def level_sums(records: list[WellRecord]) -> dict[str, dict[str, int]]:
    """Return channel -> n, sum and sumsq of the levels of all the plate's pixels, exact."""
    totals: dict[str, dict[str, int]] = {}
    for image in (image for record in records for image in record.images):
        total = totals.setdefault(image["channel"], {"n": 0, "sum": 0, "sumsq": 0})
        total["n"] += image["pixels"]
        total["sum"] += image["sum8"]
        total["sumsq"] += image["sumsq8"]
    return totals


def _image_columns(image: dict) -> dict:
    n, total, squares = image["pixels"], image["sum"], image["sumsq"]
    columns = {_NAMES.get(key, key): image[key] for key in _COUNTS}
    columns["mean"] = total / n
    columns["sd"] = (n * squares - total * total) ** 0.5 / n
    columns |= {"levels": image["levels"], "focus": image["focus"]}
    if image.get("hot", -1) >= 0:  # it was looked for
        columns["hot"] = image["hot"]
    return {f"{image['channel']}_{key}": value for key, value in columns.items()}


def _column_names() -> list[str]:
    counts = ["min", "max", "mean", "sd", "levels", "focus", "saturated", "hot", "black", "white", "low", "high"]
    return [*counts, "sum8", "sumsq8", "crc"]
