"""A plate being packed: its contents, its wells as jobs, their outcomes, and its completion."""

import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from kit.config import StoreConfig
from kit.errors import KitError
from kit.images.ingest.describe import describe
from kit.images.ingest.inputs import Inputs
from kit.images.ingest.naming import Naming
from kit.images.ingest.picked import attributes, check_picked
from kit.images.ingest.plan import IngestPlan
from kit.images.ingest.prepare import find_illumination, read_illumination, shrunken_pixel, shrunken_shape
from kit.images.ingest.probe import probe
from kit.images.ingest.quality import add_quality
from kit.images.ingest.report import PlateReport
from kit.images.ingest.sites_table import add_labels, level_sums, sites_table
from kit.images.ingest.well import WellJob, WellRecord
from kit.images.labels import Labels
from kit.images.source.pixel_size import PixelSize, find_pixel_size
from kit.images.source.plates import Pick, Plate
from kit.images.source.positions import Positions
from kit.images.store.codecs import find_codec
from kit.images.store.container import Container, open_container
from kit.images.store.ome import Ome
from kit.images.store.tables import write_table
from kit.words import count

MADE_BY = "kit ingest"


@dataclass
class PlateWork:
    """A plate being packed into `folder`, WORK/plates."""

    plate: Plate
    folder: Path
    settings: StoreConfig
    container: Container
    shape: tuple[int, int]  # of the images as they come
    illumination: dict[str, Path]
    naming: Naming
    grouped: str  # its groups in words
    pixel: PixelSize  # of the images as they come
    whites: dict[str, int] = field(default_factory=dict)  # channel -> the camera's largest count, if not that of the file's type
    positions: Positions = field(default_factory=Positions)
    ranges: dict[str, tuple[int, int]] = field(default_factory=dict)
    records: dict[str, WellRecord] = field(default_factory=dict)
    kept: int = 0  # images of wells that an earlier ingest had committed
    failed: str = ""

    @property
    def progress_folder(self) -> Path:
        """The file of committed wells' records, until the plate is complete."""
        return self.folder / f"{self.plate.barcode}.progress"

    @property
    def images(self) -> int:
        """Images of the plate."""
        return sum(len(files) for files in self.plate.images.values())

    def jobs(self) -> Iterator[WellJob]:
        """Yield every well."""
        wells: dict[str, dict] = {well: {} for well in self.container.wells}
        for (well, site), files in self.plate.images.items():
            wells[well].update({(site, channel): file for channel, file in files.items()})
        for well, images in wells.items():
            record = self.progress_folder / f"{well}.json"
            steps = (self.ranges, self.illumination, self.whites)
            yield WellJob(well, images, self.container, self.settings, self.shape, record, *steps)

    def take(self, record: WellRecord, bad_share: float, strict: bool) -> None:
        """Record the outcome of a well.

        Raises:
            KitError: `strict`, and an image is bad.
        """
        self.records[record.well] = record
        bad = [item for record in self.records.values() for item in record.bad]
        if strict and bad:
            raise KitError(f"{bad[0]['path']}: {bad[0]['reason']} (--strict)")
        if len(bad) > bad_share * self.images:
            example = f"{bad[0]['path']} ({bad[0]['reason']})"
            self.failed = (
                f"more than {bad_share:.0%} of its {count(self.images, 'image')} are bad, for example {example}; "
                "name the good ones in a load_data.csv, or allow more with --max-bad"
            )

    def is_done(self) -> bool:
        """Return whether every well is committed."""
        return len(self.records) == len(self.container.wells)

    def complete(self, labels: Labels, source: str) -> PlateReport:
        """Write the plate's table, which makes it part of the store; the report names files from `source` on."""
        barcode, records = self.plate.barcode, [self.records[well] for well in self.container.wells]
        table = sites_table(barcode, records, self.container.channels, self.positions)
        if table.empty:
            raise KitError(f"{barcode}: none of its {count(self.images, 'image')} could be read")
        table = add_quality(table, self.container.groups, self.container.height * self.container.width)
        table = add_labels(table, barcode, labels)
        channels = "" if self.naming.official else f"{self.naming.text()}; groups: {self.grouped}"
        said = {"source": source, "channels_said": channels, "scale": self.settings.scale}
        report = PlateReport.of(self.plate, self.positions, records, table, labels, kept=self.kept, **said)
        record = {"plate": barcode, "levels": level_sums(records), "illumination": sorted(self.illumination), **report.record()}
        replace(self.container, ome=describe(self.container, table, self.positions)).write_array()
        write_table(self.folder / f"{barcode}.parquet", table, record)
        shutil.rmtree(self.progress_folder)
        return report


def begin_plate(barcode: str, plan: IngestPlan, inputs: Inputs) -> PlateWork:
    """Create the plate's container, or reopen the one of an earlier ingest.

    Raises:
        KitError: it was begun with other images or channel names, or no image can be read.
    """
    work = plan_plate(barcode, plan, inputs)
    check_begun(work.container, plan.pick)
    for place in (work.container.folder, work.progress_folder):
        for part in place.rglob(".*.part"):
            part.unlink()  # of a killed ingest; the store's lock says that none is at work
    work.container.write({"plate": barcode, "made_by": MADE_BY, **attributes(plan.pick)})
    return work


def plan_plate(barcode: str, plan: IngestPlan, inputs: Inputs) -> PlateWork:
    """Return what the plate's container will hold; nothing is written.

    Raises:
        UsageError: the images are smaller than the plan's size.
        KitError: no image can be read, its channels cannot be named, or an illumination function cannot be used.
    """
    plate, naming = inputs.plate(barcode)
    found = probe(plate, inputs.reader)
    shape = found.shape
    dtype = np.dtype(np.uint8 if plan.bits == 8 else np.uint16)
    path, size, codec = plan.folder / f"{barcode}.zarr", shrunken_shape(*shape, plan.size), find_codec(plan.codec)
    pixel = find_pixel_size(plan.pixel_size, plate, inputs.source, inputs.locator.folders, inputs.reader)
    container = Container(
        path, plate.wells, plate.fields, plate.channels, *size, dtype=dtype, codec=codec,
        groups=inputs.groups.of(plate.channels), ome=Ome(shrunken_pixel(pixel.um, shape, size)),
    )  # fmt: skip
    illumination = find_illumination(plan.illum, barcode, plate.channels) if plan.illum else {}
    for path in illumination.values():
        read_illumination(path, shape)  # a function that cannot be used is known before the first image
    said = inputs.groups.text(plate.channels)
    return PlateWork(plate, plan.folder, plan.settings, container, shape, illumination, naming, said, pixel, found.whites)


def check_begun(container: Container, pick: Pick) -> None:
    """Check that a plate begun by an earlier ingest continues with the same images under the same names.

    Raises:
        KitError: it does not.
    """
    if not (container.folder / "pixels" / "zarr.json").is_file():
        return
    begun = open_container(container.folder)
    if len(begun.channels) == len(container.channels) and begun.channels != container.channels:
        names = f"the channel names {', '.join(begun.channels)}, not {', '.join(container.channels)}"
        raise KitError(f"packing began with {names}: give the same --channel-names, or delete {begun.folder} to start over")
    if begun != container:
        raise KitError(f"packing began with other images; delete {container.folder} to start over")
    check_picked(container.folder, pick)
