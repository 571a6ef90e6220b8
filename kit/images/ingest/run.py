"""kit ingest: plates of TIFFs become a packed store. Whole wells are the unit of work, of commitment and of resuming."""

import os
import time
from collections.abc import Iterator
from pathlib import Path

from kit.config import StoreConfig
from kit.errors import KitError, UsageError
from kit.files import existing_file, existing_folder
from kit.images.ingest.dry_run import DryRun
from kit.images.ingest.dry_run import dry_run as plan
from kit.images.ingest.labels import relabel, why_unlabelled
from kit.images.ingest.lock import agree, disk_errors, only_one
from kit.images.ingest.plate import PlateWork, begin_plate, tidy
from kit.images.ingest.ranges import plate_ranges, store_ranges, stored_ranges
from kit.images.ingest.report import IngestReport
from kit.images.ingest.runners import Cluster, Runner, Threads
from kit.images.ingest.well import WellJob, committed, count_well, pack_well
from kit.images.metadata import Metadata, read_metadata
from kit.images.source.folders import Folder, Reader, is_url
from kit.images.source.locate import Locator
from kit.images.source.source import Source, choose_plates, open_source
from kit.images.store.codecs import find_codec
from kit.images.store.verify import verify as check_store
from kit.images.store.work import open_work
from kit.progress import progress

BAD_SHARE = 0.1  # of a plate's images: with more of them bad the plate is not trusted
_REQUESTS_AHEAD = 64  # remote files asked for before they are needed, over all wells at work


def ingest(
    source, work, *, metadata=None, plates=(), jobs=None, load_data=None, layout=None, scale="image", bits=8, size=None,
    codec=None, dry_run=False, verify=False, strict=False, illum=None, max_bad=BAD_SHARE, dask=None,
) -> IngestReport | DryRun:  # fmt: skip
    """Pack the plates of `source` into the work folder `work`; what is there already is kept.

    Args:
        source: folder (or URL) of plate folders, one plate folder, or a load_data.csv(.gz).
        metadata: folder of the official tables; None: no labels.
        plates: barcodes to take; empty: all.
        jobs: wells at work at once, each in a thread; None: one per CPU.
        load_data: folder (or URL) of load_data files with the positions.
        layout: CSV of field, x_um, y_um for plates that say nothing of their own.
        scale, bits, size, codec: see StoreConfig; one choice for the whole store.
        dry_run: say what would be done; write nothing.
        verify: read the plates' whole store again afterwards and hold it to its checksums.
        strict: a bad image ends the ingest.
        illum: folder of illumination functions <plate>/<plate>_Illum<Channel>.npy to divide by before scaling.
        max_bad: share of a plate's images that may be bad.
        dask: address of a Dask scheduler whose workers are to do the wells; they see the same paths as this process.

    Raises:
        UsageError: nothing to do, or settings that differ from the store's.
        KitError: the disk is full, another ingest is at work, or (strict) an image is bad; the same call goes on where it
            stopped. A plate with too many bad images is in the report's `failed`, and the others are packed.
    """
    work, jobs = Path(work), _cpus() if jobs is None else jobs
    _check_arguments(work, jobs, max_bad, load_data, layout, illum)
    settings = StoreConfig(scale=scale, bits=bits, size=size or 0, codec=find_codec(codec).name, illumination=illum is not None)
    tables = None if metadata is None else read_metadata(metadata)
    reader = Reader(ahead=max(2, _REQUESTS_AHEAD // jobs))
    opened = open_source(source, reader)
    chosen = choose_plates(opened.plates, tuple(plates))
    check_labels(chosen, tables, named=bool(plates))
    folders = [Folder(str(folder)) for folder in (load_data, opened.folder.path, metadata) if folder is not None]
    locator = Locator(opened, reader, folders, tables, None if layout is None else Path(layout))
    illum = None if illum is None else Path(illum)
    if dry_run:
        return plan(chosen, work / "plates", settings, tables, opened, locator, reader, illum, jobs)
    with disk_errors(work), only_one(work), Cluster(dask, reader) if dask else Threads(jobs, reader) as runner:
        agree(work, settings)
        report = _Packer(work, settings, tables, opened, locator, reader, runner, illum).run(
            chosen, strict=strict, max_bad=max_bad
        )
        return _verified(report, work, chosen, jobs) if verify else report


def _check_arguments(work: Path, jobs: int, max_bad: float, load_data, layout, illum) -> None:
    if work.exists() and not work.is_dir():
        raise UsageError(f"--work {work} is not a folder")
    if jobs < 1:
        raise UsageError(f"--jobs {jobs}: need at least 1")
    if not 0 <= max_bad <= 1:
        raise UsageError(f"--max-bad {max_bad}: need a share, 0 to 1")
    if load_data is not None and not is_url(str(load_data)):
        existing_folder(load_data, "--load-data takes a folder with <plate>/load_data.csv(.gz)")
    if layout is not None:
        existing_file(layout, "--layout takes a CSV of field, x_um and y_um")
    if illum is not None and is_url(str(illum)):
        raise UsageError(f"--illum {illum}: the functions are read from a local folder; copy them there first")
    if illum is not None:
        existing_folder(illum, "--illum takes a folder with <plate>/<plate>_Illum<Channel>.npy")


def _verified(report: IngestReport, work: Path, chosen: list[str], jobs: int) -> IngestReport:
    store = open_work(work)
    found = check_store(store, [plate for plate in chosen if plate in store.plates], jobs)
    report.verified, report.damaged = found.images, found.damaged
    report.failed += [f"{damage}; delete the plate's files in {work / 'plates'} and ingest it again" for damage in found.damaged]
    return report


def check_labels(chosen: list[str], metadata: Metadata | None, *, named: bool) -> None:
    """See that there are labels: some plates may lack them, but not one asked for by name, nor all.

    Raises:
        KitError: naming plate and reason, or the table that lacks a column.
    """
    if metadata is None:
        return
    reasons = {barcode: reason for barcode in chosen if (reason := metadata.why_unlabelled(barcode))}
    if reasons and (named or len(reasons) == len(chosen)):
        barcode, reason = next(iter(reasons.items()))
        raise KitError(f"plate {barcode} has no labels in {metadata.folder}: {reason}")
    for barcode in chosen:
        if barcode not in reasons:
            metadata.wells(barcode)  # a table without a needed column stops the ingest here, not after hours of packing


class _Packer:
    def __init__(self, work, settings, metadata, source: Source, locator: Locator, reader: Reader, runner: Runner, illum):
        self.folder = Path(work) / "plates"
        self.settings: StoreConfig = settings
        self.metadata: Metadata | None = metadata
        self.source = source
        self.locator = locator
        self.reader = reader
        self.runner = runner
        self.illum: Path | None = illum
        self.report = IngestReport(Path(work))

    def run(self, chosen: list[str], *, strict: bool, max_bad: float) -> IngestReport:
        """Pack every plate; wells of several plates may be at work at once."""
        started, read = time.monotonic(), 0
        with progress(total=0, label="ingest", unit="image") as bar:
            for plate, job, record in self._results(chosen, bar):
                bar.update(len(job.images))
                read += record.bytes_in
                rate = read / 1e6 / max(time.monotonic() - started, 1e-9)
                bar.set_postfix_str(f"{len(self.report.plates)}/{len(chosen)} plates, {rate:.0f} MB/s", refresh=False)
                self._take(plate, record, strict, max_bad)
        self.report.seconds = time.monotonic() - started
        return self.report.finish()

    def _results(self, chosen: list[str], bar) -> Iterator:
        kept, begun = [], []

        def to_do() -> Iterator[tuple[PlateWork, WellJob]]:
            complete = [barcode for barcode in chosen if (self.folder / f"{barcode}.parquet").is_file()]
            for barcode in complete:
                self._pass_over(barcode)
            waiting = [barcode for barcode in chosen if barcode not in complete]
            for number, barcode in enumerate(waiting, start=1):
                try:
                    plate = self._begin(barcode)
                except UsageError:
                    raise
                except KitError as error:  # one plate's trouble is not the others'
                    self.report.failed.append(f"{barcode}: {error}")
                    continue
                begun.append(plate.images)
                bar.total = round(sum(begun) + sum(begun) / len(begun) * (len(waiting) - number))  # those to come: as these
                for job in plate.jobs():
                    record = committed(job)
                    if record is None and not plate.failed:
                        yield plate, job
                    elif record is not None:
                        kept.append((plate, job, record))

        for result in self.runner.run(pack_well, to_do()):
            yield from self._kept(kept)
            yield result
        yield from self._kept(kept)

    def _pass_over(self, barcode: str) -> None:
        """A complete plate: nothing is packed again, only its labels may have come since."""
        path = self.folder / f"{barcode}.parquet"
        tidy(self.folder, barcode)
        try:
            if relabel(path, self.metadata):
                self.report.relabelled.append(barcode)
            elif why_unlabelled(path):
                self.report.unlabelled.append(barcode)
        except KitError as error:
            self.report.failed.append(str(error))
            return
        self.report.already.append(barcode)

    def _kept(self, kept: list) -> Iterator:
        """Yield the wells that an earlier ingest committed."""
        while kept:
            plate, job, record = kept.pop(0)
            plate.kept += len(record.images)
            yield plate, job, record

    def _begin(self, barcode: str) -> PlateWork:
        plate = begin_plate(self.source.plate(barcode), self.folder, self.settings, self.reader, self.illum)
        plate.positions = self.locator.locate(plate.plate)
        if self.settings.scale == "plate-percentile":
            path = plate.progress_folder / "ranges.json"
            ranges = stored_ranges(path)
            if ranges is None:
                counted = self.runner.run(count_well, ((plate, job) for job in plate.jobs()))
                ranges = plate_ranges(totals for _, _, totals in counted)
                store_ranges(path, ranges)
            plate.ranges = ranges
        return plate

    def _take(self, plate: PlateWork, record, strict: bool, max_bad: float) -> None:
        if plate.failed:
            return
        plate.take(record, max_bad, strict)
        if plate.failed:
            self.report.failed.append(f"{plate.plate.barcode}: {plate.failed}")
        elif plate.is_done():
            try:
                self.report.plates.append(plate.complete(self.metadata, self.source.folder.path))
            except KitError as error:
                self.report.failed.append(str(error))


def _cpus() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
