"""What alignment makes of noise, of a position artefact, of a signal and of real plates: the tables of docs/scores.md.

    python -m kit.trials.alignment made          # made features on the challenge's plate map
    python -m kit.trials.alignment cellprofiler  # five U2OS plates
    python -m kit.trials.alignment two-lines     # ten numbers of a network, both cell lines

Real data: $KIT_REAL_DATA, or --data. Each table has the null, cross-position accuracy and the position of DMSO wells beside it.
"""

import argparse
import json
import os
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from kit.challenge.columns import SAMPLE
from kit.challenge.from_files import Source, profiles_from
from kit.challenge.score import score
from kit.companions.section import Companions
from kit.errors import UsageError
from kit.files import write_whole
from kit.images.metadata import read_metadata
from kit.profiles.balance import standardise
from kit.profiles.normalise import normalise
from kit.profiles.post_processing import Steps, post_process
from kit.profiles.table import WELL, Profiles
from kit.trials.command import finish

U2OS = ("BR00116995", *(f"BR00117{number:03d}" for number in (10, 11, 12, 13, 24, 25, 26)))
STRENGTHS = (None, 0.9, 0.8, 0.7, 0.6, 0.5)
POST: dict[str, Steps] = {
    "raw": {},
    "centred": {"normalize": "centre"},
    "sphered": {"normalize": "centre", "whiten": "sphere"},
    **{f"aligned {a}": {"normalize": "centre", "whiten": "sphere", "align": a} for a in (0.9, 0.7, 0.5)},
}
CLIP = 20.0  # CellProfiler's features hold single values of thousands
HEADS = (
    "features",
    "direction",
    "metric",
    "k",
    "accuracy",
    "null",
    "95th",
    "cross-position",
    "own kept",
    "DMSO position",
    "plate",
)

Row = dict[str, Any]


def made(data: Path) -> Iterator[Row]:
    """Yield rows of noise, a position artefact and a signal, 384 columns on eight U2OS plates, by alignment's strength."""
    metadata = read_metadata(data / "cpjump1_metadata")
    who = pd.concat([metadata.wells(plate) for plate in sorted(U2OS)], ignore_index=True)
    for name, column, strength in (("noise", SAMPLE, 0.0), ("position artefact", WELL, 0.35), ("signal", SAMPLE, 0.35)):
        profiles = made_profiles(who, column, strength)
        for a in STRENGTHS:
            label = f"{name}, align {'off' if a is None else a}"
            yield from rows(label, post_process(profiles, align=a), data)


def made_profiles(who: pd.DataFrame, column: str, strength: float, features: int = 384) -> Profiles:
    """Return standard normal noise and, times the strength, a normal point for each value of a column."""
    draw = np.random.default_rng(0)
    names, code_M = np.unique(who[column].to_numpy(dtype=str), return_inverse=True)
    features_MF = draw.standard_normal((len(who), features))
    features_MF += strength * draw.standard_normal((len(names), features))[code_M]
    columns = tuple(f"made_s1_cls_{number}" for number in range(features))
    return Profiles(features_MF=features_MF.astype(np.float32), who=who, names=columns)


def cellprofiler(data: Path) -> Iterator[Row]:
    """Yield rows of the five U2OS plates after every post-processing, by both metrics and k = 1, 5, 10."""
    profiles = clipped(data)
    for name, steps in POST.items():
        done = post_process(profiles, **steps)
        for metric in ("cosine", "euclidean"):
            for k in (1, 5, 10):
                yield from rows(name, done, data, metric=metric, k=k)


def clipped(data: Path) -> Profiles:
    """Return CellProfiler's profiles, their features clipped."""
    source = Source(files=(data / "cpjump1_features_cellprofiler",), metadata=data / "cpjump1_metadata", unaligned=True)
    profiles = profiles_from(source)
    return profiles.after(np.clip(profiles.features_MF, -CLIP, CLIP), step="clip", at=CLIP)


def two_lines(data: Path) -> Iterator[Row]:
    """Yield rows of ten cosines of a network's vectors, for all four directions."""
    file = data / "cpjump1_dino_two_lines" / "well_dino_scores.csv.gz"
    profiles = profiles_from(Source(files=(file,), metadata=data / "cpjump1_metadata", unaligned=True))
    keep = [index for index, name in enumerate(profiles.names) if name.startswith("cos_")]
    names = tuple(profiles.names[index] for index in keep)
    cosines = replace(profiles, features_MF=profiles.features_MF[:, keep], names=names)
    for name, done in (
        ("standardized", standardise(cosines, centre=True)),
        ("MAD of the plate's DMSO", normalise(cosines, "mad")),
    ):
        for metric in ("euclidean", "cosine"):
            yield from rows(name, done, data, metric=metric, ties="nearest")


def rows(name: str, profiles: Profiles, data: Path, **rules: Any) -> Iterator[Row]:
    """Yield a row for each direction that has an accuracy; shares, not per cent."""
    found = score(profiles, data / "cpjump1_metadata", sections=(Companions(),), **rules)
    for direction, own in found["directions"].items():
        if own["accuracy"] is not None:
            null, apart, control = (found[key]["directions"][direction] for key in ("null", "cross_position", "dmso_position"))
            yield {
                "features": name, "direction": direction, "metric": found["metric"], "k": found["k"], "accuracy": own["accuracy"],
                "null": null["value"], "95th": null["p95"], "cross-position": apart["value"],
                "own kept": apart.get("own_position_kept"), "DMSO position": control["value"],
                "plate": found["plate"]["groups"][direction.split("->")[1]]["value"],
                "verdict": found["verdict"]["directions"][direction]["value"],
            }  # fmt: skip


def table(found: list[Row]) -> str:
    """Return rows as a Markdown table in per cent; columns that say the same throughout are left out."""
    same = {head for head in ("direction", "metric", "k") if len({row[head] for row in found}) == 1}
    heads = [head for head in (*HEADS, "verdict") if head not in same]
    lines = ["| " + " | ".join(heads) + " |", "|" + "---|" * len(heads)]
    lines += ["| " + " | ".join(_text(row[head]) for head in heads) + " |" for row in found]
    return "\n".join(lines)


def _text(value: Any) -> str:
    return "-" if value is None else f"{100 * value:.1f}" if isinstance(value, float) else str(value)


TABLES: dict[str, Callable[[Path], Iterator[Row]]] = {"made": made, "cellprofiler": cellprofiler, "two-lines": two_lines}


def main(name: str, data: Path | None, out: Path | None) -> str:
    """Return a table as text; `out` also keeps its rows, as JSON.

    Raises:
        UsageError: no folder of real data is known.
    """
    if data is None:
        raise UsageError("--data DIR: the folder with cpjump1_metadata, or set KIT_REAL_DATA")
    found = list(TABLES[name](data))
    if out is not None:
        write_whole(out, "[" + ",\n".join(map(json.dumps, found)) + "]\n")
    return table(found)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m kit.trials.alignment", description=__doc__)
    parser.add_argument("table", choices=list(TABLES))
    parser.add_argument("--data", type=Path, default=os.environ.get("KIT_REAL_DATA"))
    parser.add_argument("--out", type=Path, help="also keep the numbers here, as JSON")
    options = parser.parse_args()
    finish(lambda: main(options.table, options.data and Path(options.data), options.out))
