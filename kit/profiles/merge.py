"""Runs -> one row per well, before or after the steps that are fitted on sites. M wells, B blocks, D features of a site."""

import logging
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from kit.errors import KitError
from kit.profiles.embedded import EmbeddedRun, common_plates, open_runs, read_side_by_side
from kit.profiles.merging import Merging, choose_merging
from kit.profiles.places import field_positions
from kit.profiles.post_processing import PostProcessing
from kit.profiles.table import PLATE, SITE, WELL, Profiles
from kit.profiles.wells import Layout, average_sites, merge_sites, place_sites
from kit.profiles.whiten_sites import SiteSteps, fit_site_steps

if TYPE_CHECKING:
    from kit.images.store.work import Work

log = logging.getLogger(__name__)


def merge_runs(
    work: "Work",
    runs: Sequence[str],
    *,
    parts: Sequence[str],
    sites: str | None = None,
    order: str = "file",
    merge: str | None = None,
    plates: Sequence[str] = (),
    on_sites: PostProcessing | None = None,
) -> Profiles:
    """Return one row per well of the plates embedded in every run; arguments as `profile.profile`.

    on_sites: steps that are done to the sites before they are merged, see `whiten_sites`; None leaves them as they are.
    """
    embedded = open_runs(work, runs, parts)
    chosen = common_plates(embedded, plates)
    rows = work.sites[work.sites[PLATE].isin(chosen)]
    fields = field_positions(rows)
    merging = choose_merging(fields, merge, sites, order)
    layout = None if merging.sites == "all" else place_sites(rows, merging.sites, order)
    fitted: tuple[dict, ...] = ()
    facts: dict = {"plates": chosen} if plates else {}
    if on_sites is None:
        merged = [_merge([run], _read(run, chosen), layout, merging.how) for run in embedded] if chosen else []
    else:
        joined = _JoinedSites(work, embedded, chosen)
        ready = fit_site_steps(joined.plates(), on_sites)
        fitted, facts = ready.steps, {**facts, "sites_not_in_every_run": joined.others}
        merged = [_merge(embedded, joined.transformed(ready), layout, merging.how)]
    wells = merged[0].wells if merged else pd.DataFrame(columns=[PLATE, WELL])
    for other in merged[1:]:
        wells = wells.merge(other.wells, on=[PLATE, WELL])
    if wells.empty:
        raise KitError(f"the runs {', '.join(runs)} have no well in common")
    every_well = pd.concat([run.wells(chosen if plates else list(run.files)) for run in embedded])
    dropped = len(every_well.drop_duplicates()) - len(wells)
    if dropped:
        log.warning("%d wells are not in every run and are left out", dropped)
    return Profiles(
        features_MF=np.hstack([run_MF[_rows(some.wells, wells)] for some in merged for run_MF in some.features]),
        who=_labelled(wells, work),
        names=tuple(name for some in merged for name in some.names),
        steps=(
            {"step": "parts", "parts": list(parts)},
            {"step": "runs", "runs": {run.name: run.facts for run in embedded}, "wells_not_in_every_run": dropped, **facts},
            *fitted,
            _merge_step(merging, layout, fields, merged),
        ),
        labels=work.labels,
    )


@dataclass(slots=True)
class _JoinedSites:
    """The sites of all runs side by side, plate by plate. others: how many sites are not in every run, once they were read."""

    work: "Work"
    runs: Sequence[EmbeddedRun]
    chosen: Sequence[str]
    others: int = 0

    def plates(self) -> Iterator[Profiles]:
        self.others = 0
        for plate in self.chosen:
            features_ND, who, others = read_side_by_side(self.runs, plate)
            self.others += others
            if len(who):
                names = tuple(name for run in self.runs for name in _names(run, ["site"]))
                yield Profiles(features_MF=features_ND, who=_labelled(who, self.work), names=names, labels=self.work.labels)

    def transformed(self, steps: SiteSteps) -> Iterator[tuple[str, np.ndarray, pd.DataFrame]]:
        for sites in self.plates():
            yield sites.who[PLATE].iloc[0], steps(sites), sites.who[[PLATE, WELL, SITE]]
        if self.others:
            log.warning("%d sites are not in every run and are left out", self.others)


@dataclass(frozen=True, slots=True)
class _Merged:
    """Profiles of one run, or of several whose sites were side by side.

    features: float32 [M, B D] of each run. sites_a_well: least and most. filled: slots without a site; missing: those of them
    that other wells have.
    """

    runs: tuple[str, ...]
    features: list[np.ndarray]
    names: tuple[str, ...]
    wells: pd.DataFrame
    sites_a_well: tuple[int, int]
    filled: int
    missing: int


def _read(run: EmbeddedRun, plates: Sequence[str]) -> Iterator[tuple[str, np.ndarray, pd.DataFrame]]:
    for plate in plates:
        yield plate, *run.read(plate)


def _merge(
    runs: Sequence[EmbeddedRun],
    plates: Iterable[tuple[str, np.ndarray, pd.DataFrame]],
    layout: Layout | None,
    how: str,
) -> _Merged:
    """Place and merge the sites of one run or several, plate by plate: all sites of 24 plates are never in memory at once."""
    vectors, wells, counts, filled, missing = [], [], [], 0, 0
    for plate, features_ND, who in plates:
        merged = average_sites(features_ND, who) if layout is None else merge_sites(features_ND, who, layout)
        vectors.append(merged.vectors_MBD.mean(axis=1)[:, None] if how == "mean" else merged.vectors_MBD)
        wells.append(merged.wells)
        counts += who.groupby(WELL).size().tolist()
        filled += merged.filled
        imaged, of = layout.imaged(plate) if layout else (0, 0)
        missing += merged.filled - (of - imaged) * len(merged.wells)
    vectors_MBD = np.concatenate(vectors)
    ends = np.cumsum([run.width for run in runs])
    blocks = ["mean"] if how == "mean" else [f"s{slot}" for slot in range(1, 10)]
    return _Merged(
        runs=tuple(run.name for run in runs),
        features=[run_MBD.reshape(len(run_MBD), -1) for run_MBD in np.split(vectors_MBD, ends[:-1], axis=2)],
        names=tuple(name for run in runs for name in _names(run, blocks)),
        wells=pd.concat(wells, ignore_index=True),
        sites_a_well=(min(counts), max(counts)),
        filled=filled,
        missing=missing,
    )


def _merge_step(merging: Merging, layout: Layout | None, fields: pd.DataFrame, merged: Sequence[_Merged]) -> dict:
    """Return the record of the merging; `merge_text.merge_lines` says it to people."""
    step = {"step": "merge", "how": merging.how, "sites": merging.sites, "order": merging.order}
    if merging.why:
        step["why"] = merging.why
    if layout is None:
        least, most = zip(*(some.sites_a_well for some in merged), strict=True)
        return {**step, "sites_a_well": [min(least), max(most)]}
    imaged = {plate: layout.imaged(plate) for plate in layout.slots}
    return {
        **step,
        "left_out": layout.left_out(fields),
        "positions_imaged": {plate: list(found) for plate, found in imaged.items() if found[0] < found[1]},
        "missing_sites": "mean of the well",
        "sites_missing": {run: some.missing for some in merged for run in some.runs},
        "slots_filled": {run: some.filled for some in merged for run in some.runs},
    }


def _names(run: EmbeddedRun, blocks: Sequence[str]) -> list[str]:
    cells = [(part, index) for part in run.columns for index in range(len(run.columns[part]))]
    return [f"{run.name}_{block}_{part}_{index}" for block in blocks for part, index in cells]


def _labelled(rows: pd.DataFrame, work: "Work") -> pd.DataFrame:
    """Return wells, or sites, with what is known of their well."""
    return rows.merge(work.wells.filter(like="Metadata_"), on=[PLATE, WELL], how="left", validate="many_to_one")


def _rows(wells: pd.DataFrame, wanted: pd.DataFrame) -> np.ndarray:
    index = pd.MultiIndex.from_frame(wells)
    return index.get_indexer(pd.MultiIndex.from_frame(wanted))
