"""One well: read its images, scale and encode them one by one, and commit the shard with a record of every image.

The record is written before the shard is renamed, so every shard has its record, and a killed process loses at most the
current well.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from threading import Event

import numpy as np

from kit.config import StoreConfig
from kit.files import errors_name
from kit.images.ingest.image import read_levels
from kit.images.ingest.prepare import prepare, shrink
from kit.images.source.folders import ImageFile, Reader
from kit.images.source.planes import one_plane
from kit.images.source.tiff import BadImage, Claims, TiffImage, read_tiff
from kit.images.store.codecs import checksum, pack_parts
from kit.images.store.container import Container
from kit.images.store.levels import ImageStats, count_saturated, count_values, scale_image
from kit.images.store.robust import scale_robust
from kit.images.store.shards import write_shard


class WellStopped(Exception):
    """The ingest is being stopped; nothing of this well was committed."""


@dataclass(frozen=True)
class WellJob:
    """Everything needed to pack one well, on any machine that can access the files."""

    well: str
    images: dict[tuple[int, str], ImageFile]  # (site, channel) -> file
    container: Container
    settings: StoreConfig
    shape: tuple[int, int]  # of the images as they come; the container has them as they are stored
    record_path: Path
    ranges: dict[str, tuple[int, int]] = field(default_factory=dict)  # channel -> the counts that become 0 and 255
    illumination: dict[str, Path] = field(default_factory=dict)  # channel -> the function to divide by
    whites: dict[str, int] = field(default_factory=dict)  # channel -> the camera's largest count, if not that of the file's type

    def in_order(self) -> list[tuple[int, str, ImageFile]]:
        """Return (site, channel, file) in the order of the shard's chunks."""
        ordered = sorted(self.images.items(), key=lambda item: self.container.chunk(*item[0]))
        return [(site, channel, file) for (site, channel), file in ordered]


@dataclass
class WellRecord:
    """What happened to the images of one well."""

    well: str
    images: list[dict] = field(default_factory=list)  # site, channel, crc, pixels and the numbers of every stored image
    bad: list[dict] = field(default_factory=list)  # path, reason
    missing: list[str] = field(default_factory=list)  # paths that were listed and not there
    doubts: list[str] = field(default_factory=list)  # paths whose SMin/SMax tags do not fit their pixels
    bytes_in: int = 0
    bytes_out: int = 0


def pack_well(job: WellJob, reader: Reader, stop: Event | None = None) -> WellRecord:
    """Pack the well's images in chunk order and commit them.

    Raises:
        WellStopped: `stop` was set.
        OSError: the store cannot be written.
    """
    record, path = WellRecord(job.well), ""
    with write_shard(job.container.shard(job.well), job.container.chunks) as shard:
        for site, channel, data in _usable(job, reader, stop, record):
            try:
                pixels, stats, claims = scaled(data, job, channel)
            except BadImage as error:
                record.bad.append({"path": job.images[site, channel].path, "reason": str(error)})
                continue
            if claims:
                record.doubts.append(job.images[site, channel].path)
            if path != (path := job.images[site, channel].path):  # once for all planes of a file
                record.bytes_in += len(data)
            shard.append(job.container.chunk(site, channel), *pack_parts(pixels, job.container.codec))
            numbers = {"pixels": pixels.size, "crc": checksum(pixels), **stats.record()}
            record.images.append({"site": site, "channel": channel, **numbers})
        record.bytes_out = shard.finish()
        _write_record(job.record_path, record)
    return record


def count_well(job: WellJob, reader: Reader, stop: Event | None = None) -> dict[str, np.ndarray]:
    """Return channel -> how often each count occurs in the well, int64 [65536]; images that cannot be used are left out."""
    totals: dict[str, np.ndarray] = {}
    for _, channel, data in _usable(job, reader, stop, WellRecord(job.well)):
        try:
            counts = prepare(_counts(data, job).counts_HW, job.container.image_shape, job.illumination, channel)
        except BadImage:
            continue
        histogram = count_values(counts)
        totals.setdefault(channel, np.zeros(1 << 16, np.int64))[: len(histogram)] += histogram
    return totals


def committed(job: WellJob) -> WellRecord | None:
    """Return the record of a well that an earlier ingest committed, or None if it is still to do."""
    shard = job.container.shard(job.well)
    if not (shard.is_file() and job.record_path.is_file()):
        return None
    try:
        record = WellRecord(**json.loads(job.record_path.read_text()))
    except (json.JSONDecodeError, UnicodeDecodeError, TypeError):
        return None  # lost in a power cut: the shard is synced, its record is not
    return record if shard.stat().st_size == record.bytes_out else None


def _write_record(path: Path, record: WellRecord) -> None:
    """Write the record whole, but without a sync: it can be recreated from the images."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.part")
    with errors_name(path):
        part.write_text(json.dumps(vars(record)))
        part.replace(path)


def _usable(job: WellJob, reader: Reader, stop: Event | None, record: WellRecord) -> Iterator[tuple[int, str, bytes]]:
    """Yield site, channel and the image as a TIFF of one plane; what cannot be used goes into the record."""
    ordered = job.in_order()
    contents = reader.stream(file for *_, file in ordered)
    for (site, channel, _), (file, data) in zip(ordered, contents, strict=True):
        if stop is not None and stop.is_set():
            raise WellStopped
        if isinstance(data, FileNotFoundError):
            record.missing.append(file.path)
        elif isinstance(data, BadImage):
            record.bad.append({"path": file.path, "reason": str(data)})
        else:
            try:
                plane = one_plane(data, file.plane, file.planes)
            except BadImage as error:
                record.bad.append({"path": file.path, "reason": str(error)})
                continue
            yield site, channel, plane


def scaled(data: bytes, job: WellJob, channel: str) -> tuple[np.ndarray, ImageStats, bool]:
    """Return the pixels to store of a one-plane TIFF, its numbers, and whether its tags claim another minimum or maximum."""
    black, white = job.ranges.get(channel, (-1, -1))
    full, robust = job.whites.get(channel), job.settings.scale == "image-robust"
    if job.settings.bits == 8 and channel not in job.illumination and job.shape == job.container.image_shape:
        levels, stats, claims = read_levels(data, black, white, robust=robust)
        _check_shape(levels.shape, job)
        if full is not None:
            saturated = count_saturated(_counts(data, job).counts_HW, full) if stats.brightest >= full else 0
            stats = replace(stats, saturated=saturated)
        return levels, stats, _unlike(claims, stats.least, stats.brightest, full)
    image = _counts(data, job)
    counts = prepare(image.counts_HW, job.container.image_shape, job.illumination, channel)
    if robust:
        levels, stats, counts = scale_robust(counts)
    else:
        levels, stats = scale_image(counts, black, white)
    if full is not None:
        stats = replace(stats, saturated=count_saturated(shrink(image.counts_HW, *job.container.image_shape), full))
    doubt = _unlike(image.claims, int(image.counts_HW.min()), int(image.counts_HW.max()), full)
    return levels if job.settings.bits == 8 else counts.astype(np.uint16), stats, doubt


def _counts(data: bytes, job: WellJob) -> TiffImage:
    image = read_tiff(data)
    _check_shape(image.counts_HW.shape, job)
    return image


def _check_shape(shape: tuple[int, int], job: WellJob) -> None:
    if shape != job.shape:
        raise BadImage(f"{shape[0]} x {shape[1]} pixels; the plate has {job.shape[0]} x {job.shape[1]}")


def _unlike(claims: Claims, least: int, most: int, full: int | None) -> bool:
    if claims.most == full:
        return False  # the tags give the camera's range, not the image's
    return any(claim not in (-1, found) for claim, found in ((claims.least, least), (claims.most, most)))
