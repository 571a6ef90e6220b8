"""Real sites cut into disjoint tiles, written as the files of two plates: one to train on, one held out."""

from pathlib import Path

import numpy as np
import pandas as pd
import tifffile

from kit.errors import KitError
from kit.files import write_whole
from kit.images.names import well_name
from kit.images.store.work import Work

TRAIN, HELD_OUT = "train", "held-out"


def places(side: int, grid: int) -> pd.DataFrame:
    """Return the tiles of a square site: top, left (pixels), side, part and half, in reading order.

    The left half of the site is TRAIN; of the right half, HELD_OUT, the upper tiles are half 0 and the lower half 1.

    Raises:
        KitError: a grid that is not even, or finer than the site.
    """
    if grid < 2 or grid % 2 or side < grid:
        raise KitError(f"a grid of {grid} x {grid} tiles on {side} px: need an even number, at least 2")
    tile = side // grid
    row, col = np.divmod(np.arange(grid * grid), grid)
    part = np.where(col < grid // 2, TRAIN, HELD_OUT)
    return pd.DataFrame(
        {"top": row * tile, "left": col * tile, "side": tile, "part": part, "half": (row >= grid // 2).astype(int)}
    )


def cut_tiles(work: Work, channels: tuple[str, ...], grid: int, folder: Path) -> pd.DataFrame:
    """Write the camera counts of every tile of every site that has the channels, and `folder`/load_data.csv.

    Every tile is its own well, its row the site's and its column the tile's number in its part: nothing tells the
    training which tiles are of one site.

    Returns:
        a table with a row for each tile: plate (TRAIN or HELD_OUT), well, site ("barcode well"), half.

    Raises:
        KitError: fewer than two sites have the channels.
    """
    sites = work.sites_with(channels)
    if len(sites) < 2:
        raise KitError(f"{work.path} has {len(sites)} sites with the channels {', '.join(channels)}: need two")
    rows, files = [], []
    keys = zip(*(sites[name] for name in ("Metadata_Plate", "Metadata_Well", "Metadata_Site")), strict=True)
    for number, (plate, site_well, site) in enumerate(keys):
        counts_CHW = np.stack([work.read_counts(plate, site_well, site, channel) for channel in channels])
        table = places(min(counts_CHW.shape[1:]), grid)
        table["col"] = table.groupby("part").cumcount() + 1
        for tile in table.to_dict("records"):
            top, left, side, part = tile["top"], tile["left"], tile["side"], tile["part"]
            well = well_name(number + 1, tile["col"])
            pixels_CPP = counts_CHW[:, top : top + side, left : left + side]
            rows.append({"plate": part, "well": well, "site": f"{plate} {site_well}", "half": tile["half"]})
            files.append({"Metadata_Plate": part, "Metadata_Well": well, "Metadata_Site": 1})
            for name, image_PP in zip(channels, pixels_CPP, strict=True):
                path = folder / part / f"{well}-{name}.tif"
                path.parent.mkdir(parents=True, exist_ok=True)
                tifffile.imwrite(path, image_PP)
                files[-1][f"FileName_{name}"] = f"{part}/{path.name}"
    write_whole(folder / "load_data.csv", pd.DataFrame(files).to_csv(index=False))
    return pd.DataFrame(rows)
