"""Find the plates in a folder, and the image files of each well, site and channel.

A plate is a folder `<barcode>__<start>-Measurement1/Images` as in the Cell Painting Gallery, or `<barcode>/Images`, of files
rRRcCCfFFp01-chNsk1fk1fl1.tiff: row, column, field (site), plane, channel.
"""

import re
from dataclasses import dataclass, field

from kit.errors import KitError, UsageError
from kit.images.names import order_channels, well_name, well_position
from kit.images.source.folders import Folder, ImageFile

_IMAGE = re.compile(r"r(\d+)c(\d+)f(\d+)p(\d+)-ch(\d+)sk(\d+)fk(\d+)fl(\d+)\.tiff?", re.IGNORECASE)


@dataclass(frozen=True)
class Plate:
    """The image files of one plate: (well, site) -> channel -> file. Sites are field numbers."""

    barcode: str
    folder: str
    images: dict[tuple[str, int], dict[str, ImageFile]]
    ignored: list[str] = field(default_factory=list)

    @property
    def wells(self) -> tuple[str, ...]:
        return tuple(sorted({well for well, _ in self.images}, key=well_position))

    @property
    def fields(self) -> tuple[int, ...]:
        return tuple(sorted({site for _, site in self.images}))

    @property
    def channels(self) -> tuple[str, ...]:
        return order_channels(channel for files in self.images.values() for channel in files)

    def files(self) -> list[ImageFile]:
        """Return every image file, by well, site and channel."""
        channels = self.channels  # once: it looks at every image
        return [files[channel] for _, files in sorted(self.images.items()) for channel in channels if channel in files]

    def missing_sites(self) -> list[tuple[str, int]]:
        """Return the (well, site) that other wells have and this well lacks."""
        fields = self.fields
        return [(well, site) for well in self.wells for site in fields if (well, site) not in self.images]

    def missing_channels(self) -> list[tuple[str, int, str]]:
        """Return the (well, site, channel) that the plate has elsewhere and this site lacks."""
        channels = self.channels
        return [(*key, channel) for key, files in sorted(self.images.items()) for channel in channels if channel not in files]


def find_plates(source: Folder) -> dict[str, Folder]:
    """Return barcode -> image folder of the plates in `source`: a folder of plate folders, or one plate folder.

    Raises:
        UsageError: no plate in it.
        KitError: two folders of one plate.
    """
    if source.has_folder("Images"):
        return {barcode_of(source.name): source / "Images"}
    entries = source.entries()
    if source.name == "Images" and any(_IMAGE.fullmatch(entry.name) for entry in entries):
        return {barcode_of(source.parent.name): source}
    plates: dict[str, Folder] = {}
    for entry in entries:
        if not (entry.is_folder and (source / entry.name).has_folder("Images")):
            continue
        barcode = barcode_of(entry.name)
        if barcode in plates:
            raise KitError(f"plate {barcode} has two folders, {plates[barcode].parent.name} and {entry.name}: move one away")
        plates[barcode] = source / entry.name / "Images"
    if not plates and source.has_folder("images"):
        return find_plates(source / "images")
    if not plates:
        raise UsageError(
            f"{source.path} holds no plate: need folders named <barcode>__<start>-Measurement1/Images or <barcode>/Images"
        )
    return plates


def list_plate(barcode: str, folder: Folder) -> Plate:
    """Return the image files of a plate's Images folder. Planes, time points and files of other names are ignored and listed."""
    images: dict[tuple[str, int], dict[str, ImageFile]] = {}
    ignored = []
    for entry in folder.entries():
        match = _IMAGE.fullmatch(entry.name)
        if not match:
            if entry.name.lower().endswith((".tif", ".tiff")):
                ignored.append(entry.name)
            continue
        row, col, site, plane, channel, *repeats = (int(number) for number in match.groups())
        if plane != 1 or repeats != [1, 1, 1]:
            ignored.append(entry.name)
            continue
        files = images.setdefault((well_name(row, col), site), {})
        files[f"ch{channel}"] = ImageFile(entry.path, entry.size)
    return Plate(barcode, folder.path, images, ignored)


def barcode_of(folder_name: str) -> str:
    """Return the barcode in a plate folder's name: the part before the first "__"."""
    return folder_name.split("__")[0]
