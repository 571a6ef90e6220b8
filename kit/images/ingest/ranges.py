"""--scale plate-percentile: one pair of counts per plate and channel becomes 0 and 255. This reads the plate twice."""

import json
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from kit.files import write_whole
from kit.images.store.levels import percentiles

PER_MILLE = (1, 999)  # the darkest and brightest thousandth of the plate's pixels are clipped


def plate_ranges(totals: Iterable[dict[str, np.ndarray]]) -> dict[str, tuple[int, int]]:
    """Return channel -> (black, white) from the histograms of the plate's wells."""
    sums: dict[str, np.ndarray] = {}
    for histograms in totals:
        for channel, histogram in histograms.items():
            sums[channel] = sums[channel] + histogram if channel in sums else histogram
    ranges = {}
    for channel, histogram in sorted(sums.items()):
        black, white = percentiles(histogram, *PER_MILLE)
        ranges[channel] = black, white
    return ranges


def stored_ranges(path: Path) -> dict[str, tuple[int, int]] | None:
    """Return the ranges that an earlier ingest of the plate found, or None."""
    if not path.is_file():
        return None
    return {channel: tuple(pair) for channel, pair in json.loads(path.read_text()).items()}


def store_ranges(path: Path, ranges: dict[str, tuple[int, int]]) -> None:
    """Keep the ranges for a resumed ingest."""
    write_whole(path, json.dumps(ranges))
