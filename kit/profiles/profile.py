"""Runs -> one profile per well: post-processing in a fixed order, each step recorded in the output file.

Parts, runs, merge, normalize, whiten, align, l2. M wells, F features.
"""

import json
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypedDict

import numpy as np
import pandas as pd

from kit.errors import KitError, UsageError
from kit.profiles.align import align as align_plates
from kit.profiles.merging import Merging, choose_merging
from kit.profiles.normalise import l2_normalise, normalise
from kit.profiles.places import field_positions
from kit.profiles.runs import existing_run
from kit.profiles.table import PLATE, SITE, WELL, Profiles, check_name, open_parquet, write_profiles
from kit.profiles.wells import Layout, average_sites, merge_sites, place_sites
from kit.profiles.whiten import whiten as whiten_on_controls

if TYPE_CHECKING:
    from kit.images.store.work import Work

log = logging.getLogger(__name__)


def profile(
    work: "Work",
    runs: Sequence[str],
    out: Path,
    *,
    parts: Sequence[str] = ("cls", "patch"),
    sites: str | None = None,
    order: str = "file",
    merge: str | None = None,
    normalize: str = "none",
    whiten: str = "none",
    controls: str = "labelled",
    align: float | None = None,
    l2: bool = False,
) -> Profiles:
    """Write the profiles of all embedded wells to `out` (.parquet, .csv or .csv.gz) and return them.

    Args:
        runs: names whose features were embedded; their columns are concatenated in this order.
        parts: of every run's site vector, in this order; a part a run lacks is an error unless it has only one.
        merge: `concat`: nine blocks; `mean`: the mean of all sites, or with `sites` that of the nine blocks; None: as suits
            all plates, see `merging.choose_merging`.
        sites, order: see `wells.place_sites`; `sites` is `position` where blocks are made and None is given.
        normalize: see `normalise.normalise`. whiten: see `whiten.whiten`. controls: the wells these two are fitted on, see
            `controls.choose_controls`. align: see `align.align`; None is off.

    Raises:
        KitError: a run without features, sites that cannot be placed, plates without the controls a step needs.
    """
    check_name(Path(out))
    if controls == "all" and normalize == whiten == "none":
        raise UsageError("--controls all says which wells --normalize and --whiten are fitted on: give one of them")
    merged = merge_runs(work, runs, parts=parts, sites=sites, order=order, merge=merge)
    profiles = post_process(merged, normalize=normalize, whiten=whiten, controls=controls, align=align, l2=l2)
    write_profiles(profiles, Path(out))
    return profiles


class Steps(TypedDict, total=False):
    """What `post_process` takes, where a caller holds it as a dict."""

    normalize: str
    whiten: str


def post_process(
    profiles: Profiles,
    *,
    normalize: str = "none",
    whiten: str = "none",
    controls: str = "labelled",
    align: float | None = None,
    l2: bool = False,
) -> Profiles:
    """Return the profiles after the steps that follow merging, in their fixed order."""
    profiles = normalise(profiles, normalize, controls=controls)
    profiles = whiten_on_controls(profiles, whiten, controls=controls)
    if align is not None:
        profiles = align_plates(profiles, align)
    return l2_normalise(profiles) if l2 else profiles


def merge_runs(
    work: "Work",
    runs: Sequence[str],
    *,
    parts: Sequence[str],
    sites: str | None = None,
    order: str = "file",
    merge: str | None = None,
) -> Profiles:
    """Return one row per well of the plates embedded in every run, before any post-processing; arguments as `profile`."""
    if not runs or len(set(runs)) != len(runs):
        raise UsageError(f"--run {','.join(runs)}: need at least one run, and each only once")
    if not parts or len(set(parts)) != len(parts):
        raise UsageError(f"--parts {','.join(parts)}: give cls, patch or both")
    embedded = [_open_run(work, run, parts) for run in runs]
    plates = [plate for plate in embedded[0].files if all(plate in run.files for run in embedded)]
    rows = work.sites[work.sites[PLATE].isin(plates)]
    fields = field_positions(rows)
    merging = choose_merging(fields, merge, sites, order)
    layout = None if merging.sites == "all" else place_sites(rows, merging.sites, order)
    merged = [_merge_run(run, plates, layout, merging.how) for run in embedded] if plates else []
    wells = merged[0].wells if merged else pd.DataFrame(columns=[PLATE, WELL])
    for other in merged[1:]:
        wells = wells.merge(other.wells, on=[PLATE, WELL])
    if wells.empty:
        raise KitError(f"the runs {', '.join(runs)} have no well in common")
    dropped = len(pd.concat([run.every_well() for run in embedded]).drop_duplicates()) - len(wells)
    if dropped:
        log.warning("%d wells are not in every run and are left out", dropped)
    steps = (
        {"step": "parts", "parts": list(parts)},
        {"step": "runs", "runs": {run.name: run.facts for run in embedded}, "wells_not_in_every_run": dropped},
        _merge_step(merging, layout, fields, merged),
    )
    return Profiles(
        features_MF=np.hstack([run.features_MF[_rows(run.wells, wells)] for run in merged]),
        who=wells.merge(work.wells.filter(like="Metadata_"), on=[PLATE, WELL], how="left", validate="one_to_one"),
        names=tuple(name for run in merged for name in run.names),
        steps=steps,
        labels=work.labels,
    )


@dataclass(frozen=True, slots=True)
class _Run:
    """An embedded run: its facts, the feature columns of each wanted part, and its file of each plate."""

    name: str
    facts: dict
    columns: dict[str, list[str]]
    files: dict[str, Path]

    def every_well(self) -> pd.DataFrame:
        """Return Metadata_Plate and Metadata_Well of all wells of all plates."""
        return pd.concat([open_parquet(path).read(columns=[PLATE, WELL]).to_pandas() for path in self.files.values()])


@dataclass(frozen=True, slots=True)
class _Merged:
    """One run's profiles. sites_a_well: least and most. filled: slots without a site; missing: those of them that others have."""

    name: str
    features_MF: np.ndarray
    wells: pd.DataFrame
    names: tuple[str, ...]
    sites_a_well: tuple[int, int]
    filled: int
    missing: int


def _open_run(work: "Work", run: str, parts: Sequence[str]) -> _Run:
    folder = existing_run(work, run) / "features"
    facts = _read_facts(work, run)
    files = {path.stem: path for path in sorted(folder.glob("*.parquet"))}
    return _Run(run, facts, _part_columns(facts, parts, run), files)


def _merge_run(run: _Run, plates: Sequence[str], layout: Layout | None, how: str) -> _Merged:
    """Place and merge the sites of one run, plate by plate: all sites of 24 plates are never in memory at once."""
    vectors, wells, counts, filled, missing = [], [], [], 0, 0
    for plate in plates:
        features_ND, who = _read_features(run.files[plate], run.columns)
        merged = average_sites(features_ND, who) if layout is None else merge_sites(features_ND, who, layout)
        vectors.append(merged.vectors_MBD.mean(axis=1)[:, None] if how == "mean" else merged.vectors_MBD)
        wells.append(merged.wells)
        counts += who.groupby(WELL).size().tolist()
        filled += merged.filled
        imaged, of = layout.imaged(plate) if layout else (0, 0)
        missing += merged.filled - (of - imaged) * len(merged.wells)
    blocks = ["mean"] if how == "mean" else [f"s{slot}" for slot in range(1, 10)]
    cells = [(part, index) for part in run.columns for index in range(len(run.columns[part]))]
    names = tuple(f"{run.name}_{block}_{part}_{index}" for block in blocks for part, index in cells)
    features_MF = np.concatenate(vectors).reshape(-1, len(names))
    return _Merged(run.name, features_MF, pd.concat(wells, ignore_index=True), names, (min(counts), max(counts)), filled, missing)


def _merge_step(merging: Merging, layout: Layout | None, fields: pd.DataFrame, merged: Sequence[_Merged]) -> dict:
    """Return the record of the merging; `merge_text.merge_lines` says it to people."""
    step = {"step": "merge", "how": merging.how, "sites": merging.sites, "order": merging.order}
    if merging.why:
        step["why"] = merging.why
    if layout is None:
        least, most = zip(*(run.sites_a_well for run in merged), strict=True)
        return {**step, "sites_a_well": [min(least), max(most)]}
    imaged = {plate: layout.imaged(plate) for plate in layout.slots}
    return {
        **step,
        "left_out": layout.left_out(fields),
        "positions_imaged": {plate: list(found) for plate, found in imaged.items() if found[0] < found[1]},
        "missing_sites": "mean of the well",
        "sites_missing": {run.name: run.missing for run in merged},
        "slots_filled": {run.name: run.filled for run in merged},
    }


def _read_facts(work: "Work", run: str) -> dict:
    folder = work.run_folder(run) / "features"
    path = folder / "features.json"
    if not path.is_file() or not any(folder.glob("*.parquet")):
        raise KitError(f"run {run} has no features: make them with kit embed --work {work.path} --run {run}")
    try:
        return json.loads(path.read_text())
    except ValueError as error:
        raise KitError(f"{path} is damaged ({error}); make the features again with kit embed --run {run}") from error


def _part_columns(facts: dict, parts: Sequence[str], run: str) -> dict[str, list[str]]:
    """Return the columns of each requested part; a run with a single part (an intensity baseline) gives that for any."""
    spans = facts["parts"]
    unknown = [part for part in parts if part not in ("cls", "patch")]
    if unknown:
        raise UsageError(f"--parts {','.join(parts)}: no part {unknown[0]!r}; available: cls and patch")
    wanted = list(spans) if len(spans) == 1 else list(parts)
    lacking = [part for part in wanted if part not in spans]
    if lacking:
        raise KitError(f"run {run} has no part {lacking[0]}; it has {', '.join(spans)}")
    return {part: [f"f{index:04d}" for index in range(*spans[part])] for part in wanted}


def _read_features(path: Path, columns: dict[str, list[str]]) -> tuple[np.ndarray, pd.DataFrame]:
    names = [name for part in columns.values() for name in part]
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


def _rows(wells: pd.DataFrame, wanted: pd.DataFrame) -> np.ndarray:
    index = pd.MultiIndex.from_frame(wells)
    return index.get_indexer(pd.MultiIndex.from_frame(wanted))
