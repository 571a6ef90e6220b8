"""Which plates are complete: they are not packed again, only their labels may be updated."""

import shutil
from dataclasses import dataclass, field
from pathlib import Path

from kit.errors import KitError
from kit.images.ingest.groups import Grouping, regroup
from kit.images.ingest.labels import relabel, why_unlabelled
from kit.images.labels import Labels


@dataclass(frozen=True)
class Scan:
    """The plates of an ingest, by what is to be done with them."""

    waiting: list[str] = field(default_factory=list)  # to be packed
    already: list[str] = field(default_factory=list)  # complete
    relabelled: dict[str, list[str]] = field(default_factory=dict)  # of these, given other labels now: notes on them
    regrouped: list[str] = field(default_factory=list)  # of these, their channels put into other groups
    unlabelled: dict[str, str] = field(default_factory=dict)  # of these, still without labels: why
    kept: list[str] = field(default_factory=list)  # of these, not in --labels: they keep the labels they had
    failed: list[str] = field(default_factory=list)  # what is wrong with the tables of others


def scan_plates(folder: Path, barcodes: list[str], labels: Labels, groups: Grouping, *, write: bool = True) -> Scan:
    """Pass over the plates that are complete in `folder`, and bring their labels and groups up to date.

    Args:
        write: False: only say what would change.
    """
    scan = Scan()
    for barcode in barcodes:
        table = folder / f"{barcode}.parquet"
        if not table.is_file():
            scan.waiting.append(barcode)
            continue
        if write:
            _tidy(folder, barcode)
        try:
            notes = relabel(table, labels, write=write)
            unlabelled = why_unlabelled(table) if notes is None else ""
            regrouped = regroup(table, groups, write=write)
        except KitError as error:
            scan.failed.append(str(error))
            continue
        scan.already.append(barcode)
        if notes is not None:
            scan.relabelled[barcode] = notes
        if regrouped:
            scan.regrouped.append(barcode)
        if unlabelled:
            scan.unlabelled[barcode] = unlabelled
        elif labels.file is not None and not labels.is_labelled(barcode):
            scan.kept.append(barcode)
    return scan


def _tidy(folder: Path, barcode: str) -> None:
    """Remove leftovers of an ingest that was killed just after it completed the plate."""
    shutil.rmtree(folder / f"{barcode}.progress", ignore_errors=True)
