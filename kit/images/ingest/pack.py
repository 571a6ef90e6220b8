"""Pack the remaining plates: open each, submit its wells, record the outcomes, and complete the plate."""

import logging
import time
from dataclasses import dataclass, field

from kit.errors import KitError, UsageError
from kit.images.ingest.inputs import Inputs
from kit.images.ingest.naming import how_to_name
from kit.images.ingest.plan import IngestPlan
from kit.images.ingest.plate import PlateWork, begin_plate
from kit.images.ingest.ranges import plate_ranges, store_ranges, stored_ranges
from kit.images.ingest.report import PlateReport
from kit.images.ingest.runners import Done, Runner
from kit.images.ingest.well import WellJob, WellRecord, committed, count_well, pack_well
from kit.progress import progress

log = logging.getLogger(__name__)


@dataclass
class Packed:
    """The outcome of all plates."""

    plates: list[PlateReport] = field(default_factory=list)  # complete now
    failed: list[str] = field(default_factory=list)  # "<plate>: <reason>"
    seconds: float = 0.0


def pack_plates(barcodes: list[str], plan: IngestPlan, inputs: Inputs, runner: Runner) -> Packed:
    """Pack plate after plate; the last wells of one and the first of the next run together.

    Raises:
        UsageError: the settings do not fit the images.
        KitError: `plan.strict`, and an image is bad. A plate that fails is listed in `failed` and does not stop the others.
    """
    packed, bar, wells, warned = Packed(), _Bar(len(barcodes)), runner.queue(pack_well), False

    def take(done: Done[WellRecord]) -> None:
        _take(done.plate, done.result, packed, plan, inputs)
        bar.advance(done, len(packed.plates))

    with bar.shown:
        for number, barcode in enumerate(barcodes, start=1):
            try:
                plate = _begin(barcode, plan, inputs, runner)
            except UsageError:
                raise
            except KitError as error:
                packed.failed.append(f"{barcode}: {error}")
                continue
            if plate.naming.unnamed and not warned:
                log.warning("%s", how_to_name(barcode, plate.naming))
                warned = True
            bar.expect(plate.images, more=len(barcodes) - number)
            for job in plate.jobs():
                if plate.failed:
                    break
                for done in _kept(plate, job) or wells.put(plate, job):
                    take(done)
        for done in wells.drain():
            take(done)
    packed.seconds = bar.seconds()
    return packed


def _begin(barcode: str, plan: IngestPlan, inputs: Inputs, runner: Runner) -> PlateWork:
    plate = begin_plate(barcode, plan, inputs)
    plate.positions = inputs.locator.locate(plate.plate)
    if plan.scale == "plate-percentile":
        path = plate.progress_folder / "ranges.json"
        ranges = stored_ranges(path)
        if ranges is None:
            ranges = plate_ranges(done.result for done in runner.queue(count_well).run(plate))
            store_ranges(path, ranges)
        plate.ranges = ranges
    return plate


def _kept(plate: PlateWork, job: WellJob) -> list[Done[WellRecord]]:
    """Return the well as an earlier ingest committed it; empty if it is still to do."""
    record = committed(job)
    if record is None:
        return []
    plate.kept += len(record.images)
    return [Done(plate, job, record)]


def _take(plate: PlateWork, record: WellRecord, packed: Packed, plan: IngestPlan, inputs: Inputs) -> None:
    """Record the outcome of a well; the last one completes the plate."""
    if plate.failed:
        return
    plate.take(record, plan.max_bad, plan.strict)
    if plate.failed:
        packed.failed.append(f"{plate.plate.barcode}: {plate.failed}")
    elif plate.is_done():
        try:
            packed.plates.append(plate.complete(inputs.labels, inputs.source.folder.path))
        except KitError as error:
            packed.failed.append(str(error))


class _Bar:
    """Progress over the images of all plates; those of plates not yet begun are estimated from those that are."""

    def __init__(self, plates: int):
        self.shown = progress(total=0, label="ingest", unit="image")
        self._plates, self._bytes, self._started = plates, 0, time.monotonic()
        self._begun: list[int] = []  # images of each plate

    def expect(self, images: int, more: int) -> None:
        """A plate of this many images begins, and `more` plates follow."""
        self._begun.append(images)
        self.shown.total = round(sum(self._begun) * (1 + more / len(self._begun)))

    def advance(self, done: Done[WellRecord], complete: int) -> None:
        """A well is done; `complete` plates are."""
        self._bytes += done.result.bytes_in
        self.shown.update(len(done.job.images))
        rate = self._bytes / 1e6 / max(self.seconds(), 1e-9)
        self.shown.set_postfix_str(f"{complete}/{self._plates} plates, {rate:.0f} MB/s", refresh=False)

    def seconds(self) -> float:
        """Since the first plate was begun."""
        return time.monotonic() - self._started
