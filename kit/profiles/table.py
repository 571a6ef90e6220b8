"""Profiles: one row of features per well and who each row is, with the steps that made them; whole parquet or CSV files.

M wells, F features.
"""

import json
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.lib
import pyarrow.parquet as pq

from kit.errors import KitError, UsageError
from kit.files import existing_file, whole_file
from kit.profiles.anndata_file import is_h5ad, read_h5ad_facts, write_h5ad
from kit.profiles.csv_file import write_csv
from kit.profiles.manifest import is_csv, read_manifest
from kit.profiles.step_text import step_lines
from kit.words import count

PLATE, WELL, SITE = "Metadata_Plate", "Metadata_Well", "Metadata_Site"
_CELLPROFILER = ("Cells_", "Cytoplasm_", "Nuclei_")
FILE_KEY = b"kit"  # in the parquet schema: JSON with the steps and what follows from them


@dataclass(frozen=True, kw_only=True, slots=True)
class Profiles:
    """One row per well; per site, and then with Metadata_Site, while sites are not merged yet.

    features_MF: float32. who: M rows of `Metadata_` columns, Metadata_Plate and Metadata_Well among them.
    names: F column names. steps: what was done, in order, one dict each with the key `step`. labels: `perturbation`, the
    column of `who` with the classes, and `control`, the value of it that is the control; empty where no work folder says.
    """

    features_MF: np.ndarray
    who: pd.DataFrame
    names: tuple[str, ...]
    steps: tuple[dict, ...] = ()
    labels: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        assert self.features_MF.shape == (len(self.who), len(self.names))

    @property
    def is_control_M(self) -> np.ndarray:
        """Bool: the control wells; a well without a label is none. Without Metadata_is_control, an empty broad_sample is DMSO."""
        if "Metadata_is_control" in self.who:
            return self.who["Metadata_is_control"].astype("boolean").fillna(False).to_numpy(dtype=bool)
        if "Metadata_broad_sample" in self.who:
            return (self.who["Metadata_broad_sample"].astype("string") == "").fillna(False).to_numpy(dtype=bool)
        return np.zeros(len(self.who), dtype=bool)

    @property
    def uses_well_position(self) -> bool:
        """Whether a step used a well's position on its plate: such features can carry the label without any signal."""
        return any(step.get("uses_well_position", False) for step in self.steps)

    def text(self) -> str:
        """Return a line about these profiles, and a line each on what the steps chose, left out or filled in."""
        plates = self.who[PLATE].nunique()
        size = f"{count(len(self.who), 'well')} of {count(plates, 'plate')} x {count(len(self.names), 'feature')}"
        notes = ""
        if fitted := [step for step in self.steps if step.get("controls") == "all"]:
            notes += f"; centred or whitened on all {fitted[0].get('on', 'wells')}, not on controls"
        if self.uses_well_position:
            notes += "; uses the well position: the label can leak, see the README"
        return "".join([size, notes, *(f"\n  {line}" for step in self.steps for line in step_lines(step))])

    def after(self, features_MF: np.ndarray, **step: Any) -> "Profiles":
        """Return these wells with new features of the same names, and one more step."""
        return replace(self, features_MF=np.ascontiguousarray(features_MF, dtype=np.float32), steps=(*self.steps, step))

    def named(self, names: str) -> "Profiles":
        """Return these profiles with their columns as they are (`kit`), or with Cells_ before each name (`cells`).

        pycytominer's `infer_cp_features`, which all its functions call by default, takes columns that begin with Cells, Nuclei or
        Cytoplasm for the features.
        """
        assert names in ("kit", "cells"), names
        if names == "kit" or all(name.startswith(_CELLPROFILER) for name in self.names):
            return self
        return replace(self, names=tuple(f"Cells_{name}" for name in self.names))


def check_name(path: Path) -> None:
    """Check that profiles can be written under this name.

    Raises:
        UsageError: it ends neither in .parquet nor in .csv, .csv.gz or .h5ad.
    """
    if path.suffix != ".parquet" and not is_csv(path) and not is_h5ad(path):
        raise UsageError(
            f"--out {path}: profiles are written as .parquet, .csv, .csv.gz or .h5ad; use a name with one of these endings"
        )


def write_profiles(profiles: Profiles, path: Path) -> None:
    """Write one file, whole: the `Metadata_` columns, then the float32 features.

    What the file says of itself (`file_facts`) is in a parquet file's schema, in the manifest beside a CSV, or in uns["kit"]
    of AnnData.
    """
    check_name(path)
    write = write_csv if is_csv(path) else write_h5ad if is_h5ad(path) else write_table
    write(profiles.who, profiles.features_MF, profiles.names, path, file_facts(profiles))


def file_facts(profiles: Profiles) -> dict:
    """Return what a file of profiles says of itself."""
    return {
        "schema": 1,
        "rows": "wells",
        "uses_well_position": profiles.uses_well_position,
        "labels": profiles.labels,
        "steps": list(profiles.steps),
    }


def write_table(who: pd.DataFrame, features_MF: np.ndarray, names: tuple[str, ...], path: Path, facts: dict) -> None:
    """Write `Metadata_` columns and float32 features as one parquet file with `facts` in its schema."""
    table = pa.Table.from_pandas(who, preserve_index=False)
    columns = [*table.columns, *(pa.array(column) for column in np.ascontiguousarray(features_MF.T, dtype=np.float32))]
    fields = [*table.schema, *(pa.field(name, pa.float32()) for name in names)]
    schema = pa.schema(fields, metadata={FILE_KEY: json.dumps(facts).encode()})
    with whole_file(path) as part:
        pq.write_table(pa.table(columns, schema=schema), part, compression="zstd", use_dictionary=list(who.columns))


def read_facts(path: Path) -> dict:
    """Return what a parquet or .h5ad file, or the manifest beside a CSV, says of the file; {} where kit did not write it."""
    if is_csv(path):
        return read_manifest(path) or {}
    if is_h5ad(path):
        return read_h5ad_facts(path)
    metadata = open_parquet(path).schema_arrow.metadata or {}
    return json.loads(metadata.get(FILE_KEY, b"{}"))


def read_profiles(path: Path) -> Profiles:
    """Read what `write_profiles` wrote.

    Raises:
        KitError: not a parquet file, or not one row per well.
    """
    table = open_parquet(path).read()
    if PLATE not in table.column_names or WELL not in table.column_names:
        raise KitError(f"{path} has no columns {PLATE} and {WELL}: not a table of profiles (kit profile writes one)")
    names = tuple(name for name in table.column_names if not name.startswith("Metadata_"))
    who = table.select([name for name in table.column_names if name.startswith("Metadata_")])
    features_FM = np.empty((len(names), table.num_rows), dtype=np.float32)
    for row, name in zip(features_FM, names, strict=True):
        row[:] = table.column(name).to_numpy()
    facts = json.loads((table.schema.metadata or {}).get(FILE_KEY, b"{}"))
    return Profiles(
        features_MF=np.ascontiguousarray(features_FM.T),
        who=who.replace_schema_metadata(None).to_pandas(),
        names=names,
        steps=tuple(facts.get("steps", ())),
        labels=facts.get("labels", {}),
    )


def open_parquet(path: Path) -> pq.ParquetFile:
    """Open a parquet file.

    Raises:
        UsageError: it does not exist. KitError: it is not parquet.
    """
    try:
        return pq.ParquetFile(existing_file(path))
    except pyarrow.lib.ArrowInvalid as error:
        raise KitError(f"{path} is not a parquet file: {str(error).splitlines()[0]}") from error
