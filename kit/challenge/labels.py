"""Label, group and control of each well: who trains, who is tested and what is to be recognised."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from kit.challenge.columns import CONTROL, LINE, OWN, SAMPLE, Columns, Tables, columns_of, short
from kit.challenge.folds import ALL, LINES
from kit.errors import KitError, UsageError
from kit.profiles.table import PLATE, WELL
from kit.words import count, nearest, some


@dataclass(frozen=True, kw_only=True, slots=True)
class Wanted:
    """What a user named; columns with or without Metadata_. None takes what is recorded or usual, see `label_wells`.

    label: the column of the classes. group: the column whose values directions go between. perturbation, control: wells
    with this value in this column are controls.
    """

    label: str | None = None
    group: str | None = None
    perturbation: str | None = None
    control: str | None = None

    def __post_init__(self) -> None:
        for name in ("label", "group", "perturbation", "control"):
            if getattr(self, name) is not None and not getattr(self, name).strip():
                raise UsageError(f"--{name} is empty: give a {'value' if name == 'control' else 'column'}, or omit the option")


@dataclass(frozen=True, kw_only=True, slots=True)
class Labelled:
    """Who is scored.

    wells: Metadata_Plate, Metadata_Well, label and group ("" is unknown) and is_control, row for row with the features.
    label, group: the columns' names without Metadata_; group is "" where all wells are one. groups: what directions go
    between, in order. source: where labels are from. controls_known: false where any label may be the control's.
    is_challenge: these are the challenge's cell lines from its own tables. notes: what else to know of the score, a line each.
    """

    wells: pd.DataFrame
    label: str
    group: str
    groups: tuple[str, ...]
    source: str
    controls_known: bool
    is_challenge: bool
    notes: tuple[str, ...]

    @property
    def scored(self) -> pd.DataFrame:
        """The wells that count: with a label and a group, and no control."""
        return _scored(self.wells)


def label_wells(who: pd.DataFrame, tables: Tables, wanted: Wanted, recorded: Mapping[str, str], called: str) -> Labelled:
    """Return the label and group of every well of `who`: Metadata_Plate, Metadata_Well and the features' own columns.

    A column is looked for in the tables, then among the features' own. Where none is named, the label is broad_sample of the
    official tables, else the perturbation that the features' file records, else broad_sample, else the only column there is;
    the group is Metadata_Cell_type, and without it all wells are one group.

    Args:
        recorded: "perturbation" and "control" as the features' file records them. called: the features, in errors.

    Raises:
        UsageError: a column that is not there or must be named, a control that no well has.
        KitError: a plate or well that the official tables do not have; tables and features contradict each other on a well.
    """
    columns = columns_of(who, tables, called)
    label = _label_column(columns, wanted, recorded)
    group = columns.find("--group", wanted.group) if wanted.group else _line_column(columns)
    is_control, controls = _controls(columns, wanted, recorded, label)
    columns.check({label, group, recorded.get("perturbation", "")}, is_control)
    wells = who[[PLATE, WELL]].assign(
        label=columns.text(label), group=columns.text(group) if group else ALL, is_control=is_control
    )
    groups = _groups(wells, short(group))
    challenge = columns.is_official(label) and group == LINE and columns.is_official(LINE) and set(groups) <= set(LINES)
    return Labelled(
        wells=wells,
        label="inchikey" if label == "Metadata_InChIKey" else short(label),
        group=short(group),
        groups=LINES if challenge else groups,
        source=columns.called if label in columns.first else OWN,
        controls_known=controls is not None,
        is_challenge=challenge,
        notes=(*(() if challenge else _notes(columns, wells, label, group, controls)), *_left_out(wells, label, group)),
    )


def _label_column(columns: Columns, wanted: Wanted, recorded: Mapping[str, str]) -> str:
    for option, name in (("--label", wanted.label), ("--perturbation", wanted.perturbation)):
        if name:
            return columns.find(option, name)
    usual = [SAMPLE] if columns.official else [recorded.get("perturbation"), SAMPLE]
    found = [column for column in usual if column in columns.first] or (columns.first if len(columns.first) == 1 else [])
    if not found:
        there = some([short(column) for column in columns.first], 12)
        verb = "are" if columns.called == OWN else "has"
        raise UsageError(f"name the column of the labels with --label; {columns.called} {verb} {there}")
    return found[0]


def _line_column(columns: Columns) -> str:
    return LINE if columns.has(LINE) and (columns.text(LINE) != "").any() else ""


def _controls(columns: Columns, wanted: Wanted, recorded: Mapping[str, str], label: str) -> tuple[np.ndarray, str | None]:
    """Return which wells are controls, bool [M], and what is to say of it; None where they are not known."""
    column, control = recorded.get("perturbation", ""), recorded.get("control", "")
    if wanted.control:
        if columns.official:
            raise UsageError(f"--control {wanted.control}: the official tables say which wells are controls")
        if wanted.perturbation:
            column = columns.find("--perturbation", wanted.perturbation)
        return _wells_with(columns, column if columns.has(column) else label, wanted.control)
    if control and columns.is_own_table(column) and (columns.text(column) == control).any():
        return _wells_with(columns, column, control)
    if columns.has(CONTROL):
        found_M = columns.flags(CONTROL)
        if found_M.any() or columns.is_official(CONTROL) or recorded.get("control"):
            return found_M, f"{count(int(found_M.sum()), 'control')} left out"
    return np.zeros(len(columns.who), dtype=bool), None


def _wells_with(columns: Columns, column: str, control: str) -> tuple[np.ndarray, str]:
    found_M = (columns.text(column) == control).to_numpy()
    if not found_M.any():
        others = [short(other) for other in columns.every if (columns.text(other) == control).any()]
        hint = nearest(control, sorted(set(columns.text(column))))
        if others:
            hint = f"; it stands in {' and '.join(others)}: name the column with --perturbation"
        raise UsageError(f"--control {control}: no well has this {short(column)}{hint}")
    return found_M, f"{count(int(found_M.sum()), 'control')} ({short(column)} {control}) left out"


def _groups(wells: pd.DataFrame, column: str) -> tuple[str, ...]:
    """Return the groups of the wells that are scored: the challenge's lines first; numbers in their order."""
    scored = _scored(wells)
    ambiguous = scored[scored["group"].str.contains("->", regex=False)]
    if len(ambiguous):
        first = ambiguous.iloc[0]
        raise KitError(
            f"well {first[WELL]} of plate {first[PLATE]}: a group named {first['group']} ({column}) cannot be told from a "
            "direction, which is written A->B: rename it"
        )
    found = sorted(set(scored["group"]))
    if all(name.replace(".", "", 1).isdecimal() for name in found):
        found.sort(key=float)
    return (*(line for line in LINES if line in found), *(name for name in found if name not in LINES))


def _scored(wells: pd.DataFrame) -> pd.DataFrame:
    return wells[~wells["is_control"] & (wells["label"] != "") & (wells["group"] != "")]


def _notes(columns: Columns, wells: pd.DataFrame, label: str, group: str, controls: str | None) -> list[str]:
    """Return where labels, groups and controls are from, and which labels can never be recognised."""
    lines = [f"labels: {columns.called if label in columns.first else OWN}"]
    if columns.absent:
        lines.append(f"{columns.called} has no plate {some(columns.absent)}")
    if not group:
        lines.append(f"no {LINE}: all wells are one group (--group COLUMN names a column)")
    elif group not in columns.first:
        lines.append(f"groups: {OWN}")
    lines.append(controls or "controls unknown: every label counts as a class (--control VALUE names the control)")
    plates = _scored(wells).groupby("label")[PLATE].nunique()
    lone = int((plates == 1).sum())
    if 0 < lone < len(plates):
        lines.append(f"{lone} of {len(plates)} labels are on one plate only: their wells cannot be recognised")
    return lines


def _left_out(wells: pd.DataFrame, label: str, group: str) -> list[str]:
    """Return how many wells have no label, and how many of the others no group."""
    treated = wells[~wells["is_control"]]
    unlabelled = treated["label"] == ""
    found = {f"label ({short(label)})": unlabelled, f"group ({short(group)})": ~unlabelled & (treated["group"] == "")}
    return [f"{count(int(blank.sum()), 'well')} without a {name} left out" for name, blank in found.items() if blank.any()]
