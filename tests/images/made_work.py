"""A work folder in memory: every pixel tells its plate, well and site apart."""

import zlib

import numpy as np
import pandas as pd

CHANNELS = ("Mito", "AGP", "RNA")


class MadeWork:
    """What the loader asks of an open work folder."""

    path = "made"
    channels = CHANNELS

    def __init__(self, plates=("P1", "P2"), wells=12, sites=4, side=32, lines=("U2OS", "A549"), short_well=False):
        rows = [(plate, f"A{well + 1:02d}", site + 1) for plate in plates for well in range(wells) for site in range(sites)]
        if short_well:
            rows = [row for row in rows if row[:2] != (plates[0], "A01") or row[2] == 1]
        self.plates, self.side, self.reads = list(plates), side, []
        self.sites = pd.DataFrame(rows, columns=["Metadata_Plate", "Metadata_Well", "Metadata_Site"])
        self.sites["channels"] = ",".join(CHANNELS)
        self.wells = self.sites[["Metadata_Plate", "Metadata_Well"]].drop_duplicates(ignore_index=True)
        self.wells["Metadata_Cell_type"] = self.wells["Metadata_Plate"].map(dict(zip(plates, lines, strict=False)))

    def read_site(self, plate, well, site, channels=None):
        self.reads.append((plate, well, site))
        rng = np.random.default_rng(zlib.crc32(f"{plate} {well} {site}".encode()))
        image = rng.integers(0, 256, (len(CHANNELS), self.side, self.side), dtype=np.uint8)
        return image[[CHANNELS.index(name) for name in channels or CHANNELS]]
