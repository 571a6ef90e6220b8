"""One well: read its images, scale and encode them one by one, and commit the shard with a record of every image.

The record is written before the shard takes its name, so a shard that is there has its record, and a killed process loses at
most the well it was at.
"""

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from threading import Event

import numpy as np

from kit.errors import KitError
from kit.files import write_whole
from kit.images.codecs import checksum, pack
from kit.images.container import Container
from kit.images.plates import ImageFile
from kit.images.shards import write_shard
from kit.images.sites import ImageStats, scale_image
from kit.images.store import StoreSettings
from kit.images.tiff import BadImage, TiffImage, read_tiff

Reader = Callable[[ImageFile], bytes]


class WellStopped(Exception):
    """The ingest is being stopped; nothing of this well was committed."""


@dataclass(frozen=True)
class WellJob:
    """All that is needed to pack one well, on any machine that sees the files."""

    well: str
    images: dict[tuple[int, str], ImageFile]  # (site, channel) -> file
    container: Container
    settings: StoreSettings
    record_path: Path
    ranges: dict[str, tuple[int, int]] = field(default_factory=dict)  # channel -> the counts that become 0 and 255


@dataclass(frozen=True)
class WellRecord:
    """What happened to the images of one well."""

    well: str
    images: list[dict]  # site, channel, crc, pixels and the ImageStats of every stored image
    bad: list[dict]  # path, reason, size
    missing: list[str]  # paths that were listed and not there
    doubts: list[str]  # paths whose SMin/SMax tags do not fit their pixels
    bytes_in: int
    bytes_out: int


def pack_well(job: WellJob, read: Reader, stop: Event | None = None) -> WellRecord:
    """Pack the well's images in chunk order and commit them.

    Raises:
        WellStopped: `stop` was set.
        OSError: the store cannot be written.
    """
    record = WellRecord(job.well, [], [], [], [], 0, 0)
    bytes_in = 0
    with write_shard(job.container.shard(job.well), job.container.chunks) as shard:
        for (site, channel), file in sorted(job.images.items(), key=lambda item: job.container.chunk(*item[0])):
            if stop is not None and stop.is_set():
                raise WellStopped
            try:
                data = read(file)
                packed, row = _pack_image(data, job, channel)
            except FileNotFoundError:
                record.missing.append(file.path)
                continue
            except BadImage as error:
                record.bad.append({"path": file.path, "reason": str(error), "size": file.size})
                continue
            if row.pop("doubt"):
                record.doubts.append(file.path)
            bytes_in += len(data)
            shard.append(job.container.chunk(site, channel), packed)
            record.images.append({"site": site, "channel": channel, **row})
        bytes_out = shard.finish()
        record = WellRecord(record.well, record.images, record.bad, record.missing, record.doubts, bytes_in, bytes_out)
        write_whole(job.record_path, json.dumps(asdict(record)))
    return record


def committed(job: WellJob) -> WellRecord | None:
    """Return the record of a well that an earlier ingest committed, or None where it is still to do."""
    shard = job.container.shard(job.well)
    if not (shard.is_file() and job.record_path.is_file()):
        return None
    record = WellRecord(**json.loads(job.record_path.read_text()))
    return record if shard.stat().st_size == record.bytes_out else None


def read_file(file: ImageFile) -> bytes:
    """Return a local file's bytes.

    Raises:
        FileNotFoundError: it is gone.
        BadImage: it cannot be read.
    """
    try:
        return Path(file.path).read_bytes()
    except FileNotFoundError:
        raise
    except OSError as error:
        raise BadImage(f"cannot be read: {error.strerror or error}") from error


def _pack_image(data: bytes, job: WellJob, channel: str) -> tuple[bytes, dict]:
    image = read_tiff(data)
    counts = image.counts_HW
    if counts.shape != (job.container.height, job.container.width):
        raise BadImage(
            f"{counts.shape[0]} x {counts.shape[1]} pixels; the plate has {job.container.height} x {job.container.width}"
        )
    levels, stats = scale_image(counts, *job.ranges.get(channel, (None, None)))
    pixels = levels if job.settings.bits == 8 else counts.astype(np.uint16)
    row = {
        "pixels": counts.size,
        "crc": checksum(pixels),
        **asdict(stats),
        "levels": stats.levels,
        "doubt": _doubtful(image, stats),
    }
    return pack(pixels, job.container.codec), row


def _doubtful(image: TiffImage, stats: ImageStats) -> bool:
    claims = ((image.claimed_least, stats.least), (image.claimed_most, stats.most))
    return any(claim is not None and claim != found for claim, found in claims)


def probe(files: list[ImageFile], read: Reader) -> tuple[int, int]:
    """Return height and width of the first image that can be read.

    Raises:
        KitError: none can.
    """
    for file in files:
        try:
            return read_tiff(read(file)).counts_HW.shape
        except (BadImage, FileNotFoundError):
            continue
    raise KitError(f"none of the {len(files)} images can be read, for example {files[0].path}")
