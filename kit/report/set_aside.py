"""What is not there, or not as it should be: wells, sites and images, with the reason."""

import pandas as pd

from kit.images.ingest.quality import BLURRED
from kit.images.store.tables import read_record
from kit.profiles.table import PLATE, SITE, WELL
from kit.report.blocks import Block, Section, Table, Text
from kit.report.context import Context
from kit.words import some

_COLUMNS = ["plate", "well", "site", "what", "why"]
_MEANS = {
    "site missing": "other wells of the plate have it",
    "site lacks a channel": "left out where that channel is asked for",
    "empty site": "no cells by contrast; flagged, still used",
    "blurred site": f"focus below {BLURRED} of the plate's median; flagged, still used",
    "image set aside": "could not be read; its site lacks the channel",
    "well without a label": "never scored, never a control",
}


def section(context: Context) -> Section:
    """Return a row for each reason, and all of them as CSV."""
    found = faults(context)
    blocks: list[Block] = []
    if found.empty:
        blocks.append(Text("Nothing: every well has all its sites, every site all its channels, none is empty or blurred."))
    else:
        folder = context.files.write("set_aside", found)
        rows = []
        for what, own in found.groupby("what", sort=False):
            where = [
                " ".join(str(part) for part in row if part != "")
                for row in own[["plate", "well", "site"]].itertuples(index=False)
            ]
            rows.append([what, len(own), own["plate"].nunique(), some(where, 3), _MEANS[str(what)]])
        blocks.append(
            Table(
                ["what", "how many", "on plates", "where", "what that means"],
                rows,
                words=True,
                notes=(f"All of them: {folder}/set_aside.csv",),
            )
        )
    return Section("set_aside", "Missing, empty, blurred, set aside", tuple(blocks))


def faults(context: Context) -> pd.DataFrame:
    """Return a row for each: plate, well, site, what and why; texts, "" where it does not apply."""
    parts = [_missing(context), _lacking(context), _flagged(context), _bad(context), _unlabelled(context)]
    return pd.DataFrame([row for part in parts for row in part], columns=_COLUMNS).astype(str)


def _missing(context: Context) -> list[tuple]:
    rows = []
    for plate, own in context.sites.groupby(PLATE, sort=True):
        every = set(own[SITE])
        for well, sites in own.groupby(WELL)[SITE]:
            rows += [(plate, well, site, "site missing", "") for site in sorted(every - set(sites))]
    return rows


def _lacking(context: Context) -> list[tuple]:
    rows = []
    for plate, own in context.sites.groupby(PLATE, sort=True):
        every = set(context.work.container(str(plate)).channels)
        for well, site, channels in own.loc[own["channels"].str.count(",") < len(every) - 1, [WELL, SITE, "channels"]].itertuples(
            index=False
        ):
            rows.append((plate, well, site, "site lacks a channel", ", ".join(sorted(every - set(channels.split(","))))))
    return rows


def _flagged(context: Context) -> list[tuple]:
    sites, rows = context.sites, []
    empty = sites["empty"].eq(True) if "empty" in sites else pd.Series(False, index=sites.index)
    blurred = (sites["focus"] < BLURRED) & ~empty if "focus" in sites else pd.Series(False, index=sites.index)
    for what, flag in (("empty site", empty), ("blurred site", blurred)):
        rows += [
            (plate, well, site, what, "") for plate, well, site in sites.loc[flag, [PLATE, WELL, SITE]].itertuples(index=False)
        ]
    return rows


def _bad(context: Context) -> list[tuple]:
    rows = []
    for plate in context.work.plates:
        record = read_record(context.work.path / "plates" / f"{plate}.parquet")
        for bad in record.get("bad", ()):
            rows.append(
                (
                    plate,
                    bad.get("well", ""),
                    bad.get("site", ""),
                    "image set aside",
                    f"{bad.get('path', '')}: {bad.get('reason', '')}",
                )
            )
    return rows


def _unlabelled(context: Context) -> list[tuple]:
    wells = context.wells
    blank = wells[~wells["is_control"] & (wells["label"] == "")]
    return [(plate, well, "", "well without a label", "") for plate, well in blank[[PLATE, WELL]].itertuples(index=False)]
