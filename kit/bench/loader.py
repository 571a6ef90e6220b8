"""Benchmark the loader against torch's DataLoader: crops a second from the store, and the tile op alone.

    python -m kit.bench.loader [--threads 2] [--seconds N] [--json FILE] [--rehearse]

One plate of TIFFs is made and ingested in a temporary folder; every contestant then
delivers three crops per sample (two of one site, one of another site of its well), five channels of 1080 px to 518 px, uint8.
On a GPU also: the tile op there, and the share of its time that a GPU waits for kit's loader while it takes training steps.
"""

import argparse
import math
import multiprocessing
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import tifffile
import torch
import torch.nn.functional as F
from torch.utils.data import DataLoader, Dataset

from kit.bench.feeding import wait_share
from kit.bench.step_case import STAINS
from kit.bench.steps import TINY, TINY_SIDES
from kit.bench.timebox import Timebox
from kit.config import CropsConfig
from kit.images.crops.boxes import draw_crops
from kit.images.crops.groups import V1, V2, W
from kit.images.crops.loader import CropBatch, Crops
from kit.images.crops.sampling import WHO, Sampling, sites_to_draw
from kit.images.ingest.plan import IngestPlan
from kit.images.ingest.run import ingest
from kit.images.store.work import Work, open_work
from kit.kernels.tile import tile

PLATE, SIDE, WELLS, SITES = "BENCH", 1080, 8, 2
CONFIG = CropsConfig(global_side=518)
ROUNDS, BATCHES = 3, 9

Who = tuple[str, str, int]  # plate, well, site


def write_plate(folder: Path) -> None:
    """Write WELLS x SITES x 5 LZW TIFFs with the counts, the noise and the hot pixels of a real plate."""
    rng = np.random.default_rng(0)
    images = folder / f"{PLATE}__2020-01-01T00_00_00-Measurement1" / "Images"
    images.mkdir(parents=True)
    for well in range(WELLS):
        for site in range(SITES):
            for channel in range(len(STAINS)):
                name = f"r01c{well + 1:02d}f{site + 1:02d}p01-ch{channel + 1}sk1fk1fl1.tiff"
                tifffile.imwrite(images / name, _image(rng), compression="lzw", rowsperstrip=SIDE)


def _image(rng: np.random.Generator) -> np.ndarray:
    coarse = torch.from_numpy(rng.random((1, 1, SIDE // 15, SIDE // 15), dtype=np.float32))
    cells = F.interpolate(coarse, (SIDE, SIDE), mode="bicubic").clamp(0, 1)[0, 0].numpy() ** 4
    counts = rng.poisson(300 + 9000 * cells)
    counts[tuple(rng.integers(0, SIDE, (2, 3)))] = 40_000
    return counts.astype(np.uint16)


class Samples(Dataset):
    """Sites and boxes drawn in advance, read by `read(who)` and cropped by torch, as a DataLoader's workers do."""

    def __init__(self, work: Work, read: Callable[[Who], np.ndarray], batches: int):
        sampling = Sampling(sites_to_draw(work, CONFIG, STAINS), CONFIG, batch=WELLS, seed=0)
        who = list(sampling.sites[WHO].itertuples(index=False, name=None))
        self.read, self.items = read, []
        for step in range(batches):
            draw = sampling.draw(step, 0)
            views = [draw_crops(CONFIG, name, 0, WELLS, (SIDE, SIDE), 0, step, 0)[0] for name in (V1, W, V2)]
            self.items += [(who[a], who[b], *boxes) for a, b, *boxes in zip(draw.first_B, draw.second_B, *views, strict=True)]

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, index: int) -> list[torch.Tensor]:
        first, second, *boxes = self.items[index]
        sites = [torch.from_numpy(self.read(who)) for who in (first, second)]
        return [torch_crop(sites[i], box) for i, box in zip((0, 0, 1), boxes, strict=True)]


def torch_crop(site_CHW: torch.Tensor, box: Iterable[int]) -> torch.Tensor:
    """Crop and resize with torch, channels as a batch: of its layouts the fastest here for five channels of uint8."""
    top, left, height, width = (int(value) for value in box)
    crop = site_CHW[:, None, top : top + height, left : left + width]
    return F.interpolate(crop, (CONFIG.global_side, CONFIG.global_side), mode="bilinear", antialias=True)[:, 0]


def read_tiffs(folder: Path) -> Callable[[Who], np.ndarray]:
    """Return a reader of one site from its TIFFs: decode, then min-max to 8 bits."""

    def read(who: Who) -> np.ndarray:
        _, well, site = who
        name = f"r01c{int(well[1:]):02d}f{site:02d}p01-ch{{}}sk1fk1fl1.tiff"
        (images,) = folder.glob(f"{PLATE}__*/Images")
        counts = [tifffile.imread(images / name.format(channel + 1)).astype(np.float32) for channel in range(len(STAINS))]
        return np.stack([((c - c.min()) / np.ptp(c) * 255).astype(np.uint8) for c in counts])

    return read


def kit_batches(work: Work, threads: int) -> Generator[CropBatch, None, None]:
    with Crops(work, CONFIG, channels=STAINS, batch=WELLS, seed=0, threads=threads) as crops:
        for epoch in range(10_000):
            yield from crops.epoch(epoch)


def torch_batches(samples: Samples, threads: int) -> Generator[list[torch.Tensor], None, None]:
    loader = DataLoader(samples, batch_size=WELLS, num_workers=threads, persistent_workers=True, prefetch_factor=2)
    while True:
        yield from loader


def race(batches: Iterator[object]) -> tuple[float, float]:
    """Return crops a second and CPU milliseconds a crop over BATCHES batches, the workers already running."""
    for _ in range(3):
        next(batches)
    start, cpu = time.perf_counter(), cpu_seconds()
    for _ in range(BATCHES):
        next(batches)
    crops = BATCHES * WELLS * 3
    return crops / (time.perf_counter() - start), (cpu_seconds() - cpu) / crops * 1e3


def cpu_seconds() -> float:
    """Return the CPU time of this process and its current workers: more reliable than wall-clock time on a busy machine."""
    total = time.process_time()
    for child in multiprocessing.active_children():
        fields = Path(f"/proc/{child.pid}/stat").read_text().rpartition(")")[2].split()
        total += (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    return total


def make_store(folder: Path) -> Work:
    """Write the plate's TIFFs, ingest them, and return the work folder."""
    write_plate(folder / "plates")
    ingest(IngestPlan(folder / "plates", folder / "work", channel_names="cpjump1"))
    return open_work(folder / "work")


def race_loaders(folder: Path, work: Work, threads: int) -> tuple[dict, str]:
    """Race the loaders in turns and return crops a second and CPU ms a crop of each, and the lines of the table."""

    def read_store(who: Who) -> np.ndarray:
        return work.read_site(*who, STAINS)

    contenders: dict[str, Callable[[], Generator[object, None, None]]] = {
        "kit": lambda: kit_batches(work, threads),
        "(a) DataLoader, tifffile, torch": lambda: torch_batches(
            Samples(work, read_tiffs(folder / "plates"), BATCHES + 3), threads
        ),
        "(b) DataLoader, store by numpy, torch": lambda: torch_batches(Samples(work, read_store, BATCHES + 3), threads),
    }
    rates: dict[str, list[tuple[float, float]]] = {name: [] for name in contenders}
    for _ in range(ROUNDS):
        for name, start in contenders.items():
            batches = start()
            rates[name].append(race(batches))
            batches.close()
    best = {name: tuple(map(statistics.median, zip(*values, strict=True))) for name, values in rates.items()}
    stored = sum(path.stat().st_size for path in (folder / "work" / "plates").rglob("0")) / (WELLS * SITES * len(STAINS))
    lines = [f"loader: crops/s of 518 px x 5, {threads} threads or workers, {stored / 1e3:.0f} kB a stored image"]
    fastest, least = best["kit"]
    lines += [
        f"  {name:40}{rate:8.0f}, {cpu:5.1f} CPU ms a crop   kit is {fastest / rate:.2f} x, by CPU time {cpu / least:.2f} x"
        for name, (rate, cpu) in best.items()
    ]
    found = {name: {"crops_per_s": rate, "cpu_ms": cpu} for name, (rate, cpu) in best.items()}
    return {"name": "loader", "threads": threads, "contestants": found}, "\n".join(lines)


def race_tile(side: int, area: tuple[float, float]) -> tuple[dict, str]:
    """Race the tile op against torch on 64 crops and return the times, ms, and the lines of the table."""
    sites = torch.from_numpy(np.random.default_rng(0).integers(0, 256, (16, 5, SIDE, SIDE), dtype=np.uint8))
    config = CropsConfig(global_side=side, global_area=area)
    box, flip, turn = (torch.from_numpy(a) for a in draw_crops(config, V1, 0, 64, (SIDE, SIDE), 0, 0, 0))
    site = torch.arange(64) % 16
    boxes = [(sites[i], *b) for i, b in zip(site.tolist(), box.tolist(), strict=True)]

    def whole(s: torch.Tensor, y: int, x: int, h: int, w: int) -> torch.Tensor:
        return F.interpolate(s[None, :, y : y + h, x : x + w], (side, side), mode="bilinear", antialias=True)

    def last(s: torch.Tensor, y: int, x: int, h: int, w: int) -> torch.Tensor:
        crop = s[None, :, y : y + h, x : x + w].contiguous(memory_format=torch.channels_last)
        return F.interpolate(crop, (side, side), mode="bilinear", antialias=True)

    def apart(s: torch.Tensor, y: int, x: int, h: int, w: int) -> torch.Tensor:
        return F.interpolate(s[:, None, y : y + h, x : x + w], (side, side), mode="bilinear", antialias=True)

    contenders: dict[str, Callable[[], object]] = {
        "kit, mirrored and turned": lambda: tile(sites, site, box, flip, turn, side=side),
        "kit": lambda: tile(sites, site, box, side=side),
        "torch, [1, C, h, w]": lambda: [whole(*b) for b in boxes],
        "torch, channels last": lambda: [last(*b) for b in boxes],
        "torch, [C, 1, h, w]": lambda: [apart(*b) for b in boxes],
    }
    times: dict[str, list[float]] = {name: [] for name in contenders}
    for _ in range(5):
        for name, run in contenders.items():
            start = time.perf_counter()
            run()
            times[name].append(time.perf_counter() - start)
    took = {name: statistics.median(values[1:]) * 1e3 for name, values in times.items()}
    fastest = min(value for name, value in took.items() if name.startswith("torch"))
    lines = [f"tile: ms for 64 crops of {side} px x 5 from {SIDE} px sites, {torch.get_num_threads()} threads"]
    lines += [f"  {name:40}{value:8.1f}  {fastest / value:.2f} x torch's best" for name, value in took.items()]
    return {"name": f"tile, {side} px", "ms": took}, "\n".join(lines)


def race_gpu(side: int, area: tuple[float, float]) -> tuple[dict, str]:
    """Return the tile op's bytes a second on the GPU, and that of a copy within its memory, measured beside it."""
    sites = torch.randint(0, 256, (16, 5, SIDE, SIDE), dtype=torch.uint8, device="cuda")
    config = CropsConfig(global_side=side, global_area=area)
    box, flip, turn = (torch.from_numpy(a) for a in draw_crops(config, V1, 0, 64, (SIDE, SIDE), 0, 0, 0))
    site, out = torch.arange(64) % 16, torch.empty(64, 5, side, side, dtype=torch.uint8, device="cuda")
    source, target = (torch.empty(2**30, dtype=torch.uint8, device="cuda") for _ in range(2))
    copied = 2 * source.numel() / _gpu_seconds(lambda: target.copy_(source))
    moved = 5 * (box[:, 2] * box[:, 3]).sum().item() + out.numel()
    rate = moved / _gpu_seconds(lambda: tile(sites, site, box, flip, turn, side=side, out_BCPP=out))
    text = f"tile on the GPU: 64 crops of {side} px x 5, {rate / 1e9:.0f} GB/s, {100 * rate / copied:.0f} % of a device copy"
    return {"name": f"tile on the GPU, {side} px", "gb_s": rate / 1e9, "copy_gb_s": copied / 1e9}, text


def _gpu_seconds(run: Callable[[], object]) -> float:
    """Return the median time of a call on the GPU, of several that follow each other: else it waits for the host between them."""
    times, calls = [], 8
    for _ in range(30):
        start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        start.record()
        for _ in range(calls):
            run()
        end.record()
        end.synchronize()
        times.append(start.elapsed_time(end) / 1e3 / calls)
    return statistics.median(times[5:])


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m kit.bench.loader", description=__doc__.partition("\n")[0])
    parser.add_argument("--threads", type=int, default=2, help="of the loaders, and of torch (2); 0: as many as there are CPUs")
    parser.add_argument("--seconds", type=float, default=math.inf, help="start nothing that would not end in this time")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the results here, after each")
    parser.add_argument(
        "--rehearse", action="store_true", help="only steps from the store, small and on the CPU: measures nothing"
    )
    given = parser.parse_args(argv)
    threads = given.threads or len(os.sched_getaffinity(0))
    torch.set_num_threads(threads)
    box = Timebox(given.seconds, given.json, {"torch": torch.__version__, "threads": threads})
    with tempfile.TemporaryDirectory() as folder:
        run(box, Path(folder), threads, rehearse=given.rehearse)
    box.finish()


def run(box: Timebox, folder: Path, threads: int, *, rehearse: bool) -> None:
    """Make the plate, then measure: on a GPU steps from the store and the tile op, anywhere the loaders and the tile op."""
    work, sides = make_store(folder), {518: (0.32, 1.0), 98: (0.05, 0.32)}
    device = torch.device("cuda" if torch.cuda.is_available() and not rehearse else "cpu")
    if rehearse or device.type == "cuda":
        for side in TINY_SIDES.values() if rehearse else TINY_SIDES:
            step = partial(wait_share, work, side, device, threads=threads)
            step = partial(step, steps=2, settings=TINY) if rehearse else step
            box.run(f"steps from the store, {side} px", step, kind="steps")
    if rehearse:
        return
    if device.type == "cuda":
        for side, area in sides.items():
            box.run(f"tile on the GPU, {side} px", partial(race_gpu, side, area), kind="tile on the GPU")
    box.run("loader", partial(race_loaders, folder, work, threads), kind="loader")
    for side, area in sides.items():
        box.run(f"tile, {side} px", partial(race_tile, side, area), kind="tile")


if __name__ == "__main__":
    main()
