"""Features of cells, fields or wells, and their means: cells -> fields -> wells -> treatments, each level counting the same.

R rows as given, M wells, T treatments, F features.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from kit.challenge.columns import SAMPLE, Columns, Tables, columns_of, read_tables, short
from kit.challenge.features import Features, read_features
from kit.challenge.labels import Wanted, label_wells
from kit.errors import KitError, UsageError
from kit.profiles.table import PLATE, SITE, WELL
from kit.words import count

LABEL, MECHANISM, DOSE, CONTROL = "label", "mechanism", "dose", "is_control"
MECHANISMS = ("Metadata_moa", "Metadata_MOA", "Metadata_moa_list", "Metadata_mechanism")  # the first that has a value
DOSES = ("Metadata_dose_recode", "Metadata_dose", "Metadata_mmoles_per_liter", "Metadata_concentration")
_BLOCK = 256  # columns averaged at once


@dataclass(frozen=True, kw_only=True, slots=True)
class Asked:
    """Columns that a user named, with or without Metadata_; None takes the usual ones. control: the value of DMSO."""

    label: str | None = None
    control: str | None = None
    moa: str | None = None
    dose: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Rows:
    """R cells, fields or wells.

    who: Metadata_Plate, Metadata_Well, Metadata_Site where given, label ("" for none), mechanism (| between several) and
    is_control. level: what a row is. columns: of the label, the mechanism and the dose, "" where there is none.
    dropped: features with a gap. left_out: rows at lower doses.
    """

    features_RF: np.ndarray
    who: pd.DataFrame
    called: str
    level: str
    columns: dict[str, str]
    dropped: int
    left_out: int

    def wells(self) -> "Rows":
        """Return the mean of each well over its fields, of each field over its rows."""
        keys = [PLATE, WELL]
        features_RF, who = self.features_RF, self.who
        if SITE in who:
            features_RF, who = mean_by(features_RF, who, [*keys, SITE])
        features_MF, who = mean_by(features_RF, who, keys)
        return self._at("wells", features_MF, who)

    def taken(self, chosen: np.ndarray) -> "Rows":
        """Return these rows alone."""
        return self._at(self.level, self.features_RF[chosen], self.who[chosen].reset_index(drop=True))

    def with_features(self, features_RF: np.ndarray) -> "Rows":
        """Return the same rows with other features."""
        return self._at(self.level, features_RF, self.who)

    def _at(self, level: str, features_RF: np.ndarray, who: pd.DataFrame) -> "Rows":
        return Rows(
            features_RF=features_RF, who=who, called=self.called, level=level, columns=self.columns, dropped=self.dropped,
            left_out=self.left_out,
        )  # fmt: skip


def mean_by(features_RF: np.ndarray, who: pd.DataFrame, keys: list[str]) -> tuple[np.ndarray, pd.DataFrame]:
    """Return the mean over the rows of each group, float32, in order of the keys, and the first row of `who` of each."""
    group_R = who.groupby(keys, sort=True, dropna=False).ngroup().to_numpy()
    order = np.argsort(group_R, kind="stable")
    starts = np.flatnonzero(np.diff(group_R[order], prepend=-1))
    if len(starts) == len(order):  # a row each
        return features_RF[order], who.iloc[order].reset_index(drop=True)
    mean_GF = np.empty((len(starts), features_RF.shape[1]), dtype=np.float32)
    for start in range(0, features_RF.shape[1], _BLOCK):
        block_RF = features_RF[order, start : start + _BLOCK].astype(np.float64)
        sizes_G1 = np.diff(starts, append=len(order))[:, None]
        mean_GF[:, start : start + _BLOCK] = np.add.reduceat(block_RF, starts, axis=0) / sizes_G1
    return mean_GF, who.iloc[order[starts]].reset_index(drop=True)


def read_rows(files: Sequence[Path], metadata: Path | None, asked: Asked, *, doses: bool = True) -> Rows:
    """Return the rows of the controls, and of every treatment at its highest dose; at every dose without `doses`.

    Raises:
        UsageError: no such file or column. KitError: features that cannot be used, no labelled row, a dose that is no number.
    """
    features = read_features(list(files), drop=np.isnan, repeated=True)
    tables = read_tables(metadata, None)
    columns = columns_of(features.who, tables, features.called)
    who = features.who[[name for name in (PLATE, WELL, SITE) if name in features.who]].reset_index(drop=True)
    who, label = _labelled(who, features, tables, columns, asked)
    moa = _column(columns, "--moa", asked.moa, MECHANISMS)
    dose = _column(columns, "--dose", asked.dose, DOSES) if doses else ""
    who[MECHANISM] = columns.text(moa).to_numpy() if moa else ""
    highest_R = highest_doses(columns.text(dose), who, short(dose)) if dose else np.ones(len(who), dtype=bool)
    named = {LABEL: label, MECHANISM: short(moa), DOSE: short(dose)}
    rows = Rows(
        features_RF=features.features_MF, who=who, called=features.called, level=_level(who), columns=named,
        dropped=len(features.dropped), left_out=int((~highest_R).sum()),
    )  # fmt: skip
    return rows.taken(highest_R)


def _labelled(who: pd.DataFrame, features: Features, tables: Tables, columns: Columns, asked: Asked) -> tuple[pd.DataFrame, str]:
    labelled = label_wells(
        features.who, tables, Wanted(label=asked.label, control=asked.control), features.recorded, features.called
    )
    label, is_control = labelled.wells["label"].to_numpy(dtype=str), labelled.wells["is_control"].to_numpy(dtype=bool)
    if not labelled.controls_known:  # as the community writes them
        is_control = (label == "DMSO") | ((label == "") & (f"Metadata_{labelled.label}" == SAMPLE))
    who = who.assign(**{LABEL: np.where(is_control, "", label), CONTROL: is_control})
    if not (who[LABEL] != "").any():
        raise KitError(
            f"{features.called}: no row has a {labelled.label} beside the controls: --label COLUMN names another column"
        )
    return who, labelled.label


def _column(columns: Columns, option: str, named: str | None, usual: Sequence[str]) -> str:
    """Return the column that was named, or the first usual one with a value; "" where there is none."""
    if named is not None:
        return columns.find(option, named)
    return next((name for name in usual if columns.has(name) and (columns.text(name) != "").any()), "")


def highest_doses(dose: pd.Series, who: pd.DataFrame, called: str) -> np.ndarray:
    """Return the controls and the rows at the highest dose of their treatment, bool [R]; a row without a dose is at the lowest.

    Raises:
        KitError: a dose that is no number.
    """
    dose = dose.reset_index(drop=True)
    number = pd.to_numeric(dose, errors="coerce")
    wrong = (number.isna() & (dose != "") & (who[LABEL] != "")).to_numpy()
    if wrong.any():
        row = int(wrong.argmax())
        raise KitError(
            f"{called} of well {who[WELL].iloc[row]} of plate {who[PLATE].iloc[row]} is {dose[row]!r}: need numbers; "
            "--dose COLUMN names another column"
        )
    number = number.fillna(-np.inf)
    return (who[CONTROL] | (number == number.groupby(who[LABEL]).transform("max"))).to_numpy()


def _level(who: pd.DataFrame) -> str:
    if not who.duplicated([PLATE, WELL]).any():
        return "wells"
    return "fields" if SITE in who and not who.duplicated([PLATE, WELL, SITE]).any() else "cells"


def treatments(wells: Rows) -> Rows:
    """Return the mean of every treatment over its wells; controls and wells without a label are left out.

    Raises:
        UsageError: two wells of a treatment have different mechanisms.
    """
    treated = wells.taken((wells.who[LABEL] != "").to_numpy())
    check_mechanisms(treated)
    features_TF, who = mean_by(treated.features_RF, treated.who, [LABEL])
    return treated._at("treatments", features_TF, who)


def check_mechanisms(wells: Rows) -> None:
    """Check that a treatment has one mechanism, or one set of them.

    Raises:
        UsageError: it has not.
    """
    unlike = wells.who.groupby(LABEL)[MECHANISM].nunique()
    if (unlike > 1).any():
        name = unlike.index[(unlike > 1).to_numpy()][0]
        said = sorted(wells.who[MECHANISM][wells.who[LABEL] == name].unique())
        raise UsageError(
            f"{wells.called}: {wells.columns[LABEL]} {name} has {count(len(said), wells.columns[MECHANISM])} "
            f"({said[0] or 'empty'}, {said[1]}): a treatment has one; --moa COLUMN names another column"
        )
