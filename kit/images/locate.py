"""Find where the sites of a plate lie, asking every source in turn."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from kit.errors import KitError
from kit.images.metadata import Metadata
from kit.images.packing import read_file
from kit.images.plates import ImageFile, Plate, list_plate
from kit.images.positions import (
    Positions,
    from_index,
    from_layout_file,
    from_load_data,
    from_other_plates,
    from_tag,
    index_beside,
)
from kit.images.tiff import BadImage, read_acquisition_xml


@dataclass
class Locator:
    """Knows the folders and plates that may hold positions; remembers what each plate's own sources said."""

    folders: list[Path]  # where load_data may lie
    plates: dict[str, Path]  # every plate of SOURCE, not only those to ingest
    metadata: Metadata | None
    layout: Path | None = None

    def __post_init__(self):
        self._own: dict[str, Positions | None] = {}

    def locate(self, plate: Plate) -> Positions:
        """Return the positions of the plate's sites; their source is "none" where nothing speaks of them."""
        sites = list(plate.images)
        found = self._own_positions(plate.barcode, plate)
        if found is None and self.layout is not None:
            found = from_layout_file(self.layout, plate.barcode)
            found = found if found and found.speak_of(sites) else None
        return found or from_other_plates(sites, self._relatives(plate.barcode)) or Positions()

    def _own_positions(self, barcode: str, plate: Plate | None = None) -> Positions | None:
        if barcode not in self._own:
            self._own[barcode] = self._ask(plate or list_plate(barcode, self.plates[barcode]))
        return self._own[barcode]

    def _ask(self, plate: Plate) -> Positions | None:
        sites = list(plate.images)
        found = from_load_data(self.folders, plate.barcode)
        if found and found.speak_of(sites):
            return found
        index = index_beside(Path(plate.folder))
        found = from_index(index) if index else None
        if found and found.speak_of(sites):
            return found
        found = from_tag(_tags(plate.files()))
        return found if found and found.speak_of(sites) else None

    def _relatives(self, barcode: str) -> dict[str, Callable[[], Positions | None]]:
        """The other plates of the batch with the same plate map; without metadata, of the same source folder."""

        def kind(plate: str):
            of_plate = self.metadata.of_plate(plate) if self.metadata else {}
            return of_plate.get("Metadata_Batch"), of_plate.get("Metadata_Plate_Map_Name")

        if self.metadata and not self.metadata.is_known(barcode):
            return {}
        alike = [other for other in self.plates if other != barcode and kind(other) == kind(barcode)]
        return {other: lambda other=other: self._quiet(other) for other in alike}

    def _quiet(self, barcode: str) -> Positions | None:
        try:
            return self._own_positions(barcode)
        except KitError:
            return None  # another plate's damaged index is reported when that plate is ingested


def _tags(files: list[ImageFile]) -> Iterator[bytes]:
    for file in files:
        try:
            xml = read_acquisition_xml(read_file(file))
        except (BadImage, FileNotFoundError):
            continue
        if xml:
            yield xml
