"""What a scale makes of the same images: grey levels in use, contrast, hot pixels and bytes, per channel of some stores.

    kit ingest PLATES --work A --scale image;  kit ingest PLATES --work B --scale image-robust
    python -m kit.bench.scales A B

From the stores' tables alone; no pixel is read.
"""

import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd

from kit.images.store.work import Work, open_work

FLAT = 0.02  # sd of an image, levels 0 to 1: the recipes' views.normalise_floor


def scale_table(work: Work) -> pd.DataFrame:
    """Return one row per channel: images; levels in use, median and least; sd of the levels (0 to 1), likewise.

    Also the share of images with sd below 0.02, and images with hot pixels (missing where the scale looks for none).
    """
    pixels = np.array([np.prod(work.container(plate).image_shape) for plate in work.sites["Metadata_Plate"]], float)
    rows = []
    for channel in work.channels:
        columns = {name: work.sites[f"{channel}_{name}"].astype(float) for name in ("levels", "sum8", "sumsq8")}
        mean = columns["sum8"] / pixels
        sd = np.sqrt(columns["sumsq8"] / pixels - mean**2) / 255
        hot = work.sites.get(f"{channel}_hot")
        rows.append(
            {
                "channel": channel,
                "images": int(sd.notna().sum()),
                "levels": columns["levels"].median(),
                "least levels": columns["levels"].min(),
                "sd": sd.median(),
                "least sd": sd.min(),
                "flat": (sd < FLAT).sum() / sd.notna().sum(),
                "with hot pixels": np.nan if hot is None else int((hot > 0).sum()),
            }
        )
    return pd.DataFrame(rows)


def text(work: Work) -> Iterator[str]:
    """Yield the store's table for people."""
    size = sum(file.stat().st_size for plate in work.plates for file in work.container(plate).folder.rglob("*") if file.is_file())
    yield f"{work.path}: scale {work.settings.scale}, {len(work.sites)} sites, {size / 1e6:.1f} MB"
    yield scale_table(work).to_string(index=False, float_format=lambda value: f"{value:.3f}".removesuffix(".000"), na_rep="-")


def main() -> None:
    """Print the table of every work folder named."""
    for path in sys.argv[1:] or sys.exit(__doc__):
        print("\n".join(text(open_work(Path(path)))), flush=True)  # noqa: T201 - a bench prints


if __name__ == "__main__":
    main()
