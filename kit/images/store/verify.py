"""--verify: read every stored image back and check its two checksums, of the encoded bytes and of the pixels."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from kit.errors import KitError
from kit.images.store.codecs import checksum
from kit.images.store.work import Work
from kit.progress import progress


@dataclass
class Verified:
    """What was read again."""

    images: int = 0
    damaged: list[str] = field(default_factory=list)


def verify(work: Work, plates: list[str], jobs: int) -> Verified:
    """Read every image that the plates' tables name."""
    result = Verified()
    wells = [(plate, well) for plate in plates for well in work.container(plate).wells]
    with ThreadPoolExecutor(jobs) as pool, progress(total=len(wells), label="verify", unit="well") as bar:
        for images, damaged in pool.map(lambda who: _verify_well(work, *who), wells):
            result.images += images
            result.damaged += damaged
            bar.update()
    return result


def _verify_well(work: Work, plate: str, well: str) -> tuple[int, list[str]]:
    expected = list(_expected(work, plate, well))
    if not expected:
        return 0, []
    container = work.container(plate)
    try:
        shard = work.open_shard(plate, well)
    except (KitError, OSError) as error:
        return len(expected), [f"{plate} {well}: {error}"]
    damaged = []
    for site, channel, crc in expected:
        name = f"{plate} {well} site {site} {channel}"
        try:
            if not shard.has(container.chunk(site, channel)):
                damaged.append(f"{name}: missing")
            elif checksum(work.read_stored(plate, well, site, channel, shard)) != crc:
                damaged.append(f"{name}: pixels do not match the checksum in the plate's table")
        except (KitError, OSError) as error:
            damaged.append(f"{name} in {shard.path}: {error}")
    return len(expected), damaged


def _expected(work: Work, plate: str, well: str) -> Iterator[tuple[int, str, int]]:
    rows = work.sites[(work.sites["Metadata_Plate"] == plate) & (work.sites["Metadata_Well"] == well)]
    for row in rows.to_dict("records"):
        for channel in row["channels"].split(","):
            yield int(row["Metadata_Site"]), channel, int(row[f"{channel}_crc"])
