"""CHAMMI-75's JUMP-CP benchmark on any features: how many compounds differ from DMSO on seven U2OS plates, and how clearly.

As its authors run it: a compound's replicates on all plates against the DMSO wells of the query's plate, by cosine; 100,000
random orders for each kind of query, one null shared by like queries; Benjamini-Hochberg at .05; features with a gap left out.
Its mean mAP counts compounds that are not active as 0.
Source: CHAMMI-75 (arXiv:2512.20833).
"""

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from kit.challenge.columns import SAMPLE, Tables, columns_of, read_tables
from kit.challenge.features import Features, read_features
from kit.errors import KitError, UsageError
from kit.measures.activity import activity
from kit.measures.null import NullRule
from kit.measures.retrieval import Rule, retrieve
from kit.neighbours import Gram
from kit.profiles.table import PLATE
from kit.words import count, some

PLATES = ("BR00117010", "BR00117011", "BR00117012", "BR00117013", "BR00117024", "BR00117025", "BR00117026")
WELLS = 320  # treated wells of a plate
PUBLISHED = {"CellProfiler": {"active": 0.817, "map_of_active": 0.587}}  # on all seven plates
DRAWS = 100_000


def jumpcp(
    files: Sequence[Path], metadata: Path | None = None, *, null: str = "shared", draws: int = DRAWS, seed: int = 0
) -> dict[str, Any]:
    """Return the benchmark's numbers for a feature set.

    Keys: active (share of compounds), map_of_active (mean mAP, compounds that are not active as 0), map (mean mAP of all),
    compounds, wells (that were ranked), controls, plates, missing, features, dropped (their number), null, comparable, why_not.

    Args:
        files: features with Metadata_Plate and Metadata_Well, a file or several, or a folder; wells of other plates are left out.
        metadata: folder of the official tables; without it the files' own Metadata_broad_sample says what is in a well.
        null, draws, seed: see `NullRule`.

    Raises:
        UsageError: no such file, no column of compounds, a bad rule. KitError: features that cannot be used, none of the
            benchmark's plates, no DMSO well or replicate on them.
    """
    rule = Rule(null=NullRule(queries=null, draws=draws, seed=seed, beyond=draws > 0))
    features = read_features(list(files), drop=np.isnan)
    wells = _wells(features, read_tables(metadata, None))
    is_control_M = wells["sample"].to_numpy() == ""
    between = partial(Gram.of(features.features_MF[wells.index]).distances, metric="cosine")
    queries = activity(between, wells["sample"].to_numpy(dtype=str), wells[PLATE].to_numpy(dtype=str), is_control_M)
    if queries.empty:
        lacks = "no DMSO well" if not is_control_M.any() else "no compound in two wells beside DMSO wells"
        raise KitError(f"{features.called}: {lacks} on {some(sorted(wells[PLATE].unique()))}: activity cannot be measured")
    means = retrieve(queries, rule)
    active = means["mean_average_precision"].where(means["retrieved"], 0.0)
    missing = [plate for plate in PLATES if plate not in set(wells[PLATE])]
    why_not = _why_not_comparable(wells, missing)
    return {
        "benchmark": "jumpcp",
        "active": float(means["retrieved"].mean()),
        "map_of_active": float(active.mean()),
        "map": float(means["mean_average_precision"].mean()),
        "compounds": len(means),
        "wells": len(queries),
        "controls": int(is_control_M.sum()),
        "plates": sorted(wells[PLATE].unique()),
        "missing": missing,
        "features": len(features.names),
        "dropped": len(features.dropped),
        "null": rule.null.text(),
        "comparable": not why_not,
        "why_not": why_not,
    }


def jumpcp_text(result: dict[str, Any]) -> str:
    """Return the benchmark's numbers beside the published ones, or why they cannot stand there."""
    row = "{:<24} {:>15} {:>9}".format
    of_plates = WELLS * len(result["plates"])
    lines = [
        row("JUMP-CP, U2OS", "active fraction", "mean mAP"),
        row("these features", f"{result['active']:.3f}", f"{result['map_of_active']:.3f}"),
        *(
            row(f"{name}, published", f"{own['active']:.3f}", f"{own['map_of_active']:.3f}")
            for name, own in PUBLISHED.items()
            if result["comparable"]
        ),
        f"{count(len(result['plates']), 'plate')}, {result['compounds']} compounds, {result['wells']:,} of {of_plates:,} wells, "
        f"{result['controls']} DMSO wells, {count(result['features'], 'feature')}"
        + (f" ({result['dropped']} with a gap left out)" if result["dropped"] else ""),
        f"mean mAP: compounds that are not active count as 0; of all compounds as they are {result['map']:.3f}",
        f"p {result['null']}; false discovery rate 0.05",
    ]
    if not result["comparable"]:
        lines.append(f"not comparable with published numbers: {result['why_not']}")
    return "\n".join(lines)


def _wells(features: Features, tables: Tables) -> pd.DataFrame:
    """Return plate and sample ("" is DMSO) of the benchmark's wells, by row of the features."""
    here = features.who[PLATE].isin(PLATES)
    if not here.any():
        raise KitError(f"{features.called} has none of the benchmark's plates, {some(PLATES, 7)}: it has {_plates(features)}")
    who = features.who[here]
    columns = columns_of(who.reset_index(drop=True), tables, features.called)
    if not columns.has(SAMPLE):
        raise UsageError(f"{features.called} has no column {SAMPLE}: give --metadata DIR, the folder of the official tables")
    columns.check(set(), np.zeros(len(who), dtype=bool))
    return pd.DataFrame(
        {PLATE: who[PLATE].to_numpy(dtype=str), "sample": columns.text(SAMPLE).to_numpy()}, index=who.index
    ).replace({"sample": {"DMSO": ""}})


def _plates(features: Features) -> str:
    return some(sorted(features.who[PLATE].astype(str).unique()))


def _why_not_comparable(wells: pd.DataFrame, missing: list[str]) -> str:
    if missing:
        have = len(PLATES) - len(missing)
        return f"{have} of {len(PLATES)} plates; {some(missing, 7)} {'is' if len(missing) == 1 else 'are'} missing"
    bare = sorted(set(wells[PLATE]) - set(wells[PLATE][wells["sample"] == ""]))
    return f"no DMSO well on {some(bare)}" if bare else ""
