"""The features of embedded runs: which columns and plates there are, and one plate's sites read. N sites, D features."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from kit.errors import KitError, UsageError
from kit.profiles.runs import existing_run
from kit.profiles.table import PLATE, SITE, WELL, open_parquet
from kit.words import nearest, some, typed

if TYPE_CHECKING:
    from kit.images.store.work import Work


PARTS = ("cls", "patch", "patch_sd")  # of a site's vector: class token, mean and SD of the patch tokens


@dataclass(frozen=True, slots=True)
class EmbeddedRun:
    """An embedded run: its facts, the feature columns of each wanted part, and its file of each plate."""

    name: str
    facts: dict
    columns: dict[str, list[str]]
    files: dict[str, Path]

    @property
    def width(self) -> int:
        """D, the length of a site's vector."""
        return sum(len(names) for names in self.columns.values())

    def wells(self, plates: Sequence[str]) -> pd.DataFrame:
        """Return Metadata_Plate and Metadata_Well of every site of those of the plates that the run has."""
        files = [self.files[plate] for plate in plates if plate in self.files]
        return pd.concat([open_parquet(path).read(columns=[PLATE, WELL]).to_pandas() for path in files])

    def read(self, plate: str) -> tuple[np.ndarray, pd.DataFrame]:
        """Return the site vectors of a plate, float32 [N, D], and Metadata_Plate, Metadata_Well, Metadata_Site of each.

        Raises:
            KitError: a number that is not finite.
        """
        path, names = self.files[plate], [name for part in self.columns.values() for name in part]
        table = open_parquet(path).read(columns=[PLATE, WELL, SITE, *names])
        features_ND = np.stack([table.column(name).to_numpy() for name in names], axis=1)
        bad = np.argwhere(~np.isfinite(features_ND))
        who = table.select([PLATE, WELL, SITE]).to_pandas()
        if len(bad):
            row, column = bad[0]
            site = who.iloc[row]
            raise KitError(
                f"{path}: {names[column]} of plate {site[PLATE]} well {site[WELL]} site {site[SITE]} is not a finite number"
            )
        return features_ND, who


def open_runs(work: "Work", runs: Sequence[str], parts: Sequence[str]) -> list[EmbeddedRun]:
    """Return the runs with the columns of their parts.

    Raises:
        UsageError: a run twice or none, a part that nothing has. KitError: a run without features, or without a part.
    """
    if not runs or len(set(runs)) != len(runs):
        raise UsageError(f"--run {','.join(runs)}: need at least one run, and each only once")
    if not parts or len(set(parts)) != len(parts):
        raise UsageError(f"--parts {','.join(parts)}: give one or more of {', '.join(PARTS)}, each once")
    return [_open_run(work, run, parts) for run in runs]


def common_plates(runs: Sequence[EmbeddedRun], named: Sequence[str] = ()) -> list[str]:
    """Return the plates that every run has, or those of them that are named.

    Raises:
        UsageError: a run does not have a plate that is named.
    """
    for plate in named:
        for run in runs:
            if plate not in run.files:
                there = f"{nearest(plate, run.files)}; it has {some(list(run.files))}"
                raise UsageError(f"--plates {plate}: run {run.name} has no features of this plate{there}")
    return [plate for plate in runs[0].files if all(plate in run.files for run in runs) and (not named or plate in named)]


def read_side_by_side(runs: Sequence[EmbeddedRun], plate: str) -> tuple[np.ndarray, pd.DataFrame, int]:
    """Return a plate's sites that every run has, their vectors run after run, and how many other sites there are."""
    read = [run.read(plate) for run in runs]
    keys = [pd.MultiIndex.from_frame(who) for _, who in read]
    every = keys[0]
    for key in keys[1:]:
        every = every.intersection(key, sort=False)
    features_ND = np.hstack([features_ND[key.get_indexer(every)] for (features_ND, _), key in zip(read, keys, strict=True)])
    others = len(keys[0].append(keys[1:]).unique()) - len(every)
    return features_ND, every.to_frame(index=False), others


def _open_run(work: "Work", run: str, parts: Sequence[str]) -> EmbeddedRun:
    folder = existing_run(work, run) / "features"
    facts = run_facts(work, run)
    files = {path.stem: path for path in sorted(folder.glob("*.parquet"))}
    return EmbeddedRun(run, facts, _part_columns(facts, parts, run), files)


def run_facts(work: "Work", run: str) -> dict:
    """Return what a run's features.json says of its features.

    Raises:
        KitError: the run has no features, or the file is damaged.
    """
    folder = work.run_folder(run) / "features"
    path = folder / "features.json"
    if not path.is_file() or not any(folder.glob("*.parquet")):
        raise KitError(f"run {run} has no features: make them with kit embed --work {typed(work.path)} --run {run}")
    try:
        return json.loads(path.read_text())
    except ValueError as error:
        raise KitError(
            f"{path} is damaged ({error}); make the features again with kit embed --work {typed(work.path)} --run {run}"
        ) from error


def _part_columns(facts: dict, parts: Sequence[str], run: str) -> dict[str, list[str]]:
    """Return the columns of each requested part; a run with a single part (an intensity baseline) gives that for any."""
    spans = facts["parts"]
    unknown = [part for part in parts if part not in PARTS]
    if unknown:
        raise UsageError(f"--parts {','.join(parts)}: no part {unknown[0]!r}; available: {', '.join(PARTS)}")
    wanted = list(spans) if len(spans) == 1 else list(parts)
    lacking = [part for part in wanted if part not in spans]
    if lacking:
        raise KitError(f"run {run} has no part {lacking[0]}; it has {', '.join(spans)}: embed it again")
    return {part: [f"f{index:04d}" for index in range(*spans[part])] for part in wanted}
