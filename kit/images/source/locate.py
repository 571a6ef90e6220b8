"""Find the positions of a plate's sites, trying every source in turn."""

import functools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from kit.errors import KitError
from kit.images.metadata import Metadata
from kit.images.source.conventions import HARMONY
from kit.images.source.folders import Folder, ImageFile, Reader, is_url, open_file
from kit.images.source.plates import Plate
from kit.images.source.positions import (
    Positions,
    from_index,
    from_layout_file,
    from_load_data,
    from_other_plates,
    from_table,
    from_tag,
    index_beside,
)
from kit.images.source.source import Source
from kit.images.source.tiff import BadImage, read_acquisition_xml

_TAGS, _REMOTE_TAGS = 64, 16  # images to open in search of a tag, spread over the plate; at a URL, each is a download


@dataclass
class Locator:
    """Knows the folders and plates that may hold positions; caches what each plate's own sources say."""

    source: Source
    reader: Reader
    folders: list[Folder]  # where to look for load_data
    metadata: Metadata | None
    layout: Path | None = None

    def __post_init__(self) -> None:
        self._own: dict[str, Positions | None] = {}

    def locate(self, plate: Plate) -> Positions:
        """Return the positions of the plate's sites; their source is "none" if no source has them."""
        sites = list(plate.images)
        found = self._own_positions(plate.barcode, plate)
        if found is None and self.layout is not None:
            found = from_layout_file(self.layout, plate.barcode)
            found = found if found and found.speak_of(sites) else None
        return found or from_other_plates(sites, self._relatives(plate.barcode)) or Positions()

    def _own_positions(self, barcode: str, plate: Plate | None = None) -> Positions | None:
        if barcode not in self._own:
            plate = plate or self.source.plate(barcode)
            answers = (found for found in self._answers(plate) if found and found.speak_of(plate.images))
            self._own[barcode] = next(answers, None)
        return self._own[barcode]

    def _answers(self, plate: Plate) -> Iterator[Positions | None]:
        rows = self.source.table(plate.barcode)
        if rows is not None:
            yield from_table(rows, plate.barcode)
        yield from_load_data(self.folders, plate.barcode, self.reader)
        index = index_beside(Folder(plate.folder))
        if index:
            yield from_index(index, self.reader)
        if plate.convention in (None, HARMONY):  # no other microscope writes the tag
            files = {file.path: file for file in plate.files()}  # a file once, not once a plane
            yield from_tag(self._tags(list(files.values())))

    def _relatives(self, barcode: str) -> dict[str, Callable[[], Positions | None]]:
        """The other plates of the batch with the same plate map; without metadata, of the same source."""

        def kind(plate: str) -> tuple[str | None, str | None]:
            of_plate = self.metadata.of_plate(plate) if self.metadata else {}
            return of_plate.get("Metadata_Batch"), of_plate.get("Metadata_Plate_Map_Name")

        if self.metadata and not self.metadata.is_known(barcode):
            return {}
        alike = [other for other in self.source.plates if other != barcode and kind(other) == kind(barcode)]
        return {other: functools.partial(self._quiet, other) for other in alike}

    def _quiet(self, barcode: str) -> Positions | None:
        try:
            return self._own_positions(barcode)
        except KitError:
            return None  # another plate's damaged index is reported when that plate is ingested

    def _tags(self, files: list[ImageFile]) -> Iterator[bytes]:
        most = _REMOTE_TAGS if files and is_url(files[0].path) else _TAGS
        for file in files[:: -(-len(files) // most) or 1]:
            try:
                with open_file(self.reader, file) as data:
                    xml = read_acquisition_xml(data)
            except (BadImage, OSError):
                continue
            if xml:
                yield xml
