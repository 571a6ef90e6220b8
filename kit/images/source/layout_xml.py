"""Stage positions in the microscope's own XML: Index.idx.xml beside the images, and tag 65500 inside each TIFF.

Both write metres; fields are numbered from 1. Names are compared without their namespace, which changes with the software.
"""

import io
import math
from collections.abc import Iterator
from xml.etree import ElementTree

from kit.errors import KitError
from kit.images.names import well_name

_UNITS = {"m": 1e6, "mm": 1e3, "um": 1.0, "µm": 1.0, "": 1e6}  # micrometres in one


def read_index(file, where: str) -> dict[tuple[str, int], tuple[float, float]]:
    """Return (well, field) -> (x, y) in micrometres from an Index.idx.xml, read as a stream: it can hold 100,000 images."""
    positions = {}
    try:
        for _, element in ElementTree.iterparse(file, events=("end",)):
            if _name(element) != "Image":
                continue
            values = {_name(child): child for child in element}
            if {"Row", "Col", "FieldID", "PositionX", "PositionY"} <= values.keys():
                well = well_name(int(values["Row"].text), int(values["Col"].text))
                site = int(values["FieldID"].text)
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
                values = {_name(child): child.text for child in element}
                if {"Row", "Col", "SublayoutID"} <= values.keys():
                    wells[well_name(int(values["Row"]), int(values["Col"]))] = int(values["SublayoutID"]) - 1
    except (ElementTree.ParseError, ValueError, TypeError, KeyError):
        return [], {}
    if any(not 0 <= index < len(layouts) for index in wells.values()):
        return [], {}
    return [layout for layout in layouts if layout], wells


def _elements(xml: bytes) -> Iterator[ElementTree.Element]:
    for _, element in ElementTree.iterparse(io.BytesIO(xml.rstrip(b"\0")), events=("end",)):
        yield element


def _field(element) -> tuple[float, float]:
    values = {_name(child): child for child in element}
    return _micrometres(values["X"]), _micrometres(values["Y"])


def _micrometres(element) -> float:
    value = float(element.text) * _UNITS[element.get("Unit", "m")]
    if not math.isfinite(value):
        raise ValueError(f"position {element.text}")
    return value


def _name(element) -> str:
    return element.tag.rsplit("}", 1)[-1]
