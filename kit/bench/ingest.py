"""Benchmark ingest: the decoder against tifffile + numpy, the store against other containers and codecs, a whole plate.

    python -m kit.bench.ingest [--store] [FOLDER]

FOLDER holds CPJUMP1 images (default: shared/data/cpjump1_images next to the checkout, or $KIT_REAL_DATA); without them,
made images are used and the sizes mean little. All ratios come from one run on one machine.
"""

import argparse
import functools
import os
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

import numpy as np
import tifffile

from kit.bench.plates import Row, made_sites, real_sites, write_sites
from kit.bench.store import store_rows
from kit.images.ingest.image import read_levels
from kit.images.ingest.plan import IngestPlan
from kit.images.ingest.run import ingest
from kit.images.source.folders import ImageFile, Reader
from kit.images.source.tiff import decoder
from kit.images.store.codecs import CODECS, checksum, pack

_FIELDS = 9  # sites a well
Made = TypeVar("Made")


def rows(folder: Path | None = None, *, store: bool = False) -> Iterator[Row]:
    """Yield the measurements; those of containers and codecs, which take minutes, only with `store`."""
    with tempfile.TemporaryDirectory(prefix="kit-bench-") as scratch:
        sites = write_sites(real_sites(folder) or made_sites(), Path(scratch) / "lzw")
        yield from decoder_rows(sites)
        yield from plate_rows(sites, Path(scratch))
        if store:
            yield from store_rows(sites, Path(scratch))


def cpu_seconds(action: Callable[[], object], repeats: int = 5) -> float:
    """Return the median CPU seconds of this thread that some runs took: others use the machine too."""
    times = []
    for _ in range(repeats):
        started = time.thread_time()
        action()
        times.append(time.thread_time() - started)
    return statistics.median(times)


def in_turn(first: Callable[[], object], second: Callable[[], object], repeats: int = 9) -> tuple[float, float]:
    """Return the median CPU seconds of both, run in turn: what slows the machine down for a while slows both."""
    pairs = [(cpu_seconds(first, 1), cpu_seconds(second, 1)) for _ in range(repeats)]
    return statistics.median(one for one, _ in pairs), statistics.median(two for _, two in pairs)


def tifffile_numpy(path: Path) -> np.ndarray:
    """The plain way: tifffile, then exact integers in numpy."""
    counts = tifffile.imread(path)
    least, most = int(counts.min()), int(counts.max())
    return ((counts.astype(np.int32) - least) * 255 // max(most - least, 1)).astype(np.uint8)


def _kit_levels(path: Path, robust: bool = False) -> np.ndarray:
    return read_levels(path.read_bytes(), robust=robust)[0]


def decoder_rows(sites: list[list[Path]]) -> Iterator[Row]:
    """Path to 8-bit array, CPU of one thread, warm file cache, mean over the images of two sites."""
    paths = [path for site in sites[:2] for path in site]
    ours, theirs = [], []
    for path in paths:
        np.testing.assert_array_equal(read_levels(path.read_bytes())[0], tifffile_numpy(path))
        ours.append(cpu_seconds(functools.partial(_kit_levels, path)))
        theirs.append(cpu_seconds(functools.partial(tifffile_numpy, path)))
    name, reason = decoder()
    yield Row("tifffile + numpy, LZW path to 8 bit", statistics.mean(theirs) * 1e3, "ms/image")
    ratio = sum(theirs) / sum(ours)
    yield Row(
        f"kit ({name}, with all numbers of the sites table)", statistics.mean(ours) * 1e3, "ms/image", f"x {ratio:.2f} ({reason})"
    )
    times = [in_turn(functools.partial(_kit_levels, path), functools.partial(_kit_levels, path, robust=True)) for path in paths]
    image, robust = np.sum(times, axis=0)
    name = "the same with --scale image-robust"
    yield Row(name, robust / len(paths) * 1e3, "ms/image", f"x {robust / image:.3f} of image's time, in turn")


def plate_rows(sites: list[list[Path]], scratch: Path, jobs: int | None = None) -> Iterator[Row]:
    """A whole plate against the sum of its parts, measured one by one in one thread on the same images.

    The plate is packed twice and the second time counts: a virtual machine that meets a page of memory for the first time,
    here the file cache's, pays for it once, and the parts below have been run before too.
    """
    jobs = jobs or len(os.sched_getaffinity(0))
    plate = _plate_of_many_wells(sites, scratch / "plate", wells=16 * jobs)
    parts = part_costs([path for site in sites for path in site])
    for name, seconds in parts.items():
        yield Row(f"one thread, {name}", seconds * 1e3, "ms/image")
    for _ in range(2):
        shutil.rmtree(scratch / "work", ignore_errors=True)
        started, cpu_started = time.perf_counter(), time.process_time()
        report = ingest(IngestPlan(plate, scratch / "work", channel_names="cpjump1", jobs=jobs))
        wall, cpu = time.perf_counter() - started, time.process_time() - cpu_started
    images = report.plates[0].images
    share = sum(parts.values()) * images
    name = f"whole plate, {images} images, {jobs} threads"
    yield Row(name, wall / images * 1e3, "ms/image", f"{share / jobs / wall:.0%} of threads / parts")
    yield Row(
        f"{name}, CPU", cpu / images * 1e3, "ms/image", f"{share / cpu:.0%} of the parts' (what a busy machine cannot spoil)"
    )
    shutil.rmtree(scratch / "work")


def part_costs(paths: list[Path]) -> dict[str, float]:
    """Return the mean CPU seconds per image of reading, decoding, encoding and checksumming, one after the other in one thread.

    Image by image, as an ingest meets them: a part repeated on one image finds everything in the cache.
    """
    reader, codec = Reader(), CODECS["zstd"]
    costs = dict.fromkeys(("read", "decode and scale", "encode", "checksum"), 0.0)

    def timed(name: str, action: Callable[[], Made]) -> Made:
        started = time.thread_time()
        result = action()
        costs[name] += time.thread_time() - started
        return result

    for path in paths:
        data = timed("read", functools.partial(reader, ImageFile(str(path))))
        levels, _, _ = timed("decode and scale", functools.partial(read_levels, data))
        timed("encode", functools.partial(pack, levels, codec))
        timed("checksum", functools.partial(checksum, levels))
    return {name: seconds / len(paths) for name, seconds in costs.items()}


def _plate_of_many_wells(sites: list[list[Path]], folder: Path, wells: int) -> Path:
    """Link the sites' files into a plate of `wells` wells of nine sites."""
    images = folder / "MANY__2020-01-01T00_00_00-Measurement1" / "Images"
    images.mkdir(parents=True)
    for number in range(wells * _FIELDS):
        well, field = divmod(number, _FIELDS)
        for path in sites[number % len(sites)]:
            (images / f"r{well // 24 + 1:02d}c{well % 24 + 1:02d}f{field + 1:02d}{path.name[9:]}").symlink_to(path)
    return folder


def main() -> None:
    """Print the rows."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, nargs="?")
    parser.add_argument("--store", action="store_true", help="also compare containers and codecs (minutes)")
    options = parser.parse_args()
    os.environ.setdefault("KIT_QUIET", "1")
    for row in rows(options.folder, store=options.store):
        print(row.text(), flush=True)  # noqa: T201 - a bench prints


if __name__ == "__main__":
    main()
