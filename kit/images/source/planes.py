"""TIFFs of several planes: which axis they lie along, and one of them as a TIFF of its own.

A plane is a page or, in a planar file, a sample. Its axis is what ImageJ, OME-XML or tifffile wrote into the file; pages without
any word of it may be channels, but nothing else.
"""

import io
import math
import struct
from dataclasses import dataclass

import tifffile

from kit.images.source.tiff import Unfit, damage_is_bad_image, several_samples
from kit.words import count

_STACKS = {"Z": ("z-stack", "plane", "project it first, or name one plane"), "T": ("time series", "time point", "name one")}
_CHANNELS = "CSIQ"  # channels, samples of a planar file, and pages of unknown meaning
_FROM_TABLE = "in a load_data.csv's column Plane_<channel>"


def one_plane(data: bytes, plane: int = 0, planes: int = 0) -> bytes:
    """Return a TIFF of one plane of a file; the file itself where it has no other.

    Args:
        plane: counted from 1 in the order of the file; 0: the file must have one.
        planes: how many channels the file must hold, and nothing else; 0: any planes.

    Raises:
        BadImage: not a readable TIFF.
        Unfit: another number of planes, or along another axis than asked for.
    """
    if plane == 0 and _has_one_page(data):
        return data
    with damage_is_bad_image(), tifffile.TiffFile(io.BytesIO(data)) as file:
        stack = _stack_of(file)
        if plane == 0 and stack.planes > 1:
            raise Unfit(stack.refusal())
        if planes and planes != stack.planes:
            raise Unfit(f"{count(stack.planes, 'plane')} in the file, {count(planes, 'channel')} expected of it")
        if planes > 1 and not stack.may_be_channels:
            raise Unfit(stack.refusal())
        if plane > stack.planes:
            raise Unfit(f"{count(stack.planes, 'plane')} in the file, so no plane {plane}")
        return _cut(file, data, max(plane, 1) - 1)


def count_channels(data: bytes) -> int:
    """Return how many channels a file holds, one plane each.

    Raises:
        BadImage: not a readable TIFF.
        Unfit: its planes are a z-stack or a time series, or it is a colour image.
    """
    with damage_is_bad_image(), tifffile.TiffFile(io.BytesIO(data)) as file:
        stack = _stack_of(file)
    if stack.planes > 1 and not stack.may_be_channels:
        raise Unfit(stack.refusal())
    return stack.planes


def white_level(data: bytes) -> int:
    """Return the largest count that a file's camera gives: 4095 where the TIFF says 12 bits, else the largest of its type.

    What says so: BitsPerSample, OME-XML's SignificantBits, or a MaxSampleValue or SMaxSampleValue of 2^n - 1 beside a least
    value of 0 or none (other values are those of the image's own pixels).

    Raises:
        BadImage: not a readable TIFF.
    """
    with damage_is_bad_image(), tifffile.TiffFile(io.BytesIO(data)) as file:
        page = file.pages.first
        full = (1 << (8 if page.bitspersample <= 8 else 16)) - 1
        said = [(1 << page.bitspersample) - 1]
        if file.is_ome:
            pixels = tifffile.xml2dict(file.ome_metadata or "")
            said += [(1 << bits) - 1 for bits in _significant_bits(pixels)]
        if not any(_tag(page, code) > 0 for code in (280, 340)):  # MinSampleValue, SMinSampleValue
            said += [value for code in (281, 341) if (value := _tag(page, code)) & (value + 1) == 0]
    return min((value for value in said if 255 < value < full), default=full)


@dataclass(frozen=True, slots=True)
class _Stack:
    """The axes of a file beyond height and width, without those of length 1."""

    axes: str
    planes: int

    @property
    def may_be_channels(self) -> bool:
        return len(self.axes) <= 1 and self.axes in _CHANNELS

    def refusal(self) -> str:
        """Return what the planes are, and the way out."""
        for axis, (kind, noun, advice) in _STACKS.items():
            if axis in self.axes:
                return f"a {kind}: {count(self.planes, noun)} in one file; {advice} {_FROM_TABLE}"
        way_out = f"project a z-stack first, or name each channel's plane {_FROM_TABLE}"
        return f"{count(self.planes, 'plane')} in one file that stands for one channel; {way_out}"


def _stack_of(file: tifffile.TiffFile) -> _Stack:
    series = file.series[0]
    page = series.keyframe
    if page.samplesperpixel > 1 and page.planarconfig == tifffile.PLANARCONFIG.CONTIG:
        raise Unfit(several_samples(page))
    if series.is_multifile or len(file.series) > 1:  # of a set of files, or pages of different kinds
        return _Stack("I", len(_full_size(file)))
    axes = [(axis, length) for axis, length in zip(series.axes, series.shape, strict=True) if axis not in "YX" and length > 1]
    return _Stack("".join(axis for axis, _ in axes), math.prod(length for _, length in axes))


def _full_size(file: tifffile.TiffFile) -> list[tifffile.TiffPage | tifffile.TiffFrame]:
    """Return the pages without thumbnails."""
    pixels = [math.prod(page.shape[-2:]) for page in file.pages]
    return [page for page, here in zip(file.pages, pixels, strict=True) if here >= pixels[0]]


def _offset(file: tifffile.TiffFile, index: int) -> int | None:
    """Return where a plane's page lies in the file, None where it has no page of its own."""
    series = file.series[0]
    if file.pages.first.samplesperpixel > 1:
        return None
    if series.is_multifile or len(file.series) > 1:
        return _full_size(file)[index].offset
    page = series[index] if index < len(series) else None
    return None if page is None else page.offset


def _cut(file: tifffile.TiffFile, data: bytes, index: int) -> bytes:
    """Return the file with its header pointing at one page; a plane without a page of its own is written anew."""
    offset = _offset(file, index)
    if offset is not None:
        at, form = (8, "Q") if file.is_bigtiff else (4, "I")
        pointer = struct.pack(file.byteorder + form, offset)
        return data[:at] + pointer + data[at + len(pointer) :]
    planes = file.series[0].asarray()
    written = io.BytesIO()
    tifffile.imwrite(written, planes.reshape(-1, *planes.shape[-2:])[index], photometric="minisblack", metadata=None)
    return written.getvalue()


def _has_one_page(data: bytes) -> bool:
    """Return whether the first page names no next one; what is no TIFF is left to the reader."""
    order = {b"II": "<", b"MM": ">"}.get(data[:2])
    try:
        if order is None:
            return True
        big = data[2:4] == struct.pack(order + "H", 43)
        start, tags, size = ("Q", "Q", 20) if big else ("I", "H", 12)
        (page,) = struct.unpack_from(order + start, data, 8 if big else 4)
        (number,) = struct.unpack_from(order + tags, data, page)
        return struct.unpack_from(order + start, data, page + struct.calcsize(tags) + number * size) == (0,)
    except (struct.error, OverflowError):
        return True


def _tag(page: tifffile.TiffPage, code: int) -> int:
    tag = page.tags.get(code)
    return tag.value if tag is not None and isinstance(tag.value, int) else 0


def _significant_bits(element: object) -> list[int]:
    """Return every SignificantBits in OME-XML as dictionaries."""
    if isinstance(element, list):
        return [bits for item in element for bits in _significant_bits(item)]
    if not isinstance(element, dict):
        return []
    own = [int(element["SignificantBits"])] if str(element.get("SignificantBits", "")).isdigit() else []
    return own + [bits for item in element.values() for bits in _significant_bits(item)]
