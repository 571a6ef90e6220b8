"""TIFFs of several planes, as tifffile writes them for itself, ImageJ and OME: the right plane comes out, or a refusal."""

import io
import struct

import numpy as np
import pytest
import tifffile

from kit.images.source.planes import count_channels, one_plane, white_level
from kit.images.source.tiff import BadImage, Unfit, read_tiff

COUNTS = np.random.default_rng(0).integers(0, 60000, (3, 9, 11), dtype=np.uint16)


def tiff_bytes(*images: np.ndarray, **options) -> bytes:
    file = io.BytesIO()
    of_file = {key: options.pop(key) for key in ("imagej", "ome", "bigtiff", "byteorder") if key in options}
    with tifffile.TiffWriter(file, **of_file) as tiff:
        for image in images:
            tiff.write(image, **{"photometric": "minisblack", **options})
    return file.getvalue()


def pages(**options) -> bytes:
    return tiff_bytes(*COUNTS, metadata=None, **options)


FILES = {
    "pages": pages(),
    "LZW with predictor, big-endian": pages(compression="lzw", predictor=True, byteorder=">"),
    "BigTIFF": pages(bigtiff=True),
    "JPEG XL": tiff_bytes(*COUNTS, metadata=None, compression="jpegxl", compressionargs={"lossless": True}),
    "ImageJ": tiff_bytes(COUNTS, imagej=True, metadata={"axes": "CYX"}),
    "OME": tiff_bytes(COUNTS, ome=True, metadata={"axes": "CYX"}),
    "shaped": tiff_bytes(COUNTS, metadata={"axes": "CYX"}),
    "planar": tiff_bytes(COUNTS, planarconfig="separate"),
    "planar RGB, as tifffile writes three planes unless told": tiff_bytes(COUNTS, photometric="rgb", planarconfig="separate"),
}


@pytest.mark.parametrize("data", FILES.values(), ids=FILES)
def test_every_plane_is_a_channel(data):
    assert count_channels(data) == 3
    for plane in (1, 2, 3):
        for planes in (0, 3):
            np.testing.assert_array_equal(read_tiff(one_plane(data, plane, planes)).counts_HW, COUNTS[plane - 1])
    with pytest.raises(Unfit, match="3 planes in the file, so no plane 4"):
        one_plane(data, 4)
    with pytest.raises(Unfit, match="3 planes in the file, 2 channels expected of it"):
        one_plane(data, 1, 2)
    with pytest.raises(
        Unfit, match=r"3 planes in one file that stands for one channel; project .* name .* Plane_<channel>|3 samples a pixel"
    ):
        read_tiff(one_plane(data))  # never the first plane without a word


STACKS = {
    "ImageJ z": (
        tiff_bytes(COUNTS, imagej=True, metadata={"axes": "ZYX"}),
        "a z-stack: 3 planes in one file; project it first, or name",
    ),
    "OME z": (tiff_bytes(COUNTS, ome=True, metadata={"axes": "ZYX"}), "a z-stack: 3 planes"),
    "ImageJ t": (
        tiff_bytes(COUNTS, imagej=True, metadata={"axes": "TYX"}),
        "a time series: 3 time points in one file; name one in a",
    ),
    "z and c": (tiff_bytes(COUNTS[None].repeat(2, 0), ome=True, metadata={"axes": "ZCYX"}), "a z-stack: 6 planes"),
}


@pytest.mark.parametrize(("data", "message"), STACKS.values(), ids=STACKS)
def test_stacks_are_refused_unless_a_plane_is_named(data, message):
    for refused in (lambda: one_plane(data), lambda: count_channels(data), lambda: one_plane(data, 1, 3 + 3 * ("6" in message))):
        with pytest.raises(Unfit, match=message):
            refused()
    np.testing.assert_array_equal(read_tiff(one_plane(data, 3)).counts_HW, COUNTS[2])


@pytest.mark.parametrize("options", [{}, {"byteorder": ">"}, {"bigtiff": True}, {"bigtiff": True, "byteorder": ">"}])
def test_a_file_of_one_plane_is_not_even_copied(options):
    data = tiff_bytes(COUNTS[0], metadata=None, **options)
    assert one_plane(data) is data
    assert count_channels(data) == 1
    np.testing.assert_array_equal(read_tiff(one_plane(data, 1)).counts_HW, COUNTS[0])  # and its plane 1 is itself


def test_a_thumbnail_is_no_plane():
    data = tiff_bytes(COUNTS[0], COUNTS[0, ::2, ::2], metadata=None)
    assert count_channels(data) == 1
    np.testing.assert_array_equal(read_tiff(one_plane(data)).counts_HW, COUNTS[0])
    data = tiff_bytes(COUNTS[0, ::2, ::2], *COUNTS[1:], metadata=None)  # larger ones behind a small one are not dropped
    with pytest.raises(Unfit, match="3 planes"):
        one_plane(data)


def test_damaged_files_are_bad_images():
    data = pages()
    for cut in range(0, len(data), 7):
        try:
            read_tiff(one_plane(data[:cut], 3, 3))
        except BadImage:
            continue
        pytest.fail(f"{cut} of {len(data)} bytes gave an image")
    loop = bytearray(tiff_bytes(COUNTS[0], metadata=None))
    (page,) = struct.unpack_from("<I", loop, 4)
    (tags,) = struct.unpack_from("<H", loop, page)
    struct.pack_into("<I", loop, page + 2 + 12 * tags, page)  # the first page says that it is the next
    np.testing.assert_array_equal(read_tiff(one_plane(bytes(loop))).counts_HW, COUNTS[0])


def test_colour_is_refused():
    data = tiff_bytes(np.moveaxis(COUNTS, 0, 2), photometric="rgb")
    for refused in (lambda: count_channels(data), lambda: one_plane(data, 1), lambda: read_tiff(one_plane(data))):
        with pytest.raises(Unfit, match=r"3 samples a pixel: a colour image, .* save each channel as a greyscale TIFF"):
            refused()


@pytest.mark.parametrize(
    ("data", "white"),
    [
        (tiff_bytes(COUNTS[0]), 65535),
        (tiff_bytes(COUNTS[0].astype(np.uint8)), 255),
        (tiff_bytes(COUNTS[0] >> 4, ome=True, metadata={"axes": "YX", "SignificantBits": 12}), 4095),
        (tiff_bytes(COUNTS[0] >> 4, metadata=None, extratags=[(281, 3, 1, 4095, False)]), 4095),
        (tiff_bytes(COUNTS[0] >> 4, metadata=None, extratags=[(340, 3, 1, 0, False), (341, 3, 1, 4095, False)]), 4095),
        (tiff_bytes(COUNTS[0] >> 2, metadata=None, extratags=[(280, 3, 1, 0, False), (281, 3, 1, 16383, False)]), 16383),
        (tiff_bytes(COUNTS[0] >> 4, metadata=None, extratags=[(340, 3, 1, 90, False), (341, 3, 1, 4095, False)]), 65535),
        (tiff_bytes(COUNTS[0] >> 4, metadata=None, extratags=[(341, 3, 1, 3210, False)]), 65535),
    ],
)  # fmt: skip
def test_the_white_level_is_what_the_tiff_says(data, white):
    assert white_level(data) == white
