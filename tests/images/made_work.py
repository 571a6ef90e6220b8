"""A small store on disk, written with the store's own parts: every pixel tells its plate, well and site apart."""

import zlib
from pathlib import Path

import numpy as np
import pandas as pd

from kit.config import StoreConfig
from kit.images.store.codecs import find_codec, pack
from kit.images.store.container import Container
from kit.images.store.shards import write_shard
from kit.images.store.work import Work, open_work, write_settings

CHANNELS = ("Mito", "AGP", "RNA")


def made_site(plate: str, well: str, site: int, side: int = 32) -> np.ndarray:
    """Return the pixels of one site, uint8 [C, H, W]."""
    rng = np.random.default_rng(zlib.crc32(f"{plate} {well} {site}".encode()))
    return rng.integers(0, 256, (len(CHANNELS), side, side), dtype=np.uint8)


def make_work(path: Path, plates=("P1", "P2"), wells=12, sites=4, side=32, lines=("U2OS", "A549"), lone=()) -> Work:
    """Write a store of plates x wells x sites; wells in `lone`, as (plate, well), have one site only."""
    write_settings(path, StoreConfig())
    names = tuple(f"A{well + 1:02d}" for well in range(wells))
    fields = tuple(range(1, sites + 1))
    for plate, line in zip(plates, lines, strict=False):
        folder = path / "plates" / f"{plate}.zarr"
        container = Container(folder, names, fields, CHANNELS, side, side, np.dtype("uint8"), find_codec(None))
        container.write({})
        rows = [(well, site) for well in names for site in fields if site == 1 or (plate, well) not in lone]
        for well in names:
            with write_shard(container.shard(well), container.chunks) as shard:
                for site in (site for name, site in rows if name == well):
                    for channel, image in zip(CHANNELS, made_site(plate, well, site, side), strict=True):
                        shard.append(container.chunk(site, channel), pack(image, container.codec))
                shard.finish()
        table = pd.DataFrame(rows, columns=["Metadata_Well", "Metadata_Site"])
        table.insert(0, "Metadata_Plate", plate)
        table = table.assign(Metadata_Cell_type=line, channels=",".join(CHANNELS))
        table.to_parquet(path / "plates" / f"{plate}.parquet")
    return open_work(path)
