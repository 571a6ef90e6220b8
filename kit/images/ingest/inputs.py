"""The inputs of an ingest: its plan's source, tables and positions, opened and checked."""

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from kit.errors import KitError
from kit.images.ingest.plan import IngestPlan
from kit.images.labels import Labels, read_labels
from kit.images.source.folders import Folder, Reader
from kit.images.source.locate import Locator
from kit.images.source.source import Source, choose_plates, open_source
from kit.words import nearest, some

_REQUESTS_AHEAD = 64  # remote files to prefetch, over all wells in progress


@dataclass(frozen=True)
class Inputs:
    """Where images, labels and positions come from, and the plates to take."""

    source: Source
    barcodes: list[str]
    labels: Labels
    locator: Locator
    reader: Reader


def open_inputs(plan: IngestPlan) -> Inputs:
    """Open what the plan names; nothing is written.

    Raises:
        UsageError: no such source, or no such plate in it.
        KitError: a table cannot be used, or requested plates have no labels in it.
    """
    assert plan.source is not None
    labels = plan_labels(plan)
    reader = Reader(ahead=max(2, _REQUESTS_AHEAD // plan.jobs))
    source = open_source(plan.source, reader)
    barcodes = choose_plates(source.plates, tuple(plan.plates))
    check_labels(barcodes, labels, named=bool(plan.plates))
    folders: list[str | Path | None] = [plan.load_data, source.folder.path, plan.metadata]
    places = [Folder(str(folder)) for folder in folders if folder is not None]
    return Inputs(source, barcodes, labels, Locator(source, reader, places, labels.official, plan.layout), reader)


def plan_labels(plan: IngestPlan) -> Labels:
    """Read the labels that the plan names; errors as `read_labels`."""
    return read_labels(plan.metadata, plan.labels, (plan.perturbation or "").strip(), (plan.control or "").strip())


def check_labels(barcodes: list[str], labels: Labels, *, named: bool) -> None:
    """Check for labels: some plates may lack them, but not one named in --plates, nor all.

    Raises:
        KitError: naming plate and reason, the table that lacks a column, or the well whose labels contradict each other.
    """
    if not labels.options:
        return
    reasons = {barcode: reason for barcode in barcodes if (reason := labels.why_unlabelled(barcode))}
    if reasons and (named or len(reasons) == len(barcodes)):
        barcode, reason = next(iter(reasons.items()))
        if labels.file is None:
            assert labels.official is not None
            raise KitError(f"plate {barcode} has no labels in {labels.official.folder}: {reason}")
        there = f"{nearest(barcode, labels.file.plates, cutoff=0.6)}; the file has {some(labels.file.plates)}"
        raise KitError(f"plate {barcode} has no labels: {reason.replace(labels.file.path.name, str(labels.file.path))}{there}")
    labels.check(barcodes)  # a table that cannot be used stops the ingest here, not after hours of packing


def strangers(labels: Labels, there: Collection[str]) -> list[str]:
    """Return the plates of --labels that are not there."""
    return [plate for plate in labels.file.plates if plate not in there] if labels.file else []
