"""What ingest costs: the decoder against tifffile + numpy, the store against other containers and codecs, a whole plate.

    python -m kit.bench.ingest [--store] [FOLDER]

FOLDER holds CPJUMP1 images (default: shared/data/cpjump1_images beside the checkout, or $KIT_REAL_DATA); without them, made
images stand in and the sizes mean little. All ratios come from one run on one machine.
"""

import argparse
import os
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tifffile

from kit.images.ingest.run import ingest
from kit.images.source.folders import ImageFile, Reader
from kit.images.source.tiff import decoder, read_tiff
from kit.images.store.codecs import CODECS, checksum, pack
from kit.images.store.levels import read_levels

_SIDE = 1080  # pixels
_FIELDS = 9  # sites a well


@dataclass(frozen=True)
class Row:
    """One measurement: a name, a number with its unit, and how it compares."""

    name: str
    value: float
    unit: str
    note: str = ""

    def text(self) -> str:
        """Return the row as a line."""
        return f"{self.name:<58}{self.value:>10.3f} {self.unit:<10}{self.note}"


def rows(folder: Path | None = None, *, store: bool = False) -> Iterator[Row]:
    """Yield the measurements; those of containers and codecs, which take minutes, only with `store`."""
    with tempfile.TemporaryDirectory(prefix="kit-bench-") as scratch:
        sites = write_sites(real_sites(folder) or made_sites(), Path(scratch) / "lzw")
        yield from decoder_rows(sites)
        yield from plate_rows(sites, Path(scratch))
        if store:
            from kit.bench.store import store_rows

            yield from store_rows(sites, Path(scratch))


def real_sites(folder: Path | None) -> list[list[np.ndarray]]:
    """Return the counts of the full sites of the folder, uint16 [1080, 1080] per channel; none where there is no folder."""
    default = Path(os.environ.get("KIT_REAL_DATA", Path(__file__).parents[3] / "shared" / "data")) / "cpjump1_images"
    files: dict[str, list[Path]] = {}
    for path in sorted((folder or default).glob("*/Images/*.tiff")):
        files.setdefault(f"{path.parts[-3]}/{path.name[:12]}", []).append(path)
    return [[read_tiff(path.read_bytes()).counts_HW for path in paths] for paths in files.values() if len(paths) == 8]


def made_sites() -> list[list[np.ndarray]]:
    """Return two sites of smooth structure and camera noise, where no real ones are at hand."""
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:_SIDE, :_SIDE]
    scene = 400 + 3000 * (np.sin(x / 17) * np.sin(y / 23) > 0.6)
    return [[rng.poisson(scene * (1 + channel / 8)).astype(np.uint16) for channel in range(8)] for _ in range(2)]


def write_sites(sites: list[list[np.ndarray]], folder: Path) -> list[list[Path]]:
    """Write the sites as the microscope does, LZW in one strip, as wells of one plate."""
    images = folder / "BENCH__2020-01-01T00_00_00-Measurement1" / "Images"
    images.mkdir(parents=True)
    paths = []
    for number, site in enumerate(sites):
        named = [images / f"r01c{number + 1:02d}f01p01-ch{channel}sk1fk1fl1.tiff" for channel in range(1, len(site) + 1)]
        for path, counts in zip(named, site, strict=True):
            tifffile.imwrite(path, counts, compression="lzw", rowsperstrip=counts.shape[0], metadata=None)
        paths.append(named)
    return paths


def cpu_seconds(action: Callable[[], object], repeats: int = 5) -> float:
    """Return the median CPU seconds of this thread that some runs took: others use the machine too."""
    times = []
    for _ in range(repeats):
        started = time.thread_time()
        action()
        times.append(time.thread_time() - started)
    return statistics.median(times)


def tifffile_numpy(path: Path) -> np.ndarray:
    """The plain way: tifffile, then exact integers in numpy."""
    counts = tifffile.imread(path)
    least, most = int(counts.min()), int(counts.max())
    return ((counts.astype(np.int32) - least) * 255 // max(most - least, 1)).astype(np.uint8)


def decoder_rows(sites: list[list[Path]]) -> Iterator[Row]:
    """Path to 8-bit array, CPU of one thread, warm file cache, mean over the images of two sites."""
    paths = [path for site in sites[:2] for path in site]
    ours, theirs = [], []
    for path in paths:
        np.testing.assert_array_equal(read_levels(path.read_bytes())[0], tifffile_numpy(path))
        ours.append(cpu_seconds(lambda path=path: read_levels(path.read_bytes())))
        theirs.append(cpu_seconds(lambda path=path: tifffile_numpy(path)))
    name, reason = decoder()
    yield Row("tifffile + numpy, LZW path to 8 bit", statistics.mean(theirs) * 1e3, "ms/image")
    ratio = sum(theirs) / sum(ours)
    yield Row(
        f"kit ({name}, with all numbers of the sites table)", statistics.mean(ours) * 1e3, "ms/image", f"x {ratio:.2f} ({reason})"
    )


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
        report = ingest(plate, scratch / "work", jobs=jobs)
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

    def timed(name: str, action: Callable[[], object]):
        started = time.thread_time()
        result = action()
        costs[name] += time.thread_time() - started
        return result

    for path in paths:
        data = timed("read", lambda path=path: reader(ImageFile(str(path))))
        levels, _, _ = timed("decode and scale", lambda data=data: read_levels(data))
        timed("encode", lambda levels=levels: pack(levels, codec))
        timed("checksum", lambda levels=levels: checksum(levels))
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
