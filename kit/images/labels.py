"""The labels of an ingest: the official tables, a lab's own file, or both; the perturbation and which wells are controls.

With both, the file adds columns to those of the tables. Where the two have the same column, an empty cell of one takes the
other's value, and two different values are an error. A well without a label is unknown: it is never a control.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from kit.errors import KitError, UsageError
from kit.images.labels_file import WELL, LabelFile, find_column, read_label_file
from kit.images.metadata import Metadata, read_metadata
from kit.words import nearest, some

OFFICIAL = {"source": "official", "perturbation": "Metadata_broad_sample", "control": "DMSO"}  # how a table's record says it
NONE = {"source": "", "perturbation": "", "control": ""}
_CONTROL = "Metadata_is_control"


@dataclass(frozen=True)
class Labels:
    """What is known of the wells.

    `perturbation`: the column Metadata_<column> whose values are the classes; "Metadata_broad_sample" of the official tables,
    whose empty cells are DMSO. `control`: the value of it that is the control; "" is DMSO of the official tables.
    """

    official: Metadata | None = None
    file: LabelFile | None = None
    perturbation: str = OFFICIAL["perturbation"]
    control: str = ""

    @property
    def options(self) -> str:
        """The options that gave these labels."""
        given = (self.official and "--metadata", self.file and "--labels")
        return " and ".join(option for option in given if option)

    def why_unlabelled(self, plate: str) -> str:
        """Return what is missing for the plate's labels, in words; empty if nothing is."""
        if self.file is not None and plate in self.file.plates:
            return ""
        reasons = [self.official.why_unlabelled(plate)] if self.official else []
        if "" in reasons:
            return ""
        reasons += [f"not in {self.file.path.name}"] if self.file else []
        return " and ".join(reasons) or "no --metadata or --labels"

    def is_labelled(self, plate: str) -> bool:
        """Return whether the plate has labels."""
        return self.why_unlabelled(plate) == ""

    def listed(self, plate: str) -> list[str]:
        """Return the wells that have a row in the tables."""
        wells = list(self.official.wells(plate)[WELL]) if self.official and self.official.is_labelled(plate) else []
        return list(dict.fromkeys([*wells, *(self.file.wells(plate)[WELL] if self.file else ())]))

    def of_wells(self, plate: str, wells: Sequence[str]) -> pd.DataFrame:
        """Return one row per well of `wells`: Metadata_Well, its labels as text ("" is unknown) and Metadata_is_control.

        A plate without labels has none of them, but what the official tables know of the plate itself (its cell line ...).

        Raises:
            KitError: a table lacks a column, or file and tables contradict each other; the message names the well.
        """
        table = _official(self.official, plate, wells) if self.official else pd.DataFrame({WELL: list(wells)})
        if not self.is_labelled(plate):
            return table
        if self.file is not None and plate in self.file.plates:
            table = _add_file(table, plate, self.file)
        if self.perturbation not in table:
            table[self.perturbation] = ""
        if self.control:
            table[_CONTROL] = table[self.perturbation] == self.control
        elif _CONTROL not in table:
            table[_CONTROL] = False
        return table

    def record(self, plate: str) -> dict[str, str]:
        """Return what a plate's table records: where its labels are from, their perturbation and control."""
        if not self.is_labelled(plate):
            return dict(NONE)
        of_file = self.file is not None and plate in self.file.plates
        dmso = self.official is not None and self.official.is_labelled(plate)
        return {
            "source": self.file.path.name if self.file and of_file else OFFICIAL["source"],
            "perturbation": self.perturbation,
            "control": self.control or (OFFICIAL["control"] if dmso else ""),
        }

    def check(self, plates: Iterable[str]) -> None:
        """Check the labels of plates before any is packed.

        Raises:
            KitError: as `of_wells`. UsageError: no well of the tables has the control.
        """
        labelled = [plate for plate in plates if self.is_labelled(plate)]
        tables = [self.of_wells(plate, self.listed(plate)) for plate in labelled]
        if not self.control or not tables or any(table[_CONTROL].any() for table in tables):
            return
        of_file = self.file.table.get(self.perturbation) if self.file else None
        found = pd.concat([table[self.perturbation] for table in tables] + ([] if of_file is None else [of_file]))
        values = sorted(set(found) - {""})
        if self.control not in values:
            name = self.perturbation.removeprefix("Metadata_")
            raise UsageError(
                f"--control {self.control}: no well has this {name}{nearest(self.control, values)}; there are: {some(values)}"
            )


def read_labels(metadata: Path | None = None, labels: Path | None = None, perturbation: str = "", control: str = "") -> Labels:
    """Read the tables that --metadata and --labels name.

    Args:
        perturbation: the column of the classes, with or without Metadata_. Empty: broad_sample of the official tables; without
            these, the only label column of the file.
        control: the value of it that is the control; empty: DMSO as the official tables say, and without these none.

    Raises:
        UsageError: a missing file; a perturbation that must be named, or a control that cannot be.
        KitError: a table cannot be used.
    """
    official = None if metadata is None else read_metadata(metadata)
    file = None if labels is None else read_label_file(labels)
    if file is None:
        return Labels(official)
    return Labels(official, file, _perturbation(official, file, perturbation, control), control)


def recorded_labels(record: dict) -> dict[str, str]:
    """Return what a plate's record says of its labels; plates packed by earlier versions have the official ones or none."""
    return record.get("labels") or (NONE if record.get("unlabelled") else OFFICIAL)


def common_labels(of_plates: Mapping[str, dict[str, str]]) -> dict[str, str]:
    """Return the perturbation and control of plates together; official where no plate has labels.

    Raises:
        KitError: two plates are labelled by different columns.
    """
    labelled = {plate: labels for plate, labels in of_plates.items() if labels["source"]}
    first = {labels["perturbation"]: plate for plate, labels in reversed(labelled.items())}
    if len(first) > 1:
        said = " and ".join(f"{plate} by {column.removeprefix('Metadata_')}" for column, plate in list(first.items())[:2])
        raise KitError(f"plates are labelled by different columns, {said}: give kit ingest all labels in one --labels")
    controls = sorted({labels["control"] for labels in labelled.values()} - {""})
    return {"perturbation": next(iter(first), OFFICIAL["perturbation"]), "control": " or ".join(controls)}


def _perturbation(official: Metadata | None, file: LabelFile, named: str, control: str) -> str:
    if official is None:
        if not named and len(file.columns) > 1:
            columns = ", ".join(column.removeprefix("Metadata_") for column in file.columns)
            raise UsageError(
                f"--labels {file.path} has several columns: name that of the treatments with --perturbation: {columns}"
            )
        return file.column(named) if named else file.columns[0]
    column = find_column(named, [*file.columns, *official.columns], f"{file.path} or --metadata") if named else ""
    if column in ("", OFFICIAL["perturbation"]) and control:
        raise UsageError(
            f"--control {control}: the official tables say which wells are DMSO; name another column with --perturbation"
        )
    return column or OFFICIAL["perturbation"]


def _official(metadata: Metadata, plate: str, wells: Sequence[str]) -> pd.DataFrame:
    """Return the official labels of wells; one that is not on the plate map is unknown."""
    table = pd.DataFrame({WELL: list(wells)})
    if not metadata.is_labelled(plate):
        of_plate = {key: value for key, value in metadata.of_plate(plate).items() if key != "Metadata_Plate"}
        return table.assign(**of_plate)
    known = metadata.wells(plate).drop(columns="Metadata_Plate")
    table = table.merge(known, on=WELL, how="left")
    of_plate = {key: value for key, value in metadata.of_plate(plate).items() if key in table}
    table[_CONTROL] = table[_CONTROL].eq(True)
    return table.fillna(of_plate).fillna("")


def _add_file(table: pd.DataFrame, plate: str, file: LabelFile) -> pd.DataFrame:
    """Return the table with the columns of the file; a cell that is empty in one takes the value of the other."""
    rows = file.wells(plate).set_index(WELL).reindex(table[WELL]).fillna("").reset_index()
    official_dmso = table[_CONTROL] if _CONTROL in table else pd.Series(False, index=table.index)
    for column in file.columns:
        if column not in table:
            table[column] = rows[column]
            continue
        ours, theirs = table[column], rows[column]
        if column == OFFICIAL["perturbation"]:  # empty is DMSO there, and some write the word
            theirs = theirs.where(~(official_dmso & (theirs == OFFICIAL["control"])), "")
            unlike = (theirs != "") & (ours != theirs) & ((ours != "") | official_dmso)
        else:
            unlike = (theirs != "") & (ours != "") & (ours != theirs)
        if unlike.any():
            well = int(unlike.to_numpy().argmax())
            raise KitError(
                f"well {table[WELL][well]} of plate {plate}: {file.path.name} says {column.removeprefix('Metadata_')} "
                f"{theirs[well]!r}, the official tables say {ours[well] or 'empty (DMSO)'}"
            )
        table[column] = ours.where(ours != "", theirs)
    return table
