"""The inputs of an ingest: its plan's source, tables and positions, opened and checked."""

from dataclasses import dataclass
from pathlib import Path

from kit.errors import KitError
from kit.images.ingest.plan import IngestPlan
from kit.images.metadata import Metadata, read_metadata
from kit.images.source.folders import Folder, Reader
from kit.images.source.locate import Locator
from kit.images.source.source import Source, choose_plates, open_source

_REQUESTS_AHEAD = 64  # remote files to prefetch, over all wells in progress


@dataclass(frozen=True)
class Inputs:
    """Where images, labels and positions come from, and the plates to take."""

    source: Source
    barcodes: list[str]
    metadata: Metadata | None
    locator: Locator
    reader: Reader


def open_inputs(plan: IngestPlan) -> Inputs:
    """Open what the plan names; nothing is written.

    Raises:
        UsageError: no such source, or no such plate in it.
        KitError: a table cannot be used, or requested plates have no labels in it.
    """
    metadata = None if plan.metadata is None else read_metadata(plan.metadata)
    reader = Reader(ahead=max(2, _REQUESTS_AHEAD // plan.jobs))
    source = open_source(plan.source, reader)
    barcodes = choose_plates(source.plates, tuple(plan.plates))
    check_labels(barcodes, metadata, named=bool(plan.plates))
    folders: list[str | Path | None] = [plan.load_data, source.folder.path, plan.metadata]
    places = [Folder(str(folder)) for folder in folders if folder is not None]
    return Inputs(source, barcodes, metadata, Locator(source, reader, places, metadata, plan.layout), reader)


def check_labels(barcodes: list[str], metadata: Metadata | None, *, named: bool) -> None:
    """Check for labels: some plates may lack them, but not one named in --plates, nor all.

    Raises:
        KitError: naming plate and reason, or the table that lacks a column.
    """
    if metadata is None:
        return
    reasons = {barcode: reason for barcode in barcodes if (reason := metadata.why_unlabelled(barcode))}
    if reasons and (named or len(reasons) == len(barcodes)):
        barcode, reason = next(iter(reasons.items()))
        raise KitError(f"plate {barcode} has no labels in {metadata.folder}: {reason}")
    for barcode in barcodes:
        if barcode not in reasons:
            metadata.wells(barcode)  # a table without a needed column stops the ingest here, not after hours of packing
