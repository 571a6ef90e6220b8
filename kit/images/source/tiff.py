"""A TIFF's bytes to camera counts. The compiled reader takes what microscopes write; tifffile and imagecodecs the rest.

Both give the same counts and both refuse truncated files: a decoder that pads with zeros would yield a plausible image.
"""

import contextlib
import io
import logging
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

import imagecodecs
import numpy as np
import tifffile

from kit.errors import KitError
from kit.kernels.extension import cpu_extension, cpu_reason

_SMIN_TAG, _SMAX_TAG = 340, 341
_UNCOMPRESSED, _LZW = 1, 5
_XML_TAG = 65500  # the acquisition XML of the microscope
_MOST_XML = 1 << 24  # bytes
_UNITS_UM = {2: 25_400.0, 3: 10_000.0}  # ResolutionUnit inch and centimetre; 1 is none
DECODED, UNSUPPORTED, DAMAGED = range(3)  # verdicts of the compiled reader

logging.getLogger("tifffile").addHandler(logging.NullHandler())  # its complaints are in BadImage


class BadImage(KitError):
    """One image cannot be used; the message says why. The plate continues without it."""


class Unfit(BadImage):
    """Whole, but of a kind that kit does not take, as all images of the plate may be; the message has the way out."""


# What tifffile and imagecodecs raise on damaged bytes; tifffile's own error is a ValueError in newer versions only.
_DAMAGE = (
    *(ValueError, RuntimeError, LookupError, TypeError, ArithmeticError, AttributeError, OSError, struct.error, MemoryError),
    tifffile.TiffFileError,
)


@dataclass(frozen=True, slots=True)
class Claims:
    """What a TIFF's SMin and SMaxSampleValue tags say of its counts; -1: no such tag."""

    least: int = -1
    most: int = -1


@dataclass(frozen=True, slots=True)
class TiffImage:
    """The first page of a TIFF: counts uint8 or uint16 [H, W], and what its tags claim."""

    counts_HW: np.ndarray
    claims: Claims


def read_tiff(data: bytes) -> TiffImage:
    """Return the first page of a TIFF file's bytes.

    Raises:
        BadImage: not a TIFF, cut short, damaged, or not one plane of 8 or 16 bit unsigned counts.
    """
    if not data:
        raise BadImage("empty file")
    if (compiled := cpu_extension()) is not None:
        verdict, reason, counts, _, least, most = compiled.tiff_counts(data)
        if verdict == DAMAGED:
            raise BadImage(reason)
        if verdict == DECODED:
            return TiffImage(counts, Claims(least, most))
    return read_tiff_reference(data)


def read_tiff_reference(data: bytes) -> TiffImage:
    """The same with tifffile and imagecodecs: the fallback of the compiled reader, and its reference in tests."""
    with damage_is_bad_image(), tifffile.TiffFile(io.BytesIO(data)) as file:
        page = file.pages.first
        if page.samplesperpixel > 1:
            raise Unfit(several_samples(page))
        _check_whole(page, len(data))
        counts = _decode_strips(page, data) if _is_plain(page) else page.asarray()
        claims = Claims(*(_integer(page.tags.get(code)) for code in (_SMIN_TAG, _SMAX_TAG)))
    if counts.ndim != 2 or counts.dtype.kind != "u" or counts.dtype.itemsize > 2 or counts.size == 0:
        raise Unfit(f"{counts.dtype} pixels of shape {counts.shape}; save them as unsigned 8-bit or 16-bit counts")
    return TiffImage(np.ascontiguousarray(counts, counts.dtype.newbyteorder("=")), claims)


def decoder() -> tuple[str, str]:
    """Return which reader decodes LZW and uncompressed TIFFs here, "C++" or "tifffile", and why."""
    reason = cpu_reason()
    return ("C++", reason) if cpu_extension() is not None else ("tifffile", f"kit.kernels._cpu: {reason}")


def read_acquisition_xml(file: BinaryIO) -> bytes | None:
    """Return tag 65500 of an open TIFF, the microscope's acquisition XML, or None if it has none.

    Only header, first page and the tag are read: a plate has tens of thousands of images, and mostly all of them or none has it.
    """
    try:
        with tifffile.TiffFile(file) as opened:
            tag = opened.pages.first.tags.get(_XML_TAG)
            if tag is None:
                return None
            file.seek(tag.valueoffset)
            return file.read(min(tag.count, _MOST_XML)) or None
    except _DAMAGE:
        return None  # a damaged image is reported when its pixels are read


def read_resolution(file: BinaryIO) -> tuple[float, float] | None:
    """Return height and width of a pixel of an open TIFF in micrometres, as its resolution tags have it; None without a unit."""
    try:
        with tifffile.TiffFile(file) as opened:
            tags = opened.pages.first.tags
            unit = _UNITS_UM.get(_integer(tags.get("ResolutionUnit")))
            (down, per_down), (across, per_across) = (tags[name].value for name in ("YResolution", "XResolution"))
            return None if unit is None else (unit * per_down / down, unit * per_across / across)
    except _DAMAGE:
        return None  # a damaged image is reported when its pixels are read, and many have no such tags


@contextlib.contextmanager
def damage_is_bad_image() -> Iterator[None]:
    """Turn what tifffile and imagecodecs raise into BadImage."""
    try:
        yield
    except BadImage:
        raise
    except _DAMAGE as error:
        raise BadImage(f"not a readable TIFF ({str(error) or type(error).__name__})") from error


def several_samples(page: tifffile.TiffPage) -> str:
    """Return why a page of several samples a pixel is refused, and the way out."""
    return (
        f"{page.samplesperpixel} samples a pixel: a colour image, or channels in one file; save each channel as a greyscale TIFF"
    )


def _integer(tag: tifffile.TiffTag | None) -> int:
    return tag.value if tag is not None and isinstance(tag.value, int) else -1


def _check_whole(page: tifffile.TiffPage, length: int) -> None:
    if not page.dataoffsets or len(page.dataoffsets) != len(page.databytecounts):
        raise BadImage("no pixel data")
    for offset, count in zip(page.dataoffsets, page.databytecounts, strict=True):
        if count <= 0 or offset + count > length:
            raise BadImage(f"cut short: {length} bytes, but pixel data extend to byte {offset + count}")


def _is_plain(page: tifffile.TiffPage) -> bool:
    """Return whether the page is what the compiled reader takes too: strips of unsigned counts, LZW or uncompressed."""
    kind = (page.samplesperpixel, page.sampleformat, page.fillorder)
    return page.compression in (_UNCOMPRESSED, _LZW) and not page.is_tiled and page.bitspersample in (8, 16) and kind == (1, 1, 1)


def _decode_strips(page: tifffile.TiffPage, data: bytes) -> np.ndarray:
    """Decode strip by strip and check every strip's length: decoders silently leave a short one unfilled."""
    height, width = page.imagelength, page.imagewidth
    row_bytes = width * page.bitspersample // 8
    rows = []
    for number, (offset, count) in enumerate(zip(page.dataoffsets, page.databytecounts, strict=True)):
        strip_rows = min(page.rowsperstrip, height - number * page.rowsperstrip)
        strip = data[offset : offset + count]
        strip = _lzw(strip, strip_rows * row_bytes) if page.compression == _LZW else strip
        if len(strip) < strip_rows * row_bytes:
            raise BadImage(f"strip {number} holds {len(strip)} of {strip_rows * row_bytes} bytes")
        rows.append(strip[: strip_rows * row_bytes])
    dtype = np.dtype(f"u{page.bitspersample // 8}").newbyteorder(page.parent.byteorder)
    counts = np.frombuffer(b"".join(rows), dtype).reshape(height, width).astype(dtype.newbyteorder("="))
    return np.cumsum(counts, axis=1, dtype=counts.dtype) if page.predictor == 2 else counts


def _lzw(strip: bytes, needed: int) -> bytes:
    """Decode a strip by imagecodecs; damage after the last byte needed is ignored.

    Given a size, imagecodecs stops there and leaves undecoded bytes as they were: two different fillings reveal them.
    """
    try:
        return bytes(imagecodecs.lzw_decode(strip))
    except RuntimeError:
        fillings = [bytearray([fill]) * needed for fill in (0, 255)]
        zeros, ones = (bytes(imagecodecs.lzw_decode(strip, out=filling)) for filling in fillings)
        if zeros != ones:
            raise
        return zeros
