"""TIFFs to counts and levels: the compiled reader, tifffile and imagecodecs, and arithmetic by hand agree to the last bit."""

import io
import struct

import imagecodecs
import numpy as np
import pytest
import tifffile

from kit.images.ingest.image import read_levels
from kit.images.source import tiff
from kit.images.source.tiff import BadImage, read_tiff, read_tiff_reference
from kit.images.store import levels as sites
from kit.images.store.levels import focus_of, scale_image, scale_image_reference, to_level

needs_compiled = pytest.mark.skipif(tiff.cpu_extension() is None, reason=f"kit.kernels._cpu: {tiff.cpu_reason()}")


def image(kind: str, H: int, W: int, bits: int) -> np.ndarray:
    rng, top = np.random.default_rng(H * W + bits), 2**bits - 1
    y, x = np.mgrid[:H, :W]
    made = {
        "noise": rng.integers(0, top + 1, (H, W)),
        "constant": np.full((H, W), top // 3),
        "ramp": (x + y * W) % (top + 1),
        "camera": np.clip(rng.normal(300 if bits == 16 else 40, 20 if bits == 16 else 4, (H, W)), 0, top),
        "hot": np.where((x == W // 2) & (y == H // 2), top, rng.poisson(12, (H, W))),
    }[kind]
    return made.astype(f"u{bits // 8}")


def tiff_bytes(counts: np.ndarray, **options) -> bytes:
    file = io.BytesIO()
    tifffile.imwrite(file, counts, metadata=None, **options)
    return file.getvalue()


FORMATS = {
    "one strip of LZW": {"compression": "lzw", "rowsperstrip": 10**6},
    "strips of LZW": {"compression": "lzw", "rowsperstrip": 5},
    "LZW, big-endian": {"compression": "lzw", "byteorder": ">", "rowsperstrip": 7},
    "LZW with predictor": {"compression": "lzw", "predictor": True, "rowsperstrip": 10**6},
    "LZW with predictor, big-endian": {"compression": "lzw", "predictor": True, "byteorder": ">", "rowsperstrip": 3},
    "uncompressed": {},
    "uncompressed strips, big-endian": {"rowsperstrip": 4, "byteorder": ">"},
    "BigTIFF, LZW": {"bigtiff": True, "compression": "lzw", "rowsperstrip": 10**6},
    "BigTIFF, big-endian": {"bigtiff": True, "byteorder": ">", "rowsperstrip": 6},
    "deflate": {"compression": "zlib"},
    "deflate with predictor": {"compression": "zlib", "predictor": True},
    "zstd": {"compression": "zstd", "rowsperstrip": 5},
    "zstd with predictor": {"compression": "zstd", "predictor": True},
    "tiles": {"compression": "lzw", "tile": (16, 16)},
    "JPEG XL": {"compression": "jpegxl", "compressionargs": {"lossless": True}},
}
COMPILED = [name for name in FORMATS if "LZW" in name or "uncompressed" in name or "BigTIFF" in name]


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("bits", [8, 16])
def test_formats(name, bits):
    for kind, H, W in (("noise", 33, 47), ("camera", 64, 64), ("ramp", 5, 301)):
        counts = image(kind, H, W, bits)
        data = tiff_bytes(counts, **FORMATS[name])
        for read in (read_tiff, read_tiff_reference):
            got = read(data).counts_HW
            assert got.dtype == counts.dtype
            np.testing.assert_array_equal(got, counts)


@needs_compiled
@pytest.mark.parametrize("name", FORMATS)
def test_the_compiled_reader_takes_what_microscopes_write(name):
    verdict = tiff.cpu_extension().tiff_counts(tiff_bytes(image("camera", 40, 40, 16), **FORMATS[name]))[0]
    assert verdict == (tiff.DECODED if name in COMPILED else tiff.UNSUPPORTED)


@pytest.mark.parametrize("kind", ["noise", "constant", "ramp", "camera", "hot"])
@pytest.mark.parametrize(("H", "W"), [(1, 1), (1, 2), (3, 1), (2, 3), (17, 31), (128, 128), (250, 333)])
@pytest.mark.parametrize("bits", [8, 16])
def test_decoded_and_scaled_as_imagecodecs_and_numpy_do(kind, H, W, bits):
    counts = image(kind, H, W, bits)
    # imagecodecs encodes the strip, not kit; long runs and full tables come from constant and ramp images
    data = tiff_bytes(counts, compression="lzw", rowsperstrip=H)
    levels, stats, _ = read_levels(data)
    expected, expected_stats = scale_image_reference(counts)
    np.testing.assert_array_equal(levels, expected)
    assert stats == expected_stats
    np.testing.assert_array_equal(read_tiff(data).counts_HW, counts)


def lzw_codes(codes: list[tuple[int, int]]) -> bytes:
    text = "".join(f"{code:0{width}b}" for code, width in codes)
    return int(text.ljust(-(-len(text) // 8) * 8, "0"), 2).to_bytes(-(-len(text) // 8), "big")


def one_strip(strip: bytes, H: int, W: int, bits=8, extra=()) -> bytes:
    """A TIFF by hand: little-endian, LZW, the page behind the pixels as the microscope writes it."""
    tags = [
        (256, 4, W),
        (257, 4, H),
        (258, 3, bits),
        (259, 3, 5),
        (262, 3, 1),
        (273, 4, 8),
        (278, 4, H),
        (279, 4, len(strip)),
        *extra,
    ]
    page = struct.pack("<H", len(tags)) + b"".join(
        struct.pack("<HHII", code, kind, 1, value) for code, kind, value in sorted(tags)
    )
    return b"II*\0" + struct.pack("<I", 8 + len(strip)) + strip + page + bytes(4)


def test_lzw_by_hand():
    """TIFF 6.0, section 13: the example strip 7 7 7 8 8 7 7 6 6 and its codes."""
    pixels = [7, 7, 7, 8, 8, 7, 7, 6, 6]
    codes = [256, 7, 258, 8, 8, 258, 6, 6, 257]
    strip = lzw_codes([(code, 9) for code in codes])
    assert imagecodecs.lzw_decode(strip) == bytes(pixels)
    assert read_tiff(one_strip(strip, 1, 9)).counts_HW.tolist() == [pixels]
    assert read_tiff(one_strip(strip, 1, 9)).counts_HW.tolist() == [pixels]
    # without SamplesPerPixel, and an end code that never comes
    assert read_tiff(one_strip(strip[:-1], 3, 3)).counts_HW.tolist() == [[7, 7, 7], [8, 8, 7], [7, 6, 6]]


def test_a_code_for_the_string_just_begun():
    strip = lzw_codes([(256, 9), (65, 9), (258, 9), (259, 9), (257, 9)])  # A, AA, AAA
    assert read_tiff(one_strip(strip, 2, 3)).counts_HW.tolist() == [[65] * 3] * 2
    assert read_tiff_reference(one_strip(strip, 2, 3)).counts_HW.tolist() == [[65] * 3] * 2


@pytest.mark.parametrize(
    "codes",
    [
        [256, 300],  # the first code is no byte
        [256, 65, 259],  # ahead of the table
        [256, 65, 66, 257],  # ends too early
        [256, 65],  # cut short
        [256, 256, 256],
    ],
)
def test_impossible_codes_are_refused_alike(codes):
    data = one_strip(lzw_codes([(code, 9) for code in codes]), 4, 4)
    for read in (read_tiff, read_tiff_reference):
        with pytest.raises(BadImage):
            read(data)


def test_damaged_files_are_refused_alike():
    whole = tiff_bytes(image("camera", 40, 40, 16), compression="lzw", rowsperstrip=40)
    page_first = one_strip(whole, 40, 40, 16)  # the strip is no LZW at all
    cases = [
        b"",
        b"II*\0",
        b"hello, this is text\n" * 9,
        whole[: len(whole) // 2],
        whole[:200],
        page_first[:-40],
        bytes(5000),
        page_first,
    ]
    for data in cases:
        for read in (read_tiff, read_tiff_reference) if data else (read_tiff,):
            with pytest.raises(BadImage):
                read(data)


def test_what_is_no_plane_of_counts():
    for counts, options in (
        (np.zeros((8, 8), np.float32), {}),
        (np.zeros((8, 8), np.int16), {}),
        (np.zeros((8, 8), np.uint32), {}),
        (np.zeros((8, 8, 3), np.uint8), {"photometric": "rgb"}),
    ):
        with pytest.raises(BadImage, match=r"save (them as unsigned 8-bit|each channel as a greyscale)"):
            read_tiff(tiff_bytes(counts, **options))


@pytest.mark.parametrize("options", [{}, {"byteorder": ">"}, {"bigtiff": True}, {"bigtiff": True, "byteorder": ">"}])
def test_the_acquisition_xml_is_found(options):
    xml = b"<T>" + bytes(range(1, 127)) * 30 + b"</T>"
    data = tiff_bytes(image("camera", 9, 9, 16), extratags=[(65500, 1, len(xml), xml, False)], **options)
    assert tiff.read_acquisition_xml(io.BytesIO(data)) == xml
    for damaged in (data[:9], data[:40], b"", b"text\n" * 9, tiff_bytes(image("camera", 9, 9, 16), **options)):
        assert tiff.read_acquisition_xml(io.BytesIO(damaged)) in (None, xml)


def test_the_acquisition_xml_is_read_without_the_pixels(tmp_path):
    """A plate without it is searched to its last image, on a file system that may be far away."""
    xml, counts = b"<T>" + b"x" * 20_000, image("camera", 1080, 1080, 16)
    for name, tags in (("with", [(65500, 1, len(xml), xml, False)]), ("without", [])):
        path = tmp_path / f"{name}.tiff"
        path.write_bytes(tiff_bytes(counts, extratags=tags))
        with CountedReads(path) as raw, io.BufferedReader(raw) as file:
            assert tiff.read_acquisition_xml(file) == (xml if tags else None)
            assert raw.bytes_read < len(xml) * bool(tags) + 4 * io.DEFAULT_BUFFER_SIZE
        assert path.stat().st_size > 2_000_000


class CountedReads(io.FileIO):
    """A file that counts the bytes that are read from it."""

    bytes_read = 0

    def readinto(self, buffer):
        count = super().readinto(buffer)
        self.bytes_read += count
        return count


def test_tags_are_read(real_data):
    path = next((real_data / "cpjump1_images" / "BR00117006" / "Images").glob("*ch5*"))
    for read in (read_tiff, read_tiff_reference):
        got = read(path.read_bytes())
        assert got.claims == tiff.Claims(177, 65535) == tiff.Claims(got.counts_HW.min(), got.counts_HW.max())
    plain = read_tiff(tiff_bytes(image("camera", 9, 9, 16), compression="lzw"))
    assert plain.claims == tiff.Claims(-1, -1)


@pytest.mark.slow
def test_every_real_image(real_data):
    paths = sorted((real_data / "cpjump1_images").rglob("*.tiff"))
    assert len(paths) == 67
    for path in paths:
        data = path.read_bytes()
        expected = read_tiff_reference(data).counts_HW
        np.testing.assert_array_equal(read_tiff(data).counts_HW, expected)
        levels, stats, _ = read_levels(data)
        expected_levels, expected_stats = scale_image_reference(expected)
        np.testing.assert_array_equal(levels, expected_levels)
        assert stats == expected_stats


def test_levels_are_integer_floors():
    """Every range up to 2,000 and some beyond, against Python's integers; the brightest pixel is always 255."""
    for white in [*range(1, 2000, 7), 4095, 30000, 65535 - 100]:
        counts = np.arange(100, 101 + white)
        np.testing.assert_array_equal(to_level(counts, 100, 100 + white), [(v - 100) * 255 // white for v in counts.tolist()])
    in_float32 = ((np.float32(255) / np.arange(1, 65536, dtype=np.float32)) * np.arange(1, 65536, dtype=np.float32)).astype(
        np.uint8
    )
    assert (in_float32 == 254).sum() == 9728  # the trap that integers avoid


@needs_compiled
def test_compiled_levels_for_every_range():
    counts = np.arange(65536, dtype=np.uint16)[None]
    for black, white in [(0, 65535), (1, 65535), (177, 65535), (150, 436), (0, 1), (9, 9), (9, 3), (1000, 1255), (60000, 65535)]:
        levels, stats = scale_image(counts, black, white)
        np.testing.assert_array_equal(levels, to_level(counts, black, white))
        assert stats == scale_image_reference(counts, black, white)[1]


def test_numbers_by_hand():
    counts = np.array([[10, 20, 30], [40, 65535, 10]], np.uint16)
    for scale in (scale_image, scale_image_reference):
        levels, stats = scale(counts)
        assert levels.tolist() == [[0, 0, 0], [0, 255, 0]]
        assert (stats.least, stats.most, stats.black, stats.white) == (10, 65535, 10, 65535)
        assert (stats.sum, stats.sumsq) == (65645, sum(v * v for v in (10, 20, 30, 40, 65535, 10)))
        assert (stats.sum8, stats.sumsq8, stats.saturated) == (255, 255 * 255, 1)
        assert (stats.low, stats.high) == (10, 65535)


def test_constant_images_become_zeros():
    levels, stats = scale_image(np.full((4, 4), 777, np.uint16))
    assert not levels.any()
    assert (stats.black, stats.white, stats.levels, stats.focus) == (777, 777, 0, 0.0)


def test_percentiles_leave_hot_pixels_out():
    counts = np.tile(np.arange(200, 1200, dtype=np.uint16), (10, 1))
    counts[3, 3] = 65535
    for scale in (scale_image, scale_image_reference):
        stats = scale(counts)[1]
        assert (stats.low, stats.high) == tuple(np.percentile(counts, (0.5, 99.5), method="inverted_cdf"))


def test_focus_falls_with_blur_and_not_with_noise():
    from scipy.ndimage import gaussian_filter

    rng = np.random.default_rng(0)
    scene = gaussian_filter(rng.normal(size=(400, 400)), 2.0)
    scene = 3000 + 800 * scene / scene.std()

    def focus(blur, noise):
        picture = gaussian_filter(scene, blur) + rng.normal(0, noise, scene.shape)
        return scale_image(np.clip(picture, 0, 65535).astype(np.uint16))[1].focus

    sharp = focus(0.0, 10)
    assert focus(2.0, 10) < 0.6 * sharp
    assert focus(4.0, 10) < 0.3 * sharp
    assert abs(focus(0.0, 200) - sharp) < 0.15 * sharp
    assert focus_of((0,) * 9, 5, 5) == 0.0


def test_lag_sums_by_hand():
    counts = np.array([[1, 2, 4], [9, 9, 9]], np.uint16)
    assert sites.lag_sums(counts) == (1 + 4 + 16, 7, 7, 2 + 8, 3, 6, 4, 1, 4)


def test_without_the_extension_the_results_are_the_same(monkeypatch):
    counts = image("camera", 90, 70, 16)
    data = tiff_bytes(counts, compression="lzw", rowsperstrip=90)
    with_it = read_levels(data)
    for module in (tiff, sites):
        monkeypatch.setattr(module, "cpu_extension", lambda: None)
    without = read_levels(data)
    np.testing.assert_array_equal(with_it[0], without[0])
    assert with_it[1] == without[1]
    assert tiff.decoder()[0] == "tifffile"
