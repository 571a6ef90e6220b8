"""kit ingest: plates of TIFFs become a packed store. A whole well is the unit of work, of committing and of resuming."""

import contextlib
from dataclasses import replace

from kit.images.ingest.groups import grouping
from kit.images.ingest.inputs import check_labels, open_inputs, plan_labels, strangers
from kit.images.ingest.lock import disk_errors, only_one, settle
from kit.images.ingest.naming import lacking_channels
from kit.images.ingest.pack import pack_plates
from kit.images.ingest.plan import IngestPlan
from kit.images.ingest.report import IngestReport
from kit.images.ingest.runners import Cluster, Threads
from kit.images.ingest.scan import scan_plates
from kit.images.source.folders import Reader
from kit.images.source.source import choose_plates
from kit.images.store.verify import verify as check_store
from kit.images.store.work import open_work


def ingest(plan: IngestPlan) -> IngestReport:
    """Pack the plan's plates into its work folder; existing wells are kept. Without a source, label those that are packed.

    Raises:
        UsageError: nothing to do, or settings that differ from the store's.
        KitError: the disk is full, another ingest is running, or (strict) an image is bad; the same call continues where
            it stopped. A plate with too many bad images is in the report's `failed`, and the others are packed.
    """
    if plan.source is None:
        return label_packed(plan)
    inputs = open_inputs(plan)
    with disk_errors(plan.work), only_one(plan.work), workers_of(plan, inputs.reader) as workers:
        settle(plan.work, plan.settings)
        complete = scan_plates(plan.folder, inputs.barcodes, inputs.labels, inputs.groups)
        packed = pack_plates(complete.waiting, plan, inputs, workers)
        report = IngestReport(
            plan.work,
            plates=sorted(packed.plates, key=lambda plate: plate.barcode),
            already=complete.already,
            relabelled=complete.relabelled,
            regrouped=complete.regrouped,
            unlabelled=list(complete.unlabelled),
            kept_labels=complete.kept,
            strangers=strangers(inputs.labels, inputs.source.plates),
            lacking=lacking_channels({p.barcode: p.channels for p in packed.plates if p.channels_said}, inputs.groups.plates),
            failed=complete.failed + packed.failed,
            seconds=packed.seconds,
            notes=inputs.notes,
        )
        return verified(report, inputs.barcodes, plan.jobs) if plan.verify else report


def label_packed(plan: IngestPlan, *, write: bool = True) -> IngestReport:
    """Bring labels and groups of the packed plates up to date, from tables and options alone: the images may be gone.

    Raises:
        UsageError: there is no store, or no such plate in it. KitError: as `ingest`.
    """
    packed, labels = open_work(plan.work).plates, plan_labels(plan)
    barcodes = choose_plates(packed, tuple(plan.plates))
    check_labels(barcodes, labels, named=bool(plan.plates))
    groups = grouping(plan.folder, plan.groups, barcodes)
    groups.check(groups.there)
    with only_one(plan.work) if write else contextlib.nullcontext(), disk_errors(plan.work):
        scan = scan_plates(plan.folder, barcodes, labels, groups, write=write)
    return IngestReport(
        plan.work,
        already=scan.already,
        relabelled=scan.relabelled,
        regrouped=scan.regrouped,
        unlabelled=list(scan.unlabelled),
        kept_labels=scan.kept,
        strangers=strangers(labels, packed),
        failed=scan.failed,
        dry=not write,
    )


def workers_of(plan: IngestPlan, reader: Reader) -> Threads | Cluster:
    """Return the runner that packs the wells.

    Raises:
        UsageError: no scheduler answers under the address of a cluster.
    """
    return Cluster(plan.dask, reader) if plan.dask else Threads(plan.jobs, reader)


def verified(report: IngestReport, barcodes: list[str], jobs: int) -> IngestReport:
    """Read the plates back and check their checksums; return the report with the result."""
    store = open_work(report.work)
    found = check_store(store, [barcode for barcode in barcodes if barcode in store.plates], jobs)
    failed = [f"{damage}; delete the plate's files in {report.work / 'plates'} and ingest it again" for damage in found.damaged]
    return replace(report, verified=found.images, damaged=found.damaged, failed=report.failed + failed)
