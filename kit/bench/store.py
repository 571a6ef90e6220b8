"""The store against its alternatives on the same pixels: bytes, files, and the time to read five channels or a crop of them.

Times are CPU time of one process, so that a busy machine does not distort them; files come from the page cache.
"""

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import imagecodecs
import numpy as np
import zarr
from zarr.codecs import BloscCodec, ZstdCodec

from kit.bench.plates import Row
from kit.images.ingest.image import read_levels
from kit.images.ingest.plan import IngestPlan
from kit.images.ingest.run import ingest
from kit.images.store.codecs import CODECS, Codec, pack, unpack_into
from kit.images.store.work import Work, open_work

CHANNELS = 5  # of a site that are read
CROP = 518  # pixels
SIDE = 1080  # pixels of an image
FULL_PLATE = 384 * 9  # sites
_WINDOW = slice(300, 300 + CROP), slice(200, 200 + CROP)
_WHOLE_WELL = (1, 1, 8, SIDE, SIDE)
LAYOUTS = {  # chunk, shard and codec of other layouts
    "shard a well, chunk a site": (_WHOLE_WELL, _WHOLE_WELL, ZstdCodec(level=3)),
    "shard a well, chunk a 270 px tile": ((1, 1, 1, 270, 270), _WHOLE_WELL, ZstdCodec(level=3)),
    "no shards, chunk an image": ((1, 1, 1, SIDE, SIDE), None, ZstdCodec(level=3)),
    "shard a well, blosc bitshuffle": ((1, 1, 1, SIDE, SIDE), _WHOLE_WELL, BloscCodec(cname="zstd", shuffle="bitshuffle")),
}

Item = TypeVar("Item")
Trial = tuple[Callable[[np.ndarray], bytes | bytearray], Callable[[bytes], object]]  # encode, decode


@dataclass(frozen=True)
class Rival:
    """Bytes per site, files per plate of 384 wells x 9 sites, and how site `i` and a crop of it are read."""

    name: str
    bytes_per_site: float
    files: int
    read: Callable[[int], np.ndarray]
    crop: Callable[[int], np.ndarray]


def store_rows(sites: list[list[Path]], scratch: Path) -> Iterator[Row]:
    """Yield codecs, then containers."""
    lzw = sum(path.stat().st_size for site in sites for path in site) / len(sites)
    yield Row("one-strip LZW TIFF", lzw / 1e6, "MB/site")
    pixels = [np.stack([read_levels(path.read_bytes())[0] for path in site]) for site in sites]
    yield from codec_rows(pixels, lzw)
    work = _ingest(sites, scratch)
    for rival in rivals(pixels, work, scratch):
        for number, site in enumerate(pixels[:2]):
            np.testing.assert_array_equal(rival.read(number), site[:CHANNELS])
            np.testing.assert_array_equal(rival.crop(number), site[:CHANNELS, *_WINDOW])
        yield Row(f"{rival.name}: stored", rival.bytes_per_site / 1e6, "MB/site", f"{rival.files} files a plate")
        for what, action in ((f"{CHANNELS} channels", rival.read), (f"a {CROP} px crop of them", rival.crop)):
            yield Row(f"{rival.name}: {what}", _cpu_ms_of_all(action, range(len(pixels))) / len(pixels), "ms")


def codec_rows(pixels: list[np.ndarray], lzw: float) -> Iterator[Row]:
    """Yield bytes, encode and decode time of a site's eight images per codec; those of the store first."""
    for name, (encode, decode) in codec_trials().items():
        packed = [[bytes(encode(np.ascontiguousarray(image))) for image in site] for site in pixels]
        stored = sum(len(data) for site in packed for data in site) / len(pixels)
        yield Row(f"codec {name}: stored", stored / 1e6, "MB/site", f"1/{lzw / stored:.2f} of LZW")
        yield Row(f"codec {name}: encode", _cpu_ms_of_all(encode, map(np.ascontiguousarray, pixels[0]), 2), "ms/site")
        yield Row(f"codec {name}: decode", _cpu_ms_of_all(decode, packed[0], 3), "ms/site")


def codec_trials() -> dict[str, Trial]:
    """Return the store's codecs, then others."""
    out = np.empty((SIDE, SIDE), np.uint8)
    return {
        **{name: _of_store(codec, out) for name, codec in CODECS.items()},
        **{f"(zstd level {level})": _zstd(level) for level in (1, 6, 9, 15)},
        "(blosc, bitshuffle, zstd)": (
            lambda image: imagecodecs.blosc_encode(
                image.ravel(), level=5, compressor="zstd", shuffle="bit", typesize=1, numthreads=1
            ),
            lambda data: imagecodecs.blosc_decode(data, numthreads=1),
        ),
        "(HTJ2K)": (lambda image: imagecodecs.htj2k_encode(image, reversible=True), imagecodecs.htj2k_decode),
        "(deflate)": (
            lambda image: imagecodecs.deflate_encode(image.ravel(), level=6),
            lambda data: imagecodecs.deflate_decode(data, out=SIDE * SIDE),
        ),
        **{f"(JPEG XL effort {effort})": _jpeg_xl(effort) for effort in (1, 2)},
    }


def _of_store(codec: Codec, out: np.ndarray) -> Trial:
    return lambda image: pack(image, codec), lambda data: unpack_into(out, data, codec)


def _zstd(level: int) -> Trial:
    return (
        lambda image: imagecodecs.zstd_encode(image.ravel(), level=level),
        lambda data: imagecodecs.zstd_decode(data, out=SIDE * SIDE),
    )


def _jpeg_xl(effort: int) -> Trial:
    return (
        lambda image: imagecodecs.jpegxl_encode(image, lossless=True, effort=effort, numthreads=1),
        lambda data: imagecodecs.jpegxl_decode(data, numthreads=1),
    )


def rivals(pixels: list[np.ndarray], work: Work, scratch: Path) -> Iterator[Rival]:
    """Yield the store, read by kit and by zarr-python, and other layouts of the same images."""
    plate, wells = work.plates[0], [str(well) for well in work.wells["Metadata_Well"]]
    names = work.channels[:CHANNELS]
    folder = work.path / "plates" / f"{plate}.zarr"
    stored = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) / len(pixels)
    yield Rival(
        "shard a well, chunk an image (the store, by kit)",
        stored,
        386,
        lambda n: work.read_site(plate, wells[n], 1, names),
        lambda n: work.read_site(plate, wells[n], 1, names)[:, *_WINDOW],
    )
    yield _by_zarr("the same by zarr-python", stored, 386, zarr.open_array(folder / "pixels", mode="r"))
    for name, (chunk, shard, codec) in LAYOUTS.items():
        path = scratch / name.replace(" ", "-")
        made = zarr.create_array(
            path, shape=(len(pixels), 1, 8, SIDE, SIDE), dtype="u1", chunks=chunk, shards=shard, compressors=codec
        )
        made[:] = np.stack(pixels)[:, None]
        files = [file for file in path.rglob("*") if file.is_file()]
        size = sum(file.stat().st_size for file in files) / len(pixels)
        yield _by_zarr(f"{name} (zarr-python)", size, 385 if shard else FULL_PLATE * 8 + 1, made)
    raw = np.lib.format.open_memmap(scratch / "raw.npy", "w+", np.uint8, (len(pixels), 8, SIDE, SIDE))
    raw[:] = pixels
    yield Rival(
        "uncompressed .npy, mapped",
        8 * SIDE * SIDE,
        1,
        lambda n: raw[n, :CHANNELS].copy(),
        lambda n: raw[n, :CHANNELS, *_WINDOW].copy(),
    )
    yield from _tensorstore(folder, stored)


def _by_zarr(name: str, size: float, files: int, array: zarr.Array) -> Rival:
    return Rival(
        name,
        size,
        files,
        lambda n: np.asarray(array[n, 0, :CHANNELS]),
        lambda n: np.asarray(array[n, 0, :CHANNELS, *_WINDOW]),
    )


def _tensorstore(folder: Path, stored: float) -> Iterator[Rival]:
    """Yield the store as TensorStore reads it, where that is installed."""
    try:
        import tensorstore
    except ImportError:
        return
    spec = {"driver": "zarr3", "kvstore": {"driver": "file", "path": str(folder / "pixels")}}
    array = tensorstore.open(spec, open=True, read=True).result()
    yield Rival(
        "the store, by TensorStore",
        stored,
        386,
        lambda n: array[n, 0, :CHANNELS].read().result(),
        lambda n: array[n, 0, :CHANNELS, *_WINDOW].read().result(),
    )


def cpu_ms(action: Callable[[], object], repeats: int = 4) -> float:
    """Return the fewest CPU milliseconds of this process, over all threads, that one of the runs took."""
    times = []
    for _ in range(repeats):
        started = time.process_time()
        action()
        times.append(time.process_time() - started)
    return min(times) * 1e3


def _cpu_ms_of_all(action: Callable[[Item], object], items: Iterable[Item], repeats: int = 4) -> float:
    items = list(items)
    return cpu_ms(lambda: [action(item) for item in items], repeats)


def _ingest(sites: list[list[Path]], scratch: Path) -> Work:
    ingest(IngestPlan(sites[0][0].parents[2], scratch / "store", channel_names="cpjump1"))
    return open_work(scratch / "store")
