"""kit ingest: plates of TIFFs become a packed store. Whole wells are the unit of work, of commitment and of resuming."""

import errno
import os
import shutil
import time
from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event

import filelock
import numpy as np

from kit.errors import KitError, UsageError
from kit.images.codecs import find_codec
from kit.images.container import Container, open_container
from kit.images.locate import Locator
from kit.images.packing import WellJob, WellRecord, committed, pack_well, probe, read_file
from kit.images.plates import Metadata, Plate, choose_plates, find_plates, list_plate, read_metadata
from kit.images.positions import Positions
from kit.images.report import IngestReport, PlateReport
from kit.images.store import StoreSettings, read_settings, write_settings
from kit.images.tables import add_metadata, level_sums, sites_table, write_table
from kit.progress import progress

BAD_SHARE = 0.1  # of a plate's images: with more of them bad the plate is not trusted


def ingest(
    source, work, *, metadata=None, plates=(), jobs=None, load_data=None, layout=None, scale="image", bits=8, size=None,
    codec=None, dry_run=False, verify=False, strict=False,
) -> IngestReport:  # fmt: skip
    """Pack the plates under `source` into the work folder `work`; what is there already is kept.

    Args:
        source: folder of plate folders, or one plate folder.
        metadata: folder of the official tables; None: no labels.
        plates: barcodes to take; empty: all.
        jobs: wells at work at once, each in a thread; None: one per CPU.
        load_data: folder of load_data files with the positions.
        layout: CSV of field, x_um, y_um for plates that say nothing of their own.
        scale, bits, size, codec: see StoreSettings; one choice for the whole store.
        strict: a bad image ends the plate.

    Raises:
        UsageError: nothing to do, or settings that differ from the store's.
        KitError: the disk is full, another ingest is at work, or (strict) an image is bad; the same call goes on where it
            stopped. A plate with too many bad images is in the report's `failed`, and the others are packed.
    """
    for flag, value in (("--dry-run", dry_run), ("--verify", verify), ("--size", size), ("--bits 16", bits == 16)):
        if value:
            raise UsageError(f"{flag} is not yet supported")
    settings = StoreSettings(scale=scale, bits=bits, size=size or 0, codec=find_codec(codec).name)
    source, work = Path(source), Path(work)
    tables = None if metadata is None else read_metadata(metadata)
    there = find_plates(source)
    chosen = choose_plates(there, tuple(plates))
    _check_labels(chosen, tables, named=bool(plates))
    folders = [Path(folder) for folder in (load_data, source, metadata) if folder is not None]
    locator = Locator(folders, there, tables, None if layout is None else Path(layout))
    with _only_one(work), _disk_errors(work):
        _agree(work, settings)
        return _Ingest(work, settings, tables, locator, jobs or _cpus(), strict).run(chosen)


@dataclass
class _PlateWork:
    """A plate being packed."""

    plate: Plate
    positions: Positions
    container: Container
    records: dict[str, WellRecord] = field(default_factory=dict)
    kept: int = 0  # images of wells that an earlier ingest had committed
    failed: str = ""

    @property
    def bad(self) -> int:
        return sum(len(record.bad) for record in self.records.values())


class _Ingest:
    def __init__(self, work: Path, settings: StoreSettings, metadata: Metadata | None, locator: Locator, jobs: int, strict: bool):
        self.folder = work / "plates"
        self.settings = settings
        self.metadata = metadata
        self.locator = locator
        self.jobs = jobs
        self.strict = strict
        self.stop = Event()
        self.report = IngestReport(work)

    def run(self, chosen: dict[str, Path]) -> IngestReport:
        """Pack every plate; wells of several plates may be at work at once."""
        started = time.monotonic()
        jobs = self._jobs(chosen)
        pending: dict[Future, tuple[_PlateWork, WellJob]] = {}
        pool = ThreadPoolExecutor(self.jobs, thread_name_prefix="well")
        bar = progress(total=None, label="ingest", unit="image")
        try:
            while True:
                while len(pending) < 2 * self.jobs and (item := next(jobs, None)) is not None:
                    pending[pool.submit(pack_well, item[1], read_file, self.stop)] = item
                if not pending:
                    break
                done, _ = wait(pending, return_when=FIRST_COMPLETED)
                for future in done:
                    plate, job = pending.pop(future)
                    bar.update(len(job.images))
                    self._take(plate, future.result())
        finally:
            self.stop.set()
            pool.shutdown(cancel_futures=True)
            bar.close()
        self.report.seconds = time.monotonic() - started
        return self.report.finish()

    def _jobs(self, chosen: dict[str, Path]) -> Iterator[tuple[_PlateWork, WellJob]]:
        for barcode, folder in chosen.items():
            if (self.folder / f"{barcode}.parquet").is_file():
                self.report.already.append(barcode)
                continue
            plate = self._prepare(barcode, folder)
            for job in self._well_jobs(plate):
                record = committed(job)
                if plate.failed:
                    break
                if record is None:
                    yield plate, job
                else:
                    plate.kept += len(record.images)
                    self._take(plate, record)

    def _prepare(self, barcode: str, folder: Path) -> _PlateWork:
        plate = list_plate(barcode, folder)
        if not plate.images:
            raise KitError(f"plate {barcode}: no image in {folder} has a name like r01c01f01p01-ch1sk1fk1fl1.tiff")
        height, width = probe(plate.files(), read_file)
        dtype = np.dtype(np.uint8 if self.settings.bits == 8 else np.uint16)
        container = Container(
            self.folder / f"{barcode}.zarr", plate.wells, plate.fields, plate.channels, height, width, dtype,
            find_codec(self.settings.codec),
        )  # fmt: skip
        if container.folder.is_dir() and open_container(container.folder) != container:
            raise KitError(f"plate {barcode} was begun with other images; delete {container.folder} to start it again")
        container.write({"plate": barcode, "made_by": "kit ingest"})
        return _PlateWork(plate, self.locator.locate(plate), container)

    def _well_jobs(self, plate: _PlateWork) -> Iterator[WellJob]:
        for well in plate.container.wells:
            images = {
                (site, channel): file
                for (of_well, site), files in plate.plate.images.items()
                if of_well == well
                for channel, file in files.items()
            }
            yield WellJob(well, images, plate.container, self.settings, self._progress_folder(plate) / f"{well}.json")

    def _take(self, plate: _PlateWork, record: WellRecord) -> None:
        """Note a committed well; the last one completes its plate."""
        plate.records[record.well] = record
        images = sum(len(files) for files in plate.plate.images.values())
        if self.strict and record.bad:
            raise KitError(f"{record.bad[0]['path']}: {record.bad[0]['reason']} (--strict)")
        if plate.bad > BAD_SHARE * images and not plate.failed:
            example = record.bad[0] if record.bad else next(r.bad[0] for r in plate.records.values() if r.bad)
            plate.failed = (
                f"more than {BAD_SHARE:.0%} of its {images} images are bad, for example {example['path']}: {example['reason']}"
            )
            self.report.failed.append(f"{plate.plate.barcode}: {plate.failed}")
        if len(plate.records) == len(plate.container.wells) and not plate.failed:
            self._complete(plate)

    def _complete(self, plate: _PlateWork) -> None:
        barcode = plate.plate.barcode
        records = [plate.records[well] for well in plate.container.wells]
        table = add_metadata(sites_table(barcode, records, plate.container.channels, plate.positions), barcode, self.metadata)
        report = PlateReport.of(plate.plate, plate.positions, records, table, self.metadata, kept=plate.kept)
        path = self.folder / f"{barcode}.parquet"
        write_table(path, table, {"plate": barcode, "levels": level_sums(records), **report.record()})
        shutil.rmtree(self._progress_folder(plate))
        self.report.plates.append(report)

    def _progress_folder(self, plate: _PlateWork) -> Path:
        return self.folder / f"{plate.plate.barcode}.progress"


def _check_labels(chosen: dict[str, Path], metadata: Metadata | None, *, named: bool) -> None:
    """Labels may lack on some plates, but not on a plate asked for by name, nor on all."""
    if metadata is None:
        return
    reasons = {barcode: reason for barcode in chosen if (reason := metadata.why_unlabelled(barcode))}
    if reasons and (named or len(reasons) == len(chosen)):
        barcode, reason = next(iter(reasons.items()))
        raise KitError(f"plate {barcode} has no labels in {metadata.folder}: {reason}")


def _agree(work: Path, settings: StoreSettings) -> None:
    there = read_settings(work)
    if there is None:
        write_settings(work, settings)
    elif there != settings:
        unlike = [key for key in vars(there) if getattr(there, key) != getattr(settings, key)]
        raise UsageError(
            f"{work} was made with --{unlike[0]} {getattr(there, unlike[0])}, not {getattr(settings, unlike[0])}: "
            "give the same, or another --work"
        )


class _only_one:
    """Hold the store's lock; a second ingest into it is refused."""

    def __init__(self, work: Path):
        work.mkdir(parents=True, exist_ok=True)
        self._work = work
        self._lock = filelock.FileLock(work / ".ingest.lock")

    def __enter__(self):
        try:
            self._lock.acquire(timeout=0)
        except filelock.Timeout as error:
            raise KitError(f"another kit ingest is writing to {self._work}: wait for it, or use another --work") from error
        return self

    def __exit__(self, *_):
        self._lock.release()


class _disk_errors:
    """Say in one line what the operating system had against writing the store."""

    def __init__(self, work: Path):
        self._work = work

    def __enter__(self):
        return self

    def __exit__(self, kind, error, trace):
        if not isinstance(error, OSError):
            return False
        if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            raise KitError(
                f"no space left for {self._work}: free some and run the same command again; it goes on from here"
            ) from error
        raise KitError(f"{error.filename or self._work}: {error.strerror or error}") from error


def _cpus() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
