"""The plates: what each holds."""

import pandas as pd

from kit.challenge.columns import short
from kit.profiles.table import PLATE, SITE, WELL
from kit.report.blocks import Section, Table, Text
from kit.report.context import Context, differences, values
from kit.words import some

_HEAD = ["plate", "batch", "cell line", "wells", "sites", "sites missing", "sites lacking a channel", "positions from",
         "perturbations", "controls", "wells without a label"]  # fmt: skip


def section(context: Context) -> Section:
    """Return the table of plates."""
    sites, perturbation = context.sites, context.work.perturbation
    labels = (
        f"The perturbation of a well is its {short(perturbation)}." if values(sites, perturbation) else "No well has a label."
    )
    differ = [f"{name} ({some(own)})" for name, own in differences(sites).items()]
    said = labels + (f" The plates differ in {', '.join(differ)}." if differ else "")
    rows = [_row(str(plate), own, context) for plate, own in sites.groupby(PLATE, sort=True)]
    return Section("plates", "Plates", (Table(_HEAD, rows), Text(said)))


def _row(plate: str, sites: pd.DataFrame, context: Context) -> list[object]:
    fields, most = sites[SITE].nunique(), sites["channels"].str.count(",").max()
    wells = context.wells[context.wells[PLATE] == plate]
    line = ", ".join(values(sites, "Metadata_Cell_type")) or ("-" if _is_labelled(sites) else "unlabelled")
    return [
        plate,
        ", ".join(values(sites, "Metadata_Batch")) or "-",
        line,
        len(wells),
        len(sites),
        len(wells) * fields - len(sites),
        int((sites["channels"].str.count(",") < max(most, len(context.work.channels) - 1)).sum()),
        ", ".join(values(sites, "position_source")) or "-",
        wells["label"][~wells["is_control"] & (wells["label"] != "")].nunique(),
        int(wells["is_control"].sum()),
        int((~wells["is_control"] & (wells["label"] == "")).sum()),
    ]


def _is_labelled(sites: pd.DataFrame) -> bool:
    others = {PLATE, WELL, SITE, "Metadata_is_control"}
    return any(values(sites, column) for column in map(str, sites) if column.startswith("Metadata_") and column not in others)
