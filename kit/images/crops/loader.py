"""The tiling loader: packed sites in, groups of crops on the device out, read and decoded while the previous batch trains.

B samples of this rank, C channels, P crop side. One thread drives an epoch: it hands sites to a pool of decoding threads,
fills a ring of host buffers, and tiles each buffer as soon as it is full. A batch depends only on
(seed, epoch, step), so threads, ranks and the step of a resume do not change a bit of it.
"""

import contextlib
import itertools
import logging
import queue
import threading
from collections.abc import Generator, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import NamedTuple, Self

import numpy as np
import torch

from kit.config import CropsConfig
from kit.errors import KitError, UsageError
from kit.images.crops.ahead import keep_ahead, put
from kit.images.crops.boxes import draw_crops
from kit.images.crops.frames import frames_of
from kit.images.crops.groups import GROUPS, IDS_PER_SAMPLE, LOCAL, V1, V2, W
from kit.images.crops.preparation import AS_STORED, Preparation
from kit.images.crops.reader import BadSite, SiteReader
from kit.images.crops.ring import Ring
from kit.images.crops.sampling import WHO, Draw, Sampling, sites_to_draw
from kit.images.store.work import Work
from kit.kernels.tile import tile

RING = 3  # host buffers: one being filled, one full, one being tiled
BUFFER_BYTES = 96 * 2**20  # of one host buffer; a batch goes through in parts of this size
PREFETCH = 2  # finished batches waiting
log = logging.getLogger(__name__)


class Who(NamedTuple):
    """Where one sample comes from."""

    plate: str
    well: str
    site: int
    second_site: int  # that of v2; the same as `site` if the well has no other or crops.second_site is off


@dataclass(frozen=True)
class CropGroup:
    """One crop of every sample, or L crops of every sample, sample-major."""

    pixels_BCPP: torch.Tensor  # uint8
    sums_BC: torch.Tensor  # int64: the sum of each channel of the crop
    sample_B: torch.Tensor  # int64 on the CPU: names the crop in the whole run; noise and warp are drawn by it


@dataclass(frozen=True)
class CropBatch:
    """One rank's share of a global batch."""

    groups: dict[str, CropGroup]  # by the names of groups.py
    who: list[Who]
    epoch: int
    position: int  # resume with `epoch(epoch, start=position)` after this batch


@dataclass(frozen=True)
class _Part:
    """Samples `rows` of this rank's share of a batch, which pass through one host buffer."""

    step: int
    draw: Draw
    rows: range
    buffer: int  # which of the ring
    reads: list[Future[tuple[int, int]]]  # each gives the sample's rows: first and second site


class Crops:
    """Batches of crops of the sites of a work folder.

    An epoch is `steps_per_epoch` batches; the samples left over, fewer than a batch, are dropped. Ranks take equal,
    disjoint slices of every global batch.

    Args:
        work: an open work folder; `work.only(plates)` to draw from these alone.
        config: table [crops].
        channels: the channels to read, in this order.
        batch: samples of a global batch, over all ranks.
        seed: of the run.
        rank, world: index of this process, and number of processes.
        device: where the crops go.
        threads: decoding threads.
        prepare: what is done to a site before crops are cut.

    Raises:
        UsageError: fewer wells (or sites or cells) than the batch, a batch that the ranks cannot share equally.
        KitError: no site has the channels; crops.around = cell, and a plate's cells are not known.
    """

    def __init__(self, work: Work, config: CropsConfig, *, channels: tuple[str, ...], batch: int, seed: int,
                 rank: int = 0, world: int = 1, device: str | torch.device = "cpu", threads: int = 2,
                 prepare: Preparation = AS_STORED):  # fmt: skip
        if batch % world:
            raise UsageError(f"train.batch = {batch} cannot be split over {world} processes; make it a multiple of {world}")
        self._work, self._config, self._channels, self._seed = work, config, tuple(channels), seed
        sites = sites_to_draw(work, config, self._channels).sort_values(WHO, kind="stable", ignore_index=True)
        self._who: list[tuple[str, str, int]] = list(sites[WHO].itertuples(index=False, name=None))
        self._reader = SiteReader(work, self._channels, sorted({plate for plate, _, _ in self._who}), prepare)
        self._frames = frames_of(work, config, sites, self._reader.size, batch=batch, seed=seed)
        self._sampling = Sampling(self._frames.counted(sites), config, batch=batch, seed=seed)
        self._device, self._threads = torch.device(device), max(1, threads)
        self._slots = range(rank * batch // world, (rank + 1) * batch // world)
        self._copies = {V1: 1, W: 1, **({V2: 1} if config.second_site else {})}
        if config.local_crops:
            self._copies[LOCAL] = config.local_crops
        self._in_use = threading.Lock()
        self._running: tuple[threading.Event, threading.Thread] | None = None
        self._pool = ThreadPoolExecutor(self._threads, thread_name_prefix="crops-read")
        self._sites_each = 1 + config.second_site
        site_bytes = len(self._channels) * self._reader.size[0] * self._reader.size[1]
        self._rows = max(1, min(len(self._slots), BUFFER_BYTES // (self._sites_each * site_bytes)))
        shape = (self._rows, self._sites_each, len(self._channels), *self._reader.size)
        self._ring = Ring(RING, shape, self._device)
        self._bad: set[str] = set()
        self._bad_lock = threading.Lock()

    @property
    def steps_per_epoch(self) -> int:
        """Batches in an epoch."""
        return self._sampling.steps

    def epoch(self, epoch: int, start: int = 0) -> Generator[CropBatch, None, None]:
        """Yield the batches of an epoch from the one at position `start` on, prepared ahead by a background thread."""
        if not self._in_use.acquire(blocking=False):
            raise ValueError("a loader runs one epoch at a time: close the other iterator first")
        ready: queue.Queue = queue.Queue(maxsize=PREFETCH)
        stop = threading.Event()
        driver = threading.Thread(target=self._drive, args=(epoch, start, ready, stop), name="crops-drive", daemon=True)
        self._running = stop, driver
        try:
            driver.start()
            while not stop.is_set() and (item := ready.get()) is not None:
                if isinstance(item, Exception):
                    raise item
                batch, done = item
                self._ring.hand_over(done, [t for group in batch.groups.values() for t in (group.pixels_BCPP, group.sums_BC)])
                yield batch
        finally:
            stop.set()
            driver.join()
            self._in_use.release()

    @property
    def skipped(self) -> int:
        """Images that could not be read and were replaced (crops.on_bad = skip)."""
        return len(self._bad)

    def close(self) -> None:
        """End all threads and free the buffers; an epoch in progress yields nothing more."""
        if self._running:
            stop, driver = self._running
            stop.set()
            driver.join()
        self._pool.shutdown(wait=True, cancel_futures=True)
        self._ring.free()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _drive(self, epoch: int, start: int, ready: queue.Queue, stop: threading.Event) -> None:
        """Put every batch, then None, or the error that ended the epoch, into `ready`."""
        with contextlib.closing(keep_ahead(self._parts(epoch, start), RING)) as parts:
            last = None
            try:
                for batch in self._batches(parts, epoch):
                    if not put(ready, batch, stop):
                        return
            except Exception as error:  # noqa: BLE001 handed to the thread that asked, which raises it
                last = error
        put(ready, last, stop)

    def _batches(self, parts: Iterator[_Part], epoch: int) -> Iterator[tuple]:
        """Yield every batch with the event after which its tensors are filled."""
        for part in parts:
            if part.rows.start == 0:
                who = []
                id_B = torch.from_numpy(part.draw.id_B[self._slots])
                with self._ring.on_stream():
                    groups = {name: self._empty_group(name, copies, id_B) for name, copies in self._copies.items()}
            taken = [read.result() for read in part.reads]
            who += [Who(*self._who[first], self._who[second][2]) for first, second in taken]
            slots = self._slots[part.rows.start : part.rows.stop]
            cell_R = part.draw.cells_of(slots, [first for first, _ in taken])
            corner_R22 = self._frames.corners(taken, slots, epoch, part.step, cell_R)
            with self._ring.on_stream():
                sites_SCHW = self._ring.upload(part.buffer, len(part.rows))
                for name, group in groups.items():
                    self._tile_part(part, sites_SCHW, corner_R22, name, group, epoch)
            if part.rows.stop == len(self._slots):
                yield CropBatch(groups, who, epoch, part.step + 1), self._ring.mark()

    def _parts(self, epoch: int, start: int) -> Iterator[_Part]:
        """Yield the parts of every batch; their reads are submitted to the pool on demand."""
        buffers = itertools.cycle(range(RING))
        for step in range(start, self.steps_per_epoch):
            draw = self._sampling.draw(epoch, step)
            for first in range(0, len(self._slots), self._rows):
                rows = range(first, min(first + self._rows, len(self._slots)))
                buffer = next(buffers)
                sites_RVCHW = self._ring.wait(buffer).numpy()
                reads = [self._pool.submit(self._fill, sites_RVCHW[i], draw, self._slots[row]) for i, row in enumerate(rows)]
                yield _Part(step, draw, rows, buffer, reads)

    def _fill(self, sites_VCHW: np.ndarray, draw: Draw, slot: int) -> tuple[int, int]:
        """Read one sample and return the rows of its two sites; unreadable sites are replaced if crops.on_bad = skip."""
        first, second = int(draw.first_B[slot]), int(draw.second_B[slot])
        taken = self._read_one(sites_VCHW[0], [first, *draw.spare[slot]])
        if self._sites_each == 1:
            return taken, taken
        well = self._who[taken][:2]
        others = [row for row in (second, *draw.spare[slot]) if self._who[row][:2] == well and row != taken]
        return taken, self._read_one(sites_VCHW[1], [*others, taken] if second != first else [taken])

    def _read_one(self, site_CHW: np.ndarray, candidates: list[int]) -> int:
        """Read the first of the rows that is readable, and return it; with crops.on_bad = fail only the first is tried."""
        last = None
        for row in dict.fromkeys(int(row) for row in candidates):
            try:
                self._reader.read(*self._who[row], site_CHW)
                return row
            except BadSite as error:
                if self._config.on_bad == "fail":
                    raise KitError(f"{error}; repair it, or continue without it: crops.on_bad = skip") from error
                self._note(error)
                last = error
        raise KitError(f"{last}; no readable site is left to replace it")

    def _note(self, error: BadSite) -> None:
        with self._bad_lock:
            if str(error) not in self._bad:
                self._bad.add(str(error))
                log.warning("skipped %s (%d so far)", error, len(self._bad))

    def _empty_group(self, name: str, copies: int, id_B: torch.Tensor) -> CropGroup:
        side = self._config.local_side if name == LOCAL else self._config.global_side
        crops, channels = len(id_B) * copies, len(self._channels)
        return CropGroup(
            pixels_BCPP=torch.empty(crops, channels, side, side, dtype=torch.uint8, device=self._device),
            sums_BC=torch.empty(crops, channels, dtype=torch.int64, device=self._device),
            sample_B=(id_B[:, None] * IDS_PER_SAMPLE + GROUPS[name].stream + torch.arange(copies)).flatten(),
        )

    def _tile_part(
        self, part: _Part, sites_SCHW: torch.Tensor, corner_R22: np.ndarray, name: str, group: CropGroup, epoch: int
    ) -> None:
        """Cut this group's crops of the part's samples into their places."""
        copies, views = self._copies[name], self._sites_each
        draws = [self._draw_crops(name, copy, epoch, part.step) for copy in range(copies)]
        box_B4, flip_B, turn_B = (
            torch.from_numpy(np.stack(arrays, axis=1)[part.rows].reshape(len(part.rows) * copies, *arrays[0].shape[1:]))
            for arrays in zip(*draws, strict=True)
        )
        box_B4[:, :2] += torch.from_numpy(corner_R22[:, int(GROUPS[name].second_site)].repeat(copies, axis=0))
        site_B = torch.arange(len(part.rows)).repeat_interleave(copies) * views + (views - 1) * GROUPS[name].second_site
        place = slice(part.rows.start * copies, part.rows.stop * copies)
        _, group.sums_BC[place] = tile(
            sites_SCHW, site_B, box_B4, flip_B, turn_B,
            side=group.pixels_BCPP.shape[-1], out_BCPP=group.pixels_BCPP[place], threads=self._threads,
        )  # fmt: skip

    def _draw_crops(self, name: str, copy: int, epoch: int, step: int) -> tuple[np.ndarray, ...]:
        arrays = draw_crops(self._config, name, copy, self._sampling.batch, self._frames.size, self._seed, epoch, step)
        return tuple(array[self._slots] for array in arrays)
