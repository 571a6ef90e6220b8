"""The size of a pixel on the sample, and where it was read; unknown where nothing says it.

Sources, the first that has it: --pixel-size; load_data (Metadata_ImageResolutionX and Y, metres); Index.idx.xml
(ImageResolutionX and Y); the acquisition XML of an image (camera pixel x binning / magnification, where they are unambiguous);
the resolution tags of an image.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass

import pandas as pd

from kit.images.source.folders import Folder, ImageFile, Reader, open_file
from kit.images.source.layout_xml import read_index_pixel, read_tag_pixel
from kit.images.source.load_data import find_load_data, read_load_data
from kit.images.source.plates import Plate
from kit.images.source.positions import index_beside
from kit.images.source.source import Source
from kit.images.source.tiff import BadImage, read_acquisition_xml, read_resolution

_LEAST_UM, _MOST_UM = 0.01, 20.0  # of a light microscope
# Resolution tags often hold the camera's own pixel (3.4 um and more; so on CPJUMP1, 6.45 um) or a screen's 72 dpi.
_MOST_UM_OF_TAGS = 3.0
_TRIES = 3  # images to look into


@dataclass(frozen=True, slots=True)
class PixelSize:
    """Height and width of a pixel as it was imaged, micrometres; None where nothing says it."""

    um: tuple[float, float] | None = None
    source: str = ""

    def text(self) -> str:
        """Return it in words."""
        if self.um is None:
            return "pixel size unknown (--pixel-size UM gives it)"
        height, width = self.um
        size = f"{width:.4g}" if math.isclose(height, width, rel_tol=1e-3) else f"{width:.4g} x {height:.4g}"
        return f"pixel size {size} um ({self.source})"


def find_pixel_size(given: float | None, plate: Plate, source: Source, folders: list[Folder], reader: Reader) -> PixelSize:
    """Return the pixel size of a plate's images.

    Args:
        given: --pixel-size.
        folders: where to look for load_data.

    Raises:
        KitError: load_data or Index.idx.xml cannot be read.
    """
    if given is not None:
        return PixelSize((given, given), "--pixel-size")
    rows = source.table(plate.barcode)
    if rows is None and (file := find_load_data(folders, plate.barcode)):
        rows = read_load_data(file, reader)
    if rows is not None and (found := _of_table(rows[rows["plate"].isin((plate.barcode, ""))])):
        return PixelSize(found, "load_data")
    index = index_beside(Folder(plate.folder))
    if index is not None:
        with open_file(reader, index) as xml:
            found = read_index_pixel(xml, index.path)
        if found and _is_likely(found, _MOST_UM):
            return PixelSize(found, "Index.idx.xml")
    return _of_images(plate.files()[:_TRIES], reader)


def _of_table(rows: pd.DataFrame) -> tuple[float, float] | None:
    columns = [f"Metadata_ImageResolution{axis}" for axis in "YX"]
    if not set(columns) <= set(rows):
        return None
    metres = rows[columns].apply(pd.to_numeric, errors="coerce").dropna().drop_duplicates()
    if len(metres) != 1:
        return None
    height, width = (float(value) * 1e6 for value in metres.iloc[0])
    return (height, width) if _is_likely((height, width), _MOST_UM) else None


def _of_images(files: Iterable[ImageFile], reader: Reader) -> PixelSize:
    for file in files:
        try:
            with open_file(reader, file) as data:
                xml = read_acquisition_xml(data)
                data.seek(0)
                tags = read_resolution(data)
        except (BadImage, OSError):
            continue
        found = read_tag_pixel(xml) if xml else None
        if found and _is_likely(found, _MOST_UM):
            return PixelSize(found, "the TIFF's microscope metadata")
        if tags and _is_likely(tags, _MOST_UM_OF_TAGS):
            return PixelSize(tags, "the TIFF's resolution tags")
        return PixelSize()
    return PixelSize()


def _is_likely(um: tuple[float, float], most: float) -> bool:
    return all(_LEAST_UM <= size <= most for size in um)
