"""Label packed plates in their tables, without touching their pixels; what the labels are, in words."""

from pathlib import Path

import pandas as pd

from kit.images.ingest.sites_table import add_labels, label_columns
from kit.images.labels import Labels, recorded_labels
from kit.images.store.tables import read_record, read_table, write_table
from kit.words import count, some


def relabel(path: Path, labels: Labels, *, write: bool = True) -> list[str] | None:
    """Update the labels of a complete plate's table; return notes on them, or None where nothing changes.

    The table is written whole, so a kill leaves the old one or the new one. Where `labels` do not have the plate, it stays as
    it is.

    Args:
        path: WORK/plates/<barcode>.parquet.
        write: False: only say what would change.
    """
    plate = path.stem
    if not labels.is_labelled(plate):
        return None
    before, record = read_table(path), read_record(path)
    after, labelled = add_labels(before, plate, labels), labels.record(plate)
    if after.equals(before) and recorded_labels(record) == labelled:
        return None
    if write:
        write_table(path, after, {**record, "unlabelled": "", "labels": labelled})
    lost = [column.removeprefix("Metadata_") for column in label_columns(before) if column not in after]
    gone = [f"columns it had before and these labels have not are gone: {some(lost)}"] if lost else []
    return [*label_notes(after, plate, labels), *gone]


def why_unlabelled(path: Path) -> str:
    """Return why a complete plate's table has no labels, as it was when it was packed; empty where it has them."""
    return read_record(path)["unlabelled"]


def label_notes(table: pd.DataFrame, plate: str, labels: Labels) -> list[str]:
    """Return what people should know of the labels of a plate's wells: a lab's own are counted, unlabelled wells listed."""
    if not labels.is_labelled(plate):
        return []
    wells = table.drop_duplicates("Metadata_Well")
    label, control = wells[labels.perturbation], wells["Metadata_is_control"]
    unknown = (label == "") & ~control
    record, notes = labels.record(plate), []
    if labels.file is not None and record["source"] == labels.file.path.name:
        name = record["perturbation"].removeprefix("Metadata_")
        controls = f"{count(int(control.sum()), 'control')} ({record['control']})" if control.any() else "no control"
        notes.append(f"{name} of {record['source']}: {int((~unknown).sum())} of {count(len(wells), 'well')} labelled, {controls}")
        if not control.any():
            notes.append("no control on this plate: kit profile --normalize needs one on every plate, or --controls all")
    if unknown.any():
        without = wells["Metadata_Well"][unknown].tolist()
        notes.append(f"{count(len(without), 'well')} without a label, unknown and not a control: {some(without)}")
    almost = label[~control & (label.str.casefold() == labels.control.casefold())] if labels.control else label[:0]
    if len(almost):
        notes.append(
            f"warning: {count(len(almost), 'well')} with {almost.iloc[0]!r}, which is not the control {labels.control!r}"
        )
    return notes
