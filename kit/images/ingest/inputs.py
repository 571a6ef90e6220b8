"""The inputs of an ingest: its plan's source, tables and positions, opened and checked."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

from kit.config.channels import by_channel
from kit.errors import KitError, UsageError
from kit.images.ingest.groups import Grouping, grouping, no_channel
from kit.images.ingest.naming import Names, Naming, check_packed, name_channels
from kit.images.ingest.picked import check_picked
from kit.images.ingest.plan import IngestPlan
from kit.images.labels import OFFICIAL, Labels, read_labels
from kit.images.source.cell_source import CellReader, CellSource, open_cells
from kit.images.source.folders import Folder, Reader
from kit.images.source.locate import Locator
from kit.images.source.plates import ALL, Plate
from kit.images.source.source import FolderSource, Source, choose_plates, open_source
from kit.images.store.container import open_container
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
    names: Names | None  # --channel-names
    groups: Grouping
    notes: tuple[str, ...] = ()  # on the source

    def plate(self, barcode: str) -> tuple[Plate, Naming]:
        """Return a plate's files with the channels under the names of the store, and what these are.

        Raises:
            KitError: it has no images, or its channels cannot be named.
        """
        official, numbered = self.labels.official, isinstance(self.source, FolderSource)
        says = self.source.says if isinstance(self.source, CellSource) else None
        return name_channels(self.source.plate(barcode), self.names, official, numbered=numbered, says=says)


def open_inputs(plan: IngestPlan) -> Inputs:
    """Open what the plan names; nothing is written.

    Raises:
        UsageError: no such source, or no such plate in it.
        KitError: a table cannot be used, or requested plates have no labels in it.
    """
    assert plan.source is not None
    source: Source
    if plan.cells is not None:
        source, labels, reader = _cells(plan)
    else:
        labels, reader = plan_labels(plan), Reader(ahead=max(2, _REQUESTS_AHEAD // plan.jobs))
        source = open_source(plan.source, reader, plan.pick)
    barcodes = choose_plates(source.plates, tuple(plan.plates))
    check_labels(barcodes, labels, named=bool(plan.plates))
    folders: list[str | Path | None] = [plan.load_data, source.folder.path, plan.metadata]
    places = [Folder(str(folder)) for folder in folders if folder is not None]
    locator = Locator(source, reader, [] if plan.cells is not None else places, labels.official, plan.layout)
    groups = grouping(plan.folder, plan.groups, barcodes)
    notes = source.notes if isinstance(source, CellSource) else ()
    inputs = Inputs(source, barcodes, labels, locator, reader, plan.channel_names, groups, notes)
    check_channels(inputs, plan)
    return inputs


def _cells(plan: IngestPlan) -> tuple[CellSource, Labels, Reader]:
    """Open an array of single cells: the columns of its table are its labels."""
    assert plan.source is not None
    assert plan.cells is not None
    source = open_cells(Path(plan.source), plan.cells, plan.array)
    if plan.perturbation:
        source.named(plan.perturbation.strip(), "--perturbation")
    named = source.labels.column(plan.perturbation.strip()) if plan.perturbation else OFFICIAL["perturbation"]
    return source, Labels(None, source.labels, named, (plan.control or "").strip()), CellReader(cells=source.cells)


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


def check_channels(inputs: Inputs, plan: IngestPlan) -> None:
    """Check that some plate has each channel of --channel-names and --groups; plates are listed until all are found.

    Raises:
        UsageError: naming the channel, or a packed plate that has other names or another pixel size.
    """
    packed, asked = set(inputs.groups.there), plan.channel_names if isinstance(plan.channel_names, Mapping) else {}
    own = {channel for channel, name in asked.items() if name not in packed}
    names = set(by_channel(inputs.groups.asked)) - packed
    seen: dict[str, str] = {}  # name in the source -> name in the store
    for barcode in inputs.barcodes:
        if (plan.folder / f"{barcode}.parquet").is_file():
            check_packed(barcode, plan.folder, plan.channel_names)
            if plan.pick != ALL:
                check_picked(plan.folder / f"{barcode}.zarr", plan.pick)
            _check_pixel(barcode, plan)
        elif own or names:
            try:
                naming = inputs.plate(barcode)[1]
            except KitError:
                continue  # reported when it is packed
            seen |= naming.names
            own, names = own - seen.keys(), names - set(seen.values())
    if own and seen:
        raise no_channel("--channel-names", own, seen)
    inputs.groups.check([*seen.values(), *inputs.groups.there])


def _check_pixel(barcode: str, plan: IngestPlan) -> None:
    """Check that a packed plate has the pixel size of --pixel-size, as far as can be seen: a shrunken site keeps another.

    Raises:
        UsageError: it has another, or none.
    """
    if plan.pixel_size is None or plan.size:
        return
    try:
        there = open_container(plan.folder / f"{barcode}.zarr").ome.pixel_um
    except KitError:
        return  # damaged: whoever opens the plate is told
    if there is None or any(abs(side - plan.pixel_size) > 1e-6 * plan.pixel_size for side in there):
        packed = "without one" if there is None else f"with {there[0]:.4g} um"
        raise UsageError(
            f"--pixel-size {plan.pixel_size:g}: plate {barcode} is packed {packed}, and packing it again is the only way to "
            f"change it: delete {plan.folder / barcode}.parquet and .zarr, or leave it out with --plates"
        )
