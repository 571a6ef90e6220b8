"""The Metadata_ columns of wells: from the tables that a user gives, and from the features' own file."""

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from kit.errors import KitError, UsageError
from kit.images.labels_file import LabelFile, metadata_name, read_label_file
from kit.images.metadata import Metadata, read_metadata
from kit.profiles.table import PLATE, SITE, WELL
from kit.words import nearest, some

SAMPLE, LINE, CONTROL = "Metadata_broad_sample", "Metadata_Cell_type", "Metadata_is_control"
OWN = "the file's own columns"
_PLATE_MAP = "Metadata_Plate_Map_Name"  # the official tables have it
_FLAGS = {"true": True, "1": True, "false": False, "0": False, "": False}

Tables = Metadata | LabelFile | pd.DataFrame | None


def read_tables(metadata: Path | str | Metadata | pd.DataFrame | None, labels: Path | str | None) -> Tables:
    """Return the tables that --metadata or --labels names; None where neither is given.

    Raises:
        UsageError: both are given, or a file is missing. KitError: a table cannot be used.
    """
    if labels is None:
        return metadata if isinstance(metadata, Metadata | pd.DataFrame | None) else read_metadata(Path(metadata))
    if metadata is not None:
        raise UsageError("--metadata and --labels both say what is in a well: give one of them")
    return read_label_file(Path(labels))


@dataclass(frozen=True, kw_only=True, slots=True)
class Columns:
    """The columns of M wells, row for row with `who`: Metadata_Plate, Metadata_Well and the features' own columns.

    table: the columns of the tables given, or None. called: where labels are from, in words. official: the table is the
    challenge's. absent: plates of the features that the table does not have.
    """

    who: pd.DataFrame
    table: pd.DataFrame | None
    called: str
    official: bool = False
    absent: tuple[str, ...] = ()

    @property
    def first(self) -> list[str]:
        """The columns that may hold labels: of the tables, or of the features where no tables are given."""
        return _names(self.who if self.table is None else self.table)

    @property
    def every(self) -> list[str]:
        """The same, then the features' own."""
        return list(dict.fromkeys([*self.first, *_names(self.who)]))

    def has(self, column: str) -> bool:
        """Return whether tables or features have the column."""
        return column in self.who or (self.table is not None and column in self.table)

    def is_official(self, column: str) -> bool:
        """Return whether the official tables have the column."""
        return self.official and self.table is not None and column in self.table

    def is_own_table(self, column: str) -> bool:
        """Return whether a lab's own tables have the column."""
        return not self.official and self.table is not None and column in self.table

    def find(self, option: str, name: str) -> str:
        """Return the column that a user named, with or without Metadata_, in whatever case.

        Raises:
            UsageError: there is none.
        """
        wanted, known = metadata_name(name), [PLATE, WELL, *self.every]
        like = [wanted] if wanted in known else [column for column in known if column.casefold() == wanted.casefold()]
        if len(like) == 1:
            return like[0]
        names = [short(column) for column in self.every]
        raise UsageError(f"{option} {name}: no such column{nearest(short(name), names)}; there are: {some(names, 12) or 'none'}")

    def text(self, column: str) -> pd.Series:
        """Return the column's values as text, "" where there is none; the tables' where both have it."""
        return _text(self.who if self.table is None or column not in self.table else self.table, column)

    def flags(self, column: str) -> np.ndarray:
        """Return a column of true and false, as text or numbers may say it, bool [M]; empty is false."""
        said = self.text(column).str.lower()
        unlike = ~said.isin(_FLAGS)
        if unlike.any():
            raise KitError(
                f"{column} of {self._well(int(unlike.to_numpy().argmax()))} is {said[unlike].iloc[0]}: need true or false"
            )
        return said.map(_FLAGS).to_numpy(dtype=bool)

    def check(self, columns: Collection[str], is_control: np.ndarray) -> None:
        """Check that tables and features agree on `columns` where both say something of a well.

        Official tables are also held to the features' broad_sample, but not to what these say of DMSO wells otherwise.

        Raises:
            KitError: they do not; the message names the first well.
        """
        if self.table is None:
            return
        if self.official and SAMPLE in self.who:
            own, known = _text(self.who, SAMPLE).replace("DMSO", ""), self.text(SAMPLE)
            self._refuse(own != known, SAMPLE, own.replace("", "empty (DMSO)"), known.replace("", "empty (DMSO)"))
        for column in sorted(columns):
            if column in self.who and column in self.table:
                own, known = _text(self.who, column), self.text(column)
                beside = is_control if self.official else False
                self._refuse((own != known) & (own != "") & (known != "") & ~np.asarray(beside), column, own, known)

    def _refuse(self, wrong: pd.Series, column: str, own: pd.Series, known: pd.Series) -> None:
        if wrong.any():
            row = int(wrong.to_numpy().argmax())
            source = "the plate map" if self.official and column == SAMPLE else self.called
            raise KitError(f"{self._well(row)}: the features say {column} {own.iloc[row]}, {source} says {known.iloc[row]}")

    def _well(self, row: int) -> str:
        return f"well {self.who[WELL].iloc[row]} of plate {self.who[PLATE].iloc[row]}"


def columns_of(who: pd.DataFrame, tables: Tables, called: str) -> Columns:
    """Return the columns of the wells of `who`; `called` names the features in errors.

    Raises:
        KitError: a plate or well that the official tables do not have, or no plate that a lab's table has.
        UsageError: neither tables nor features have a column of labels.
    """
    if tables is None:
        if not _names(who):
            raise UsageError(f"{called} has no column Metadata_<label>: give --metadata DIR or --labels FILE")
        return Columns(who=who, table=None, called=OWN)
    if isinstance(tables, LabelFile):
        plates = sorted(who[PLATE].unique())
        absent = tuple(plate for plate in plates if plate not in tables.plates)
        if len(absent) == len(plates):
            raise KitError(f"{tables.path} has no plate of {called} ({some(plates)}); it has: {some(tables.plates)}")
        table = who[[PLATE, WELL]].merge(tables.table, on=[PLATE, WELL], how="left").fillna("")
        return Columns(who=who, table=table, called=tables.path.name, absent=absent)
    known = tables if isinstance(tables, pd.DataFrame) else _official(who, tables)
    table = _rows(who, known)
    name = "the table given" if isinstance(tables, pd.DataFrame) else str(tables.folder)
    return Columns(who=who, table=table, called=name, official=_PLATE_MAP in table)


def short(column: str) -> str:
    """Return a column's name without Metadata_."""
    return column.removeprefix("Metadata_")


def _official(who: pd.DataFrame, metadata: Metadata) -> pd.DataFrame:
    plates = sorted(who[PLATE].unique())
    for plate in plates:
        if reason := metadata.why_unlabelled(plate):
            raise KitError(f"plate {plate} has no labels in {metadata.folder}: {reason}; drop its rows, or give --labels FILE")
    return pd.concat([metadata.wells(plate) for plate in plates], ignore_index=True)


def _rows(who: pd.DataFrame, known: pd.DataFrame) -> pd.DataFrame:
    """Return the row of each well of `who`."""
    rows = pd.MultiIndex.from_frame(known[[PLATE, WELL]]).get_indexer(pd.MultiIndex.from_frame(who[[PLATE, WELL]]))
    if (rows < 0).any():
        first = who[rows < 0].iloc[0]
        raise KitError(f"well {first[WELL]} of plate {first[PLATE]} is not in its plate map; drop this row of the features")
    return known.iloc[rows].reset_index(drop=True)


def _names(table: pd.DataFrame) -> list[str]:
    return [name for name in map(str, table) if name.startswith("Metadata_") and name not in (PLATE, WELL, SITE, CONTROL)]


def _text(table: pd.DataFrame, column: str) -> pd.Series:
    return table[column].map(_word).astype(object)


def _word(value: Any) -> str:
    """Return a value as a table of text would have it: "" for none, "48" for 48.0."""
    if isinstance(value, float | np.floating):
        return "" if np.isnan(value) else str(int(value)) if float(value).is_integer() else str(value)
    return "" if value is None or value is pd.NA or value is pd.NaT else str(value).strip()
