"""The names that microscopes give image files and folders: one pattern a convention, documented in docs/data.md.

A pattern's groups say what a number means: plate, well (or row and col), site, channel, plane (z), time. A group that is
absent or empty: the name does not say.
"""

import re
from dataclasses import dataclass

from kit.images.names import normalise_well, well_name

_WELL = r"(?P<well>(?:[A-Z]|A[A-V])(?!00)\d{2})"
_GUID = r"[0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}"


@dataclass(frozen=True, slots=True)
class Convention:
    """How one make of microscope names its images."""

    name: str  # as people call it
    example: str
    pattern: re.Pattern[str]


HARMONY = Convention(
    "Harmony (Opera Phenix, Operetta)",
    "r01c01f01p01-ch1sk1fk1fl1.tiff",  # the second form is that of Harmony 6: r01c01f01p01-ch01t01.tiff
    re.compile(
        r"r(?P<row>\d+)c(?P<col>\d+)f(?P<site>\d+)p(?P<plane>\d+)-ch(?P<channel>\d+)"
        r"(?:sk(?P<time>\d+)fk0*1fl0*1|t(?P<time_6>\d+))\.tiff?",
        re.IGNORECASE,
    ),
)
CONVENTIONS = (
    HARMONY,
    Convention(
        "CellVoyager",  # L: timeline, A: action; channels of one site may come from several actions
        "<plate>_A01_T0001F001L01A01Z01C01.tif",
        re.compile(
            rf"(?P<plate>.+)_{_WELL}_T(?P<time>\d{{4}})F(?P<site>\d{{3,4}})L\d{{2}}A\d{{2}}"
            r"Z(?P<plane>\d{2,3})C(?P<channel>\d{2})(?i:\.tiff?)"
        ),
    ),
    Convention(
        "ImageXpress",  # _s only with several sites, _w only with several wavelengths
        "<plate>_A01_s1_w1<GUID>.tif",
        re.compile(
            rf"(?:(?P<plate>.+)_)?{_WELL}(?:_s(?P<site>\d+?))?(?:_w(?P<channel>\d{{1,2}}?))?"
            rf"(?P<thumb>_thumb_?)?(?:_?{_GUID})?(?i:\.tiff?)"
        ),
    ),
    Convention(
        "Columbus (Operetta, Opera)",  # row and column, site, then time, plane and channel of three digits each
        "001001-1-001001001.tif",
        re.compile(
            r"(?P<row>\d{3})(?P<col>\d{3})-(?P<site>\d+)-(?P<time>\d{3})(?P<plane>\d{3})(?P<channel>\d{3})\.tiff?", re.IGNORECASE
        ),
    ),
)

# Folders inside a plate's folder.
IMAGES = "Images"
TIME_FOLDER = re.compile(r"time_?point_(?P<time>\d+)", re.IGNORECASE)  # ImageXpress
PLANE_FOLDER = re.compile(r"zstep_(?P<plane>\d+)", re.IGNORECASE)  # ImageXpress; its projection lies beside them
DATE_FOLDER = re.compile(r"\d{4}-\d{2}-\d{2}|\d{8}")  # ImageXpress: <plate>/<date>/<number of the acquisition>
ASSAY_FOLDER = re.compile(r"AssayPlate_.+")  # CellVoyager: <measurement>/AssayPlate_<maker>_<type>


@dataclass(frozen=True, slots=True)
class ImageName:
    """What a file name says of its image; None: it does not say."""

    convention: Convention
    plate: str | None
    well: str  # "A01"
    site: int
    channel: int | None
    plane: int | None
    time: int | None


def read_name(name: str, first: Convention = HARMONY) -> ImageName | None:
    """Return what a file name says, None for a name of no convention and for thumbnails; `first` is tried first."""
    match = first.pattern.fullmatch(name)
    convention = first
    if match is None:
        for convention in CONVENTIONS:
            match = convention.pattern.fullmatch(name)
            if match is not None:
                break
        else:
            return None
    said = match.groupdict()
    if said.get("thumb"):
        return None
    well = well_name(int(said["row"]), int(said["col"])) if "row" in said else normalise_well(said["well"])
    channel, plane, time = (_number(said.get(key)) for key in ("channel", "plane", "time"))
    time = _number(said.get("time_6")) if time is None else time
    site = _number(said.get("site"))
    return ImageName(convention, said.get("plate"), well, 1 if site is None else site, channel, plane, time)


def is_thumbnail(name: str) -> bool:
    """Return whether the name is that of a thumbnail, which a microscope writes beside an image."""
    return any((match := convention.pattern.fullmatch(name)) and match.groupdict().get("thumb") for convention in CONVENTIONS)


def is_tiff(name: str) -> bool:
    """Return whether the name is that of a TIFF."""
    return name.lower().endswith((".tif", ".tiff"))


def _number(text: str | None) -> int | None:
    return int(text) if text else None
