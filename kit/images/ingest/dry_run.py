"""--dry-run: what an ingest would find and make, and how long it would take. Nothing is written."""

import time
from dataclasses import dataclass, field, replace

from kit.errors import KitError, UsageError
from kit.images.ingest.inputs import Inputs, open_inputs, strangers
from kit.images.ingest.labels import label_notes
from kit.images.ingest.lock import check_agreement
from kit.images.ingest.naming import Naming, how_to_name, lacking_channels
from kit.images.ingest.plan import IngestPlan
from kit.images.ingest.plate import PlateWork, check_begun, plan_plate
from kit.images.ingest.report import IngestReport, megabytes
from kit.images.ingest.run import label_packed
from kit.images.ingest.scan import Scan, scan_plates
from kit.images.ingest.well import scaled
from kit.images.source.folders import Reader
from kit.images.source.grid import draw_grid
from kit.images.source.planes import one_plane
from kit.images.source.positions import Positions
from kit.images.source.tiff import BadImage
from kit.images.store.codecs import pack
from kit.images.store.container import open_container
from kit.words import count, some

_SAMPLE = 24  # images per plate that are read, scaled and encoded to estimate bytes and time


@dataclass(frozen=True)
class PlannedPlate:
    """One plate as it would be packed."""

    work: PlateWork
    positions: Positions
    unlabelled: str
    complete: bool  # packed already
    relabel: str  # and it would get the labels of these options
    label_notes: list[str]
    regroup: bool  # and its channels would be put into other groups
    bytes_in: int
    bytes_out: int
    seconds: float  # of one thread

    def text(self) -> str:
        """Return some lines of text."""
        plate, container = self.work.plate, self.work.container
        per_well = sorted({sum(1 for well, _ in plate.images if well == name) for name in plate.wells})
        sites = f"{' or '.join(map(str, per_well))} site{'' if per_well == [1] else 's'} a well"
        images = f"{count(self.work.images, 'image')} of {count(len(plate.channels), 'channel')}"
        stored = f" to be stored at {container.height} x {container.width}" if container.image_shape != self.work.shape else ""
        lines = [
            f"{plate.barcode}: {count(len(plate.wells), 'well')}, {sites}, {images}, "
            f"{self.work.shape[0]} x {self.work.shape[1]} pixels{stored}",
            f"  {megabytes(self.bytes_in)} in, about {megabytes(self.bytes_out)} out",
        ]
        lines += [f"  {self.work.pixel.text()}", f"  channels: {self.work.naming.text()}", f"  groups: {self.work.grouped}"]
        if self.complete:
            changes = (f"; its table would get the labels of {self.relabel}" if self.relabel else "") + (
                "; its channels would get these groups" if self.regroup else ""
            )
            lines.append(f"  already packed{changes}")
        if self.unlabelled:
            lines.append(f"  without labels: {self.unlabelled}")
        lines += [f"  {note}" for note in self.label_notes]
        missing = [f"{well} site {site}" for well, site in plate.missing_sites()]
        lacking = [f"{well} site {site} {channel}" for well, site, channel in plate.missing_channels()]
        lines += [
            f"  {count(len(items), what)} missing: {some(items)}"
            for what, items in (("site", missing), ("image", lacking))
            if items
        ]
        lines.append(f"  {self.positions.said}")
        if self.positions.source != "none":
            lines.append(draw_grid({site: self.positions.of(plate.wells[0], site) for site in plate.fields}))
        return "\n".join(lines)


@dataclass(frozen=True)
class DryRun:
    """What an ingest would do."""

    jobs: int
    plates: list[PlannedPlate] = field(default_factory=list)
    passed_over: list[str] = field(default_factory=list)  # complete, and its images cannot be read any more
    failed: list[str] = field(default_factory=list)
    strangers: list[str] = field(default_factory=list)  # plates that have labels and are not there
    there: dict[str, str] = field(default_factory=dict)  # channel -> a plate of the store that has it
    notes: tuple[str, ...] = ()  # on the source

    def text(self) -> str:
        """Return the plan for people."""
        open_plates = [plate for plate in self.plates if not plate.complete]
        total_in, total_out = (sum(getattr(plate, key) for plate in open_plates) for key in ("bytes_in", "bytes_out"))
        seconds = sum(plate.seconds for plate in open_plates) / self.jobs
        lines = [*self.notes, *(plate.text() for plate in self.plates)]
        lines += [f"{barcode}: already packed" for barcode in self.passed_over] + self.failed
        lines += [f"plates in --labels that are not here: {some(self.strangers)}"] if self.strangers else []
        labs = [plate.work for plate in open_plates if not plate.work.naming.official]
        lines += lacking_channels({work.plate.barcode: work.plate.channels for work in labs}, self.there)
        unnamed = next((work for work in labs if work.naming.unnamed), None)
        if unnamed is not None:
            lines.append(f"warning: {how_to_name(unnamed.plate.barcode, unnamed.naming)}")
        lines.append(
            f"{count(len(open_plates), 'plate')} to pack: {megabytes(total_in)} in, about {megabytes(total_out)} out, "
            f"about {_duration(seconds)} with {count(self.jobs, 'thread')}; nothing was written"
        )
        return "\n".join(lines)


def dry_run(plan: IngestPlan) -> DryRun | IngestReport:
    """Return what the ingest of a plan would do, from the listing of every plate and a sample of its images.

    Raises:
        UsageError, KitError: what the ingest itself would raise before it packs.
    """
    if plan.source is None:
        return label_packed(plan, write=False)
    inputs = open_inputs(plan)
    check_agreement(plan.work, plan.settings)
    complete = scan_plates(plan.folder, inputs.barcodes, inputs.labels, inputs.groups, write=False)
    strange, there = strangers(inputs.labels, inputs.source.plates), inputs.groups.plates
    dry = DryRun(plan.jobs, failed=list(complete.failed), strangers=strange, there=there, notes=inputs.notes)
    for barcode in inputs.barcodes:
        if barcode not in complete.already and barcode not in complete.waiting:
            continue
        try:
            dry.plates.append(_planned(barcode, plan, inputs, complete))
        except UsageError:
            raise
        except KitError as error:
            if barcode in complete.already:
                dry.passed_over.append(barcode)  # packed while its images could still be read
            else:
                dry.failed.append(f"{barcode}: {error}")
    return dry


def _planned(barcode: str, plan: IngestPlan, inputs: Inputs, complete: Scan) -> PlannedPlate:
    work = plan_plate(barcode, plan, inputs)
    if barcode in complete.waiting:
        check_begun(work.container, plan.pick)
        unlabelled = inputs.labels.why_unlabelled(barcode)
        notes = label_notes(inputs.labels.of_wells(barcode, work.plate.wells), barcode, inputs.labels)
    else:
        unlabelled, notes = complete.unlabelled.get(barcode, ""), complete.relabelled.get(barcode, [])
    if barcode in complete.already:
        channels = open_container(work.container.folder).channels
        work = replace(work, naming=Naming({name: name for name in channels}, "as packed"), grouped=inputs.groups.text(channels))
    bytes_in, bytes_out, seconds = _estimate(work, inputs.reader)
    return PlannedPlate(
        work,
        inputs.locator.locate(work.plate),
        unlabelled,
        complete=barcode in complete.already,
        relabel=inputs.labels.options if barcode in complete.relabelled else "",
        label_notes=notes,
        regroup=barcode in complete.regrouped,
        bytes_in=bytes_in,
        bytes_out=bytes_out,
        seconds=seconds * (2 if plan.scale == "plate-percentile" else 1),  # passes over the plate
    )


def _estimate(work: PlateWork, reader: Reader) -> tuple[int, int, float]:
    """Return bytes in, bytes out and one thread's seconds for the plate, from images spread over it."""
    images = [(job, channel, file) for job in work.jobs() for _, channel, file in job.in_order()]
    sample = images[:: max(len(images) // _SAMPLE, 1)]
    read = encoded = done = 0
    started = time.perf_counter()
    for job, channel, file in sample:
        try:
            data = reader(file)
            pixels, _, _ = scaled(one_plane(data, file.plane, file.planes), job, channel)
        except (BadImage, FileNotFoundError):
            continue
        read, encoded, done = read + len(data), encoded + len(pack(pixels, work.container.codec)), done + 1
    if not done:
        raise KitError(f"none of {count(len(sample), 'image')} tried can be read")
    known = sum({file.path: max(file.size, 0) for *_, file in images}.values())  # a file may hold several images
    seconds = (time.perf_counter() - started) / done
    return known or read * len(images) // done, encoded * len(images) // done, seconds * len(images)


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
