"""A small store on disk, written with the store's own parts: every pixel tells its plate, well and site apart.

Its tables are those of ingest, sums and checksums included; the counts are the levels that are stored.
"""

import zlib
from pathlib import Path

import numpy as np

from kit.config import StoreConfig
from kit.images.ingest.sites_table import level_sums, sites_table
from kit.images.ingest.well import WellRecord
from kit.images.source.positions import Positions
from kit.images.store.codecs import checksum, find_codec, pack
from kit.images.store.container import Container
from kit.images.store.levels import scale_image
from kit.images.store.settings import write_settings
from kit.images.store.shards import write_shard
from kit.images.store.tables import read_record, read_table, write_table
from kit.images.store.work import Work, open_work

CHANNELS = ("Mito", "AGP", "RNA")


def made_site(plate: str, well: str, site: int, side: int = 32) -> np.ndarray:
    """Return the pixels of one site, uint8 [C, H, W]."""
    rng = np.random.default_rng(zlib.crc32(f"{plate} {well} {site}".encode()))
    return rng.integers(0, 256, (len(CHANNELS), side, side), dtype=np.uint8)


def make_work(path: Path, plates=("P1", "P2"), wells=12, sites=4, side=32, lines=("U2OS", "A549"), lone=()) -> Work:
    """Write a store of plates x wells x sites, or add plates to it; wells in `lone`, as (plate, well), have one site only."""
    write_settings(path, StoreConfig())
    names = tuple(f"A{well + 1:02d}" for well in range(wells))
    for plate, line in zip(plates, lines, strict=False):
        fields = {well: tuple(range(1, 2 if (plate, well) in lone else sites + 1)) for well in names}
        make_plate(path, plate, fields, sites, side, line)
    return open_work(path)


def make_plate(path: Path, plate: str, fields: dict[str, tuple[int, ...]], sites: int, side: int, line: str) -> None:
    """Write one plate; `fields` are the sites that each well has, of `sites`."""
    folder = path / "plates" / f"{plate}.zarr"
    every = tuple(range(1, sites + 1))
    container = Container(folder, tuple(fields), every, CHANNELS, side, side, np.dtype("uint8"), find_codec(None))
    container.write({})
    records = []
    for well in fields:
        record = WellRecord(well)
        with write_shard(container.shard(well), container.chunks) as shard:
            for site in fields[well]:
                for channel, image in zip(CHANNELS, made_site(plate, well, site, side), strict=True):
                    shard.append(container.chunk(site, channel), pack(image, container.codec))
                    numbers = {"pixels": image.size, "crc": checksum(image), **scale_image(image, 0, 255)[1].record()}
                    record.images.append({"site": site, "channel": channel, **numbers})
            record.bytes_out = shard.finish()
        records.append(record)
    table = sites_table(plate, records, CHANNELS, Positions()).assign(Metadata_Cell_type=line)
    write_table(path / "plates" / f"{plate}.parquet", table, {"plate": plate, "levels": level_sums(records)})


def change_table(path: Path, plate: str, change, **record) -> None:
    """Give a plate's table the one that `change` makes of it, the record beside it as it was, or with other values."""
    file = path / "plates" / f"{plate}.parquet"
    write_table(file, change(read_table(file)), {**read_record(file), **record})


def label(path: Path, *plates: str) -> None:
    """Give plates their compounds, the same on each; A01 is a control."""
    for plate in plates:
        change_table(path, plate, lambda table: table.assign(Metadata_broad_sample=table["Metadata_Well"].map(_compound)))


def _compound(well: str) -> str:
    return "" if well == "A01" else f"BRD-{well}"
