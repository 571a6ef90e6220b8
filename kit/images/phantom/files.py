"""The made plates' files, as from the microscope and the Cell Painting Gallery: TIFF bytes, XML, file names."""

import struct
from dataclasses import dataclass
from datetime import datetime, timedelta

import imagecodecs
import numpy as np

from kit.images.phantom.config import PhantomConfig

# Places on a 4 x 4 grid in units of the pitch, +Y up. Numbered centre-first, then row by row in zig-zag.
NINE = ((-0.5, 0.5), (-1.5, 1.5), (0.5, 1.5), (1.5, 0.5), (-1.5, -0.5), (0.5, -0.5), (1.5, -1.5), (-0.5, -1.5), (-1.5, -1.5))
_ROWS = [[(x, y) for x in ((-1.5, -0.5, 0.5, 1.5) if row % 2 == 0 else (1.5, 0.5, -0.5, -1.5))]
         for row, y in enumerate((1.5, 0.5, -0.5, -1.5))]  # fmt: skip
SIXTEEN = (NINE[0], *(place for row in _ROWS for place in row if place != NINE[0]))

# The microscope's names of ch1 .. ch8.
STAIN_NAMES = (
    "Alexa 647",
    "Alexa 568",
    "488 long",
    "Alexa 488",
    "HOECHST 33342",
    "Brightfield H",
    "Brightfield L",
    "Brightfield",
)

_PLATE_TYPE = "384 made plate"
_FLEX = (
    '<?xml version="1.0" encoding="UTF-8" ?><Root><Arrays><Array FrameIndex="0" CompressionType="LZW" CompressionRate="1" '
    'Type="Image" Width="{side}" Height="{side}" BitsPerPixel="16" Factor="1" /></Arrays></Root>'
)
_DESCRIPTION = (
    '<?xml version="1.0" encoding="utf-8"?>\r\n<TiffImageDescription Version="1" xmlns="http://www.perkinelmer.com/PEHH/HarmonyV5">'
    "<MeasurementID>{measurement}</MeasurementID><InstrumentDescription><Type>Phantom</Type>"
    "<SoftwareVersion>made plates</SoftwareVersion></InstrumentDescription>"
    '<DeviceExperiment Version="1"><PlateType Version="1"><Name>{plate_type}</Name></PlateType>'
    '<Exposures><Exposure Version="1"><Objective>made</Objective><Record Version="1">'
    '<Channels><Channel Version="1"><Name>{{channel_name}}</Name></Channel></Channels></Record></Exposure></Exposures>'
    '<Sublayouts><Sublayout Version="1"><Definition Version="1"><Plate>{plate_type}</Plate><OverlapX Unit="Percent">0</OverlapX>'
    '<OverlapY Unit="Percent">0</OverlapY><CenterField>false</CenterField></Definition>{fields}</Sublayout></Sublayouts>'
    "</DeviceExperiment>"
    '<Image Version="1"><Row>{{row}}</Row><Col>{{column}}</Col><FieldID>{{site}}</FieldID><PlaneID>1</PlaneID>'
    "<SlowKineticID>1</SlowKineticID><ExposureID>1</ExposureID><RecordID>1</RecordID><ChannelID>1</ChannelID><FlimID>1</FlimID>"
    "<AbsTime>{{time}}</AbsTime></Image><Information><State>ImageRegular</State><Message></Message></Information>"
    "</TiffImageDescription>"
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Plate:
    """One made plate: its name, cell line, field positions and imaging time."""

    index: int
    barcode: str
    line: int  # index of its cell line
    places: tuple[tuple[float, float], ...]  # of f01, f02 ..., in units of the pitch
    start: datetime

    @property
    def folder(self) -> str:
        """The measurement's folder, named as in the gallery."""
        return f"{self.barcode}__{self.start:%Y-%m-%dT%H_%M_%S}-Measurement1"


def plates(config: PhantomConfig) -> list[Plate]:
    """Return all plates, line by line; the last of each line are imaged at sixteen places, the others at nine."""
    made: list[Plate] = []
    for line in range(len(config.lines)):
        for number in range(config.plates_per_line):
            wide = number >= config.plates_per_line - config.wide_plates_per_line
            index = len(made)
            start = datetime(2020, 1, 1, 8) + timedelta(minutes=101 * index, seconds=7 * index)
            places = SIXTEEN if wide else NINE
            made.append(Plate(index=index, barcode=f"MADE{index + 1:04d}", line=line, places=places, start=start))
    return made


def positions_m(config: PhantomConfig, plate: Plate) -> list[tuple[float, float]]:
    """Return the stage offset (x, y) of f01, f02 ... from the well's centre, metres; the fields touch each other."""
    pitch = config.side * config.pixel_um * 1e-6
    return [(x * pitch, y * pitch) for x, y in plate.places]


def row_column(well: str) -> tuple[int, int]:
    """Return 1-based row and column of a well name such as D08."""
    return ord(well[0]) - ord("A") + 1, int(well[1:])


def image_name(well: str, site: int, channel: int) -> str:
    """Return the file name of one image; site and channel (1 .. 8) count from 1."""
    row, column = row_column(well)
    return f"r{row:02d}c{column:02d}f{site:02d}p01-ch{channel}sk1fk1fl1.tiff"


def exposure_time(plate: Plate, well_index: int, site: int) -> datetime:
    """Return when a site was imaged: fields 1.7 s apart, wells one after the other."""
    return plate.start + timedelta(seconds=(well_index * len(plate.places) + site) * 1.7)


def description_template(config: PhantomConfig, plate: Plate) -> str:
    """Return the acquisition XML of a plate with {row} {column} {site} {channel_name} {time} left open."""
    fields = "".join(f'<Field><X Unit="m">{x!r}</X><Y Unit="m">{y!r}</Y></Field>' for x, y in positions_m(config, plate))
    measurement = f"00000000-0000-4000-8000-{plate.index:012d}"
    return _DESCRIPTION.format(measurement=measurement, plate_type=_PLATE_TYPE, fields=fields)


def tiff_bytes(image: np.ndarray, *, description: str, time: datetime, pixel_um: float) -> bytes:
    """Return one image as the microscope's TIFF: little-endian, LZW without predictor, one strip at offset 8, IFD after it.

    Args:
        image: counts, uint16 [H, W].
        description: the acquisition XML, for tag 65500.
        time: of the exposure, for DateTime.
        pixel_um: micrometres per pixel, for the resolution tags.
    """
    height, width = image.shape
    strip = imagecodecs.lzw_encode(np.ascontiguousarray(image, "<u2").tobytes())
    per_cm = round(1e4 / pixel_um * 1000), 1000
    short, long, ascii_, byte, rational = 3, 4, 2, 1, 5
    flex = _FLEX.format(side=width)
    tags = [
        (254, long, [0]), (256, short, [width]), (257, short, [height]), (258, short, [16]), (259, short, [5]), (262, short, [1]),
        (269, ascii_, _PLATE_TYPE), (271, ascii_, "kit"), (272, ascii_, "phantom"), (273, long, [8]), (278, short, [height]),
        (279, long, [len(strip)]), (282, rational, per_cm), (283, rational, per_cm), (296, short, [3]),
        (305, ascii_, "kit phantom"), (306, ascii_, f"{time.isoformat(timespec='milliseconds')}Z"), (339, short, [1]),
        (340, short, [int(image.min())]), (341, short, [int(image.max())]), (65200, ascii_, flex), (65500, byte, description),
    ]  # fmt: skip
    strip += b"\0" * (len(strip) % 2)
    ifd_at = 8 + len(strip)
    extra_at = ifd_at + 2 + 12 * len(tags) + 4
    entries, extra = [], b""
    for code, kind, value in tags:
        if isinstance(value, str):
            data = value.encode() + (b"\0" if kind == ascii_ else b"")
            count = len(data)
        else:
            data = struct.pack(f"<{len(value)}{'H' if kind == short else 'I'}", *value)
            count = 1
        if len(data) > 4:
            place = struct.pack("<I", extra_at + len(extra))
            extra += data + b"\0" * (len(data) % 2)
        else:
            place = data.ljust(4, b"\0")
        entries.append(struct.pack("<HHI", code, kind, count) + place)
    ifd = struct.pack("<H", len(tags)) + b"".join(entries) + struct.pack("<I", 0)
    return b"II*\0" + struct.pack("<I", ifd_at) + strip + ifd + extra
