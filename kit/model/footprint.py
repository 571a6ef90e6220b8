"""Bytes on disk: the store that a run reads, and the CSV of its features."""

from pathlib import Path
from typing import TYPE_CHECKING

from kit.words import count

if TYPE_CHECKING:
    from kit.images.store.work import Work

SITES, WELLS = 93_647, 24 * 384  # of the 24 compound plates of 2020_11_04_CPJUMP1
COMPOUND_WELLS = 24 * 320  # those without the DMSO wells: the rows of a submission
SITE_BYTES = 2.92e6  # eight channels of 1080 x 1080 px, 8 bits, zstd: mean of eight real sites
# The same site by codec and group of channels.
GROUP_BYTES = {"zstd": {"fluorescence": 1.27e6, "brightfield": 1.65e6}, "jpegls": {"fluorescence": 0.68e6, "brightfield": 1.16e6}}
VALUE_BYTES = 11  # of a float32 in a CSV, with its comma
PLACES, PARTS = 9, 2  # what kit profile concatenates by default: nine sites of a well, CLS and mean patch token


def store_text(work: "Work | None") -> str:
    """Return what the packed sites take on disk: of `work`, measured, or of the 24 compound plates, estimated."""
    if work is None:
        size = SITES * SITE_BYTES
        return f"about {gb(size)}: {SITES:,} sites of 8 channels at {SITE_BYTES / 1e6:.2f} MB, 8 bits, zstd"
    folders = work.plate_folders
    size = sum(_bytes(file) for folder in folders for file in folder.rglob("*"))
    where = folders[0] if len(folders) == 1 else f"{len(folders)} parts below {work.path}"
    return f"{gb(size)} in {where}: {len(work.sites):,} sites"


def codecs_text() -> str:
    """Return what the 24 compound plates take by codec and group of channels."""
    sizes = {codec: {group: SITES * size for group, size in groups.items()} for codec, groups in GROUP_BYTES.items()}
    return "; ".join(
        f"{codec} {gb(sum(groups.values()))} ({', '.join(f'{group} {size / 1e9:.0f}' for group, size in groups.items())})"
        for codec, groups in sizes.items()
    )


def csv_text(work: "Work | None", width: int, networks: int, *, averaged: bool = False) -> str:
    """Return what the features of `networks` backbones take, whose class token is `width` numbers long.

    There is a row for every compound well, with nine sites in it or their mean.
    """
    rows, columns = _compound_wells(work), (1 if averaged else PLACES) * PARTS * width * networks
    sites = "mean of the sites" if averaged else f"{PLACES} sites"
    size, made_by = rows * columns * VALUE_BYTES, count(networks, "network")
    return f"about {gb(size)}: {rows:,} wells x {columns:,} features ({sites}, CLS and patch mean, {made_by})"


def gb(size: float) -> str:
    """Return bytes as GB or MB of 10**9 or 10**6 bytes, three digits."""
    return f"{size / 1e9:.3g} GB" if size >= 1e9 else f"{size / 1e6:.3g} MB"


def _compound_wells(work: "Work | None") -> int:
    if work is None:
        return COMPOUND_WELLS
    wells = work.wells
    return int((~wells["Metadata_is_control"]).sum()) if "Metadata_is_control" in wells else len(wells)


def _bytes(file: Path) -> int:
    return file.stat().st_size if file.is_file() else 0
