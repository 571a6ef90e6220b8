"""Feature files from any tool -> one table: parquet, CSV, gzipped CSV, or a folder of them."""

import logging
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import polars.exceptions

from kit.challenge.csv_files import read_csv
from kit.challenge.ids import placed
from kit.errors import KitError, UsageError
from kit.files import existing_file
from kit.images.names import normalise_wells
from kit.profiles.anndata_file import is_h5ad, read_h5ad
from kit.profiles.table import PLATE, WELL, Profiles, read_facts
from kit.words import count, some

_MERGE = "; a table has a row a well (kit profile merges sites), and files of one set hold different wells"
log = logging.getLogger(__name__)
_CHUNK = 512  # columns checked together
Unusable = Callable[[np.ndarray], np.ndarray]  # which values of a feature cannot be used, bool
_TOGETHER = 64  # columns turned to rows together: a cache line or more of each row


@dataclass(frozen=True, slots=True)
class Features:
    """features_MF: float32. who: Metadata_Plate, Metadata_Well, and whatever other Metadata_ columns the file has.

    names: the F columns. called: the file, in errors. uses_well_position: None where the file does not say. recorded: the
    perturbation column and the control that the file records for its labels. dropped: what `drop` left out.
    """

    features_MF: np.ndarray
    who: pd.DataFrame
    names: tuple[str, ...]
    called: str
    uses_well_position: bool | None = None
    recorded: dict[str, str] = field(default_factory=dict)
    dropped: tuple[str, ...] = ()


def read_features(
    path: Path | Sequence[Path], ids: pd.DataFrame | None = None, *, drop: Unusable | None = None, repeated: bool = False
) -> Features:
    """Return the features of a file, or of several files, or of all files of a folder, as one set.

    A feature is a numeric column whose name does not start with `Metadata_`, which is not the ID, not boolean, and not empty
    throughout. With `ids` (see `read_ids`) the rows are the IDs', in their order; a file without Metadata_Plate and
    Metadata_Well is joined by its ID column. `drop`: such values leave a feature out (np.isnan); `repeated`: many rows a well.

    Raises:
        UsageError: no such file or folder.
        KitError: unreadable or differing files, a well or ID twice, an ID without a row, a value that is not finite.
    """
    given = [Path(path)] if isinstance(path, str | Path) else [Path(one) for one in path]
    _, frame, facts = read_frame(given)
    features = from_frame(frame, some([str(one) for one in given]), ids, drop=drop, repeated=repeated)
    return replace(features, uses_well_position=facts.get("uses_well_position"), recorded=facts["labels"])


def read_frame(given: Sequence[Path], *, shared: bool = False) -> tuple[list[Path], pl.DataFrame, dict[str, Any]]:
    """Return the files of files and folders, their rows in one table, and what all of them say of themselves.

    The facts: `uses_well_position`, None where one does not say; `labels`; and of a single file everything it records.
    `shared` takes the feature columns that all files have; without it files that differ are an error.

    Raises:
        UsageError: no such file or folder. KitError: unreadable or differing files.
    """
    paths = [file for one in given for file in feature_files(Path(one))]
    frames = [_read(file) for file in paths]
    frame, facts = _concat(paths, _shared(paths, frames) if shared else frames), [read_facts(file) for file in paths]
    common = {"uses_well_position": _uses_well_position(facts), "labels": _recorded(paths, facts)}
    return paths, frame, {**(facts[0] if len(facts) == 1 else {}), **common}


def from_profiles(profiles: Profiles, ids: pd.DataFrame | None = None) -> Features:
    """Return the features of profiles in memory."""
    features = _finish(profiles.features_MF, profiles.who.reset_index(drop=True), profiles.names, "the profiles", ids)
    return replace(features, uses_well_position=profiles.uses_well_position, recorded=profiles.labels)


def from_frame(
    frame: pl.DataFrame, source: str, ids: pd.DataFrame | None = None, *, drop: Unusable | None = None, repeated: bool = False
) -> Features:
    """Return the features of a table in memory; `source` names it in errors."""
    id_name = _id_column(frame, ids)
    frame = frame if id_name else placed(frame, source)
    numeric = [
        name for name, kind in frame.schema.items() if not name.startswith("Metadata_") and name != id_name and kind.is_numeric()
    ]
    names = [name for name in numeric if frame[name].null_count() < len(frame)]
    if not names:
        raise KitError(f"{source} has no numeric feature column beside Metadata_* and the ID")
    dropped = [name for name in numeric if drop(_column(frame[name])).any()] if drop else []
    names = [name for name in names if name not in set(dropped)]
    if not names:
        raise KitError(f"{source} has no feature column without a missing or infinite value: {some(dropped)}")
    texts = [
        name for name, kind in frame.schema.items() if kind == pl.String and not name.startswith("Metadata_") and name != id_name
    ]
    if texts:
        log.warning("%s: ignored %s holding text: %s%s", source, count(len(texts), "column"), some(texts), _word_in(frame, texts))
    who = _who(frame, source, id_name, ids)
    return replace(_finish(_matrix(frame, names), who, tuple(names), source, ids, repeated), dropped=tuple(dropped))


def _word_in(frame: pl.DataFrame, names: Sequence[str]) -> str:
    """Return the first entry that is no number of the first column that has numbers otherwise, and its row; empty if none."""
    for name in names:
        text, number = frame[name].cast(pl.String), frame[name].cast(pl.Float64, strict=False)
        words = (number.is_null() & text.is_not_null()).arg_true()
        if 0 < len(words) < len(text) - text.null_count():
            return f"; {name} of row {words[0] + 1} is {text[words[0]]!r}"
    return ""


def _matrix(frame: pl.DataFrame, names: Sequence[str]) -> np.ndarray:
    """Return the columns as float32 [M, F]; null becomes NaN, and what float32 cannot hold infinite."""
    features_MF = np.empty((len(frame), len(names)), dtype=np.float32)
    with np.errstate(over="ignore"):
        for start in range(0, len(names), _TOGETHER):
            some = [_column(frame.get_column(name)) for name in names[start : start + _TOGETHER]]
            features_MF[:, start : start + len(some)] = np.stack(some, axis=1)
    return features_MF


def _column(column: pl.Series) -> np.ndarray:
    """Return a column of numbers; float32 without a copy."""
    whole = column.dtype == pl.Float32 and not column.null_count()
    return (column if whole else column.cast(pl.Float64)).to_numpy()


def _finish(
    features_MF: np.ndarray, who: pd.DataFrame, names: tuple[str, ...], source: str, ids: pd.DataFrame | None,
    repeated: bool = False,
) -> Features:  # fmt: skip
    """Check that features are finite and, unless `repeated`, each well occurs once; take the rows of `ids`."""
    for start in range(0, features_MF.shape[1], _CHUNK):
        bad = np.argwhere(~np.isfinite(features_MF[:, start : start + _CHUNK]))
        if len(bad):
            row, column = bad[0][0], names[start + bad[0][1]]
            value = features_MF[row, start + bad[0][1]]
            well = f"{who[PLATE].iloc[row]} {who[WELL].iloc[row]}"
            raise KitError(
                f"{source}: {column} of row {row + 1} ({well}) is {value}; every feature must be a finite float32 number; "
                "kit profile --from --drop-missing leaves such features out"
            )
    twice = who[who.duplicated([PLATE, WELL])]
    if len(twice) and ids is None and not repeated:
        raise KitError(f"{source}: plate {twice[PLATE].iloc[0]} well {twice[WELL].iloc[0]} appears in more than one row{_MERGE}")
    if ids is not None:
        rows = rows_of_ids(who, ids, source)
        features_MF, who = features_MF[rows], who.iloc[rows].reset_index(drop=True)
    return Features(features_MF, who, names, source)


def rows_of_ids(who: pd.DataFrame, ids: pd.DataFrame, source: str) -> np.ndarray:
    """Return which row of `who` (a row per well) each ID is.

    Raises:
        KitError: an ID whose well has no row, or has two.
    """
    wells = pd.MultiIndex.from_frame(who[[PLATE, WELL]])
    wanted = pd.MultiIndex.from_frame(ids[[PLATE, WELL]])
    twice = wells[wells.duplicated()].intersection(wanted)
    if len(twice):
        raise KitError(f"{source}: plate {twice[0][0]} well {twice[0][1]} appears in more than one row{_MERGE}")
    rows = wells.drop_duplicates().get_indexer(wanted) if not wells.is_unique else wells.get_indexer(wanted)
    lacking = np.flatnonzero(rows < 0)
    if len(lacking):
        first = ids.iloc[lacking[0]]
        more = f" ({len(lacking)} of {len(ids)} IDs have none)" if len(lacking) > 1 else ""
        raise KitError(f"ID {first['ID']}, plate {first[PLATE]} well {first[WELL]}, has no row in {source}{more}")
    return rows


def feature_files(path: Path) -> list[Path]:
    """Return the file itself, or the feature files of a folder by name.

    Raises:
        UsageError: no such file or folder. KitError: no kind of file that holds features.
    """
    if path.is_dir():
        found = sorted(file for file in path.iterdir() if not file.name.startswith(".") and _kind(file))
        if not found:
            raise KitError(f"{path} has no .parquet, .csv, .csv.gz or .h5ad file")
        return found
    existing_file(path)
    if not _kind(path):
        raise KitError(f"{path}: need a .parquet, .csv, .csv.gz or .h5ad file, or a folder of them")
    return [path]


def _kind(path: Path) -> str | None:
    name = path.name.lower()
    if is_h5ad(path):
        return "h5ad"
    return "parquet" if name.endswith(".parquet") else "csv" if name.endswith((".csv", ".csv.gz")) else None


def _read(path: Path) -> pl.DataFrame:
    """Read one file: Metadata_ and ID columns as text, the others as they are."""
    if is_h5ad(path):
        who, features_MF, names = read_h5ad(path)
        return pl.from_pandas(who).hstack(pl.from_numpy(features_MF, schema=list(names), orient="row"))
    frame = read_csv(path, _is_text, pl.Float32) if _kind(path) == "csv" else _read_parquet(path)
    frame = frame.drop([name for name in frame.columns if re.fullmatch(r"__index_level_\d+__", name)])  # pandas' row index
    empty = [name for name in frame.columns if not _is_text(name) and frame[name].null_count() == len(frame)]
    return frame.with_columns(pl.col(empty).cast(pl.Float64))  # the same column may hold numbers in the next file


def _read_parquet(path: Path) -> pl.DataFrame:
    try:
        return pl.read_parquet(path)
    except polars.exceptions.PolarsError as error:
        raise KitError(f"{path} cannot be read as parquet: {str(error).splitlines()[0]}") from error


def _is_text(name: str) -> bool:
    return name.startswith("Metadata_") or name.upper() == "ID"


def _shared(paths: list[Path], frames: list[pl.DataFrame]) -> list[pl.DataFrame]:
    """Return the frames with those of their feature columns that all of them have."""
    everywhere = set(frames[0].columns).intersection(*(frame.columns for frame in frames[1:]))
    if not any(name for name in everywhere if not _is_text(name)):
        raise KitError(f"{some([path.name for path in paths], 2)} have no feature column in common")
    return [frame.select([name for name in frame.columns if _is_text(name) or name in everywhere]) for frame in frames]


def _concat(paths: list[Path], frames: list[pl.DataFrame]) -> pl.DataFrame:
    """Return the rows of all files under the columns they share, if they have the same feature columns."""
    first = {name for name in frames[0].columns if not name.startswith("Metadata_")}
    for path, frame in zip(paths[1:], frames[1:], strict=True):
        here = {name for name in frame.columns if not name.startswith("Metadata_")}
        if here != first:
            name = sorted(here ^ first)[0]
            raise KitError(
                f"{name} is a column in only one of {paths[0].name} and {path.name}: "
                "files of a folder, and those scored --together, are one feature set"
            )
    return frames[0] if len(frames) == 1 else pl.concat(frames, how="diagonal_relaxed")


def _uses_well_position(facts: list[dict[str, Any]]) -> bool | None:
    """Return what the files record; None if one says nothing and none says yes."""
    said = [record.get("uses_well_position") for record in facts]
    return True if True in said else None if None in said else False


def _recorded(paths: list[Path], facts: list[dict[str, Any]]) -> dict[str, str]:
    """Return the perturbation and control that the files record.

    Raises:
        UsageError: two files record different columns.
    """
    said = {
        path: record["labels"] for path, record in zip(paths, facts, strict=True) if record.get("labels", {}).get("perturbation")
    }
    columns = {labels["perturbation"]: path for path, labels in reversed(said.items())}
    if len(columns) > 1:
        names = [f"{path.name} is labelled by {column.removeprefix('Metadata_')}" for column, path in columns.items()]
        raise KitError(f"{' and '.join(names[:2])}: files that are one feature set need one column")
    controls = sorted({labels.get("control", "") for labels in said.values()} - {""})
    return {"perturbation": next(iter(columns)), "control": " or ".join(controls)} if columns else {}


def _id_column(frame: pl.DataFrame, ids: pd.DataFrame | None) -> str | None:
    names = ([ids.attrs.get("id_column")] if ids is not None else []) + ["ID", "Id", "id"]
    return next((name for name in names if name in frame.columns), None)


def _who(frame: pl.DataFrame, source: str, id_name: str | None, ids: pd.DataFrame | None) -> pd.DataFrame:
    if PLATE in frame.columns and WELL in frame.columns:
        names = [name for name in frame.columns if name.startswith("Metadata_")]
        who = frame.select(names).with_columns(pl.col(PLATE, WELL).cast(pl.String)).to_pandas()
        if who[[PLATE, WELL]].isna().any(axis=None):
            raise KitError(f"{source}: row {int(who[[PLATE, WELL]].isna().any(axis=1).argmax()) + 1} has no {PLATE} or {WELL}")
        return who.assign(**{WELL: normalise_wells(who[WELL], source)})
    if ids is None or id_name is None:
        raise UsageError(f"{source} has no columns {PLATE} and {WELL}: add --ids, which gives the plate and well of each ID")
    return who_by_id(frame[id_name].cast(pl.String).to_pandas(), source, ids)


def who_by_id(file_ids: pd.Series, source: str, ids: pd.DataFrame) -> pd.DataFrame:
    """Return Metadata_Plate and Metadata_Well of each row of a file that has only IDs."""
    twice = file_ids[file_ids.duplicated()]
    if len(twice):
        raise KitError(f"{source}: ID {twice.iloc[0]} appears in more than one row")
    rows = pd.Index(ids["ID"]).get_indexer(file_ids)
    if (rows < 0).any():
        raise KitError(f"{source}: ID {file_ids[rows < 0].iloc[0]} is not in the ID table")
    return ids[[PLATE, WELL]].iloc[rows].reset_index(drop=True)
