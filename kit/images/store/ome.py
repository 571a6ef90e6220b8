"""What a plate's array says of itself to viewers, under the names of OME-Zarr 0.5; docs/store.md lists them.

The array [well, field, channel, y, x] is no image of OME-Zarr, which knows neither wells nor fields as axes: the names and their
meaning are the same, the place is ours.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from kit.config.channels import BRIGHTFIELD, Groups, groups_of

AXES = ("well", "field", "channel", "y", "x")
Point = tuple[float, float]  # y, x
_COLOURS = {"Mito": "FF0000", "AGP": "FF8000", "RNA": "FFFF00", "ER": "00FF00", "DNA": "0000FF"}
_OTHERS = (
    "FF00FF",
    "00FFFF",
    "FF0000",
    "00FF00",
    "FFFF00",
    "FF8000",
    "8000FF",
    "0080FF",
)  # of channels with other names, in turn
_GREY = "FFFFFF"


@dataclass(frozen=True)
class Ome:
    """The numbers behind the names: known once the plate is complete, where they are known at all."""

    pixel_um: Point | None = None  # height and width of a stored pixel on the sample, micrometres
    windows: dict[str, tuple[int, int]] = field(default_factory=dict)  # channel -> stored values to show as black and as white
    translations: list[list[Point | None]] = field(
        default_factory=list
    )  # by well and field: place of the first pixel, micrometres

    def attributes(self, channels: Sequence[str], groups: Groups, dtype: np.dtype) -> dict:
        """Return the attributes of the array."""
        unit = {} if self.pixel_um is None else {"unit": "micrometer"}
        kinds: dict[str, dict] = {"channel": {"type": "channel"}, "y": {"type": "space", **unit}, "x": {"type": "space", **unit}}
        most = int(np.iinfo(dtype).max)
        windows = (self.windows.get(channel, (0, most)) for channel in channels)
        found: dict = {
            "axes": [{"name": name, **kinds.get(name, {})} for name in AXES],
            "omero": {
                "channels": [
                    {
                        "label": name,
                        "color": colour,
                        "active": True,
                        "window": {"min": 0, "max": most, "start": start, "end": end},
                    }
                    for name, colour, (start, end) in zip(channels, colours(channels, groups), windows, strict=True)
                ]
            },
        }
        if self.pixel_um is not None:
            found["coordinateTransformations"] = [{"type": "scale", "scale": [1.0, 1.0, 1.0, *self.pixel_um]}]
        if self.translations:
            found["translations"] = self.translations
        return found


def read_ome(attributes: Mapping) -> Ome:
    """Return the numbers that the attributes of an array hold; none where an earlier version of kit wrote them.

    Raises:
        KeyError, TypeError, ValueError: they are damaged.
    """
    scales = [item["scale"] for item in attributes.get("coordinateTransformations", ()) if item["type"] == "scale"]
    pixel_um = (float(scales[0][-2]), float(scales[0][-1])) if scales else None
    shown = attributes.get("omero", {}).get("channels", ())
    windows = {channel["label"]: (channel["window"]["start"], channel["window"]["end"]) for channel in shown}
    translations = [[None if point is None else tuple(point) for point in well] for well in attributes.get("translations", ())]
    return Ome(pixel_um, windows, translations)


def first_pixel(x_um: float, y_um: float, shape: tuple[int, int], pixel_um: Point | None) -> Point | None:
    """Return the place (y, x) of the centre of a site's first pixel, micrometres from the well's centre, y DOWN as rows go.

    Args:
        x_um, y_um: of the site's centre, y up; NaN where unknown.
        shape: of the stored image.
        pixel_um: of the stored image; None: unknown, and the place is that of the site's centre.
    """
    if np.isnan(x_um) or np.isnan(y_um):
        return None
    half_y, half_x = (0.0, 0.0) if pixel_um is None else ((n - 1) / 2 * size for n, size in zip(shape, pixel_um, strict=True))
    return round(-y_um - half_y, 3) + 0.0, round(x_um - half_x, 3) + 0.0  # + 0.0: no minus zero


def colours(channels: Sequence[str], groups: Groups) -> list[str]:
    """Return a colour per channel, RRGGBB: grey for the group brightfield, the usual ones of Cell Painting, others in turn."""
    found, others = [], 0
    for channel, group in zip(channels, groups_of(channels, groups), strict=True):
        colour = _GREY if group == BRIGHTFIELD else _COLOURS.get(channel)
        if colour is None:
            colour, others = _OTHERS[others % len(_OTHERS)], others + 1
        found.append(colour)
    return found
