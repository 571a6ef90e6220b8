"""Update the labels of packed plates in their tables, without touching their pixels."""

from pathlib import Path

from kit.images.ingest.sites_table import add_metadata
from kit.images.metadata import Metadata
from kit.images.store.tables import read_record, read_table, write_table


def relabel(path: Path, metadata: Metadata | None, *, write: bool = True) -> bool:
    """Update the labels of a complete plate's table from `metadata`; return whether it changed.

    The table is written whole, so a kill leaves the old one or the new one. Without metadata, or where they do not know the
    plate's wells, it stays as it is.

    Args:
        path: WORK/plates/<barcode>.parquet.
        write: False: only say what would change.
    """
    if metadata is None or not metadata.is_labelled(path.stem):
        return False
    before = read_table(path)
    after = add_metadata(before, path.stem, metadata)
    if after.equals(before):
        return False
    if write:
        write_table(path, after, {**read_record(path), "unlabelled": ""})
    return True


def why_unlabelled(path: Path) -> str:
    """Return why a complete plate's table has no labels, as it was when it was packed; empty where it has them."""
    return read_record(path)["unlabelled"]
