"""Stage positions and pixel sizes in the microscope's XML: Index.idx.xml next to the images, and tag 65500 of each TIFF.

Both are in metres; fields are numbered from 1. Names are compared without their namespace, which changes with the software.
"""

import io
import math
from collections.abc import Iterator
from typing import IO
from xml.etree import ElementTree

from kit.errors import KitError
from kit.images.names import well_name

Point = tuple[float, float]
_UNITS = {"m": 1e6, "mm": 1e3, "um": 1.0, "µm": 1.0, "": 1e6}  # micrometres in one


def read_index(file: IO[bytes], where: str) -> dict[tuple[str, int], tuple[float, float]]:
    """Return (well, field) -> (x, y) in micrometres from an Index.idx.xml, read as a stream: it can hold 100,000 images."""
    positions = {}
    try:
        for _, element in ElementTree.iterparse(file, events=("end",)):
            if _name(element) != "Image":
                continue
            values = {_name(child): child for child in element}
            if {"Row", "Col", "FieldID", "PositionX", "PositionY"} <= values.keys():
                well = well_name(_integer(values["Row"]), _integer(values["Col"]))
                site = _integer(values["FieldID"])
                positions[well, site] = (_micrometres(values["PositionX"]), _micrometres(values["PositionY"]))
            element.clear()
    except (ElementTree.ParseError, ValueError, TypeError) as error:
        raise KitError(f"{where} cannot be read as the microscope's image index: {error}") from error
    return positions


def read_tag(xml: bytes) -> tuple[list[dict[int, tuple[float, float]]], dict[str, int]]:
    """Return the layouts of an acquisition XML, each field -> (x, y) in micrometres, and well -> index of its layout.

    Empty where the XML holds no layout or is not well-formed: the tag is a comment of the microscope, not the image.
    """
    layouts, wells = [], {}
    try:
        for element in _elements(xml):
            if _name(element) == "Sublayout":
                fields = [child for child in element if _name(child) == "Field"]
                layouts.append({number: _field(child) for number, child in enumerate(fields, start=1)})
            elif _name(element) == "Well":
                values = {_name(child): child for child in element}
                if {"Row", "Col", "SublayoutID"} <= values.keys():
                    well = well_name(_integer(values["Row"]), _integer(values["Col"]))
                    wells[well] = _integer(values["SublayoutID"]) - 1
    except (ElementTree.ParseError, ValueError, TypeError, KeyError):
        return [], {}
    if any(not 0 <= index < len(layouts) for index in wells.values()):
        return [], {}
    return [layout for layout in layouts if layout], wells


def read_index_pixel(file: IO[bytes], where: str) -> Point | None:
    """Return height and width of a pixel in micrometres from the first image of an Index.idx.xml that has them, or None."""
    found: dict[str, float] = {}
    try:
        for _, element in ElementTree.iterparse(file, events=("end",)):
            if _name(element) in ("ImageResolutionX", "ImageResolutionY"):
                found[_name(element)[-1]] = _micrometres(element)
            if len(found) == 2:
                return found["Y"], found["X"]
    except (ElementTree.ParseError, ValueError, TypeError, KeyError) as error:
        raise KitError(f"{where} cannot be read as the microscope's image index: {error}") from error
    return None


def read_tag_pixel(xml: bytes) -> Point | None:
    """Return height and width of a pixel on the sample in micrometres, from an acquisition XML.

    The camera's pixel x binning / (magnification of the instrument x of the objective in use). None where the XML is not
    well-formed, or where one of them is missing or has several values.
    """
    try:
        root = ElementTree.fromstring(xml.rstrip(b"\0"))
        magnification = [
            float(child.text or "") for part in _all(root, "InstrumentDescription") for child in _own(part, "Magnification")
        ]
        used = {part.text for exposure in _all(root, "Exposure") for part in _own(exposure, "Objective")}
        objectives = [
            float(child.text or "")
            for objective in _all(root, "Objective")
            if used & {part.text for part in _own(objective, "ID")}
            for child in _own(objective, "Magnification")
        ]
        pixel = []
        for axis in "YX":
            camera = [_micrometres(child) for child in _all(root, f"PixelSize{axis}")]
            binning = [float(child.text or "") for child in _all(root, f"Binning{axis}")]
            pixel.append(_only(camera) * _only(binning) / (_only(magnification) * _only(objectives)))
    except (ElementTree.ParseError, ValueError, TypeError, KeyError, ZeroDivisionError):
        return None
    return pixel[0], pixel[1]


def _all(element: ElementTree.Element, name: str) -> Iterator[ElementTree.Element]:
    return (found for found in element.iter() if _name(found) == name)


def _own(element: ElementTree.Element, name: str) -> list[ElementTree.Element]:
    return [child for child in element if _name(child) == name]


def _only(values: list[float]) -> float:
    """Return the one value; ValueError where there are several, or none."""
    (value,) = set(values)
    return value


def _elements(xml: bytes) -> Iterator[ElementTree.Element]:
    for _, element in ElementTree.iterparse(io.BytesIO(xml.rstrip(b"\0")), events=("end",)):
        yield element


def _field(element: ElementTree.Element) -> tuple[float, float]:
    values = {_name(child): child for child in element}
    return _micrometres(values["X"]), _micrometres(values["Y"])


def _integer(element: ElementTree.Element) -> int:
    return int(element.text or "")


def _micrometres(element: ElementTree.Element) -> float:
    value = float(element.text or "") * _UNITS[element.get("Unit", "m")]
    if not math.isfinite(value):
        raise ValueError(f"position {element.text}")
    return value


def _name(element: ElementTree.Element) -> str:
    return element.tag.rsplit("}", 1)[-1]
