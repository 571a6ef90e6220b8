"""Time and memory of mAP beside copairs: phenotypic activity of made wells in the layout of the challenge's plates.

    python -m kit.bench.measures [--plates 24] [--features 904] [--rival]

A plate has 64 controls and 320 treated wells of 306 compounds. Each case runs in a process of its own: CPU and wall seconds from
features in memory to compounds retrieved, and the peak resident memory (VmHWM) beyond what the process held with its features and
libraries loaded. With --rival copairs runs too, as its own example does: its default batch, and 100,000 draws a null.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from kit.bench.resident import status_bytes
from kit.measures.activity import activity
from kit.measures.null import NullRule
from kit.measures.retrieval import Rule, retrieve
from kit.neighbours import Gram

Case = dict[str, Any]
_CONTROLS, _COMPOUNDS, _TWICE = 64, 306, 14


def made_wells(plates: int, features: int) -> tuple[np.ndarray, pd.DataFrame]:
    """Return float32 [M, F], and sample ("" is a control) and plate of each well; compounds differ in how strong they are."""
    rng = np.random.default_rng(0)
    layout = np.concatenate([np.zeros(_CONTROLS, int), np.arange(1, _COMPOUNDS + 1), np.arange(1, _TWICE + 1)])
    compound = np.tile(layout, plates)
    away_CF = rng.standard_normal((_COMPOUNDS + 1, features), dtype=np.float32) * np.linspace(0, 0.5, _COMPOUNDS + 1)[:, None]
    features_MF = rng.standard_normal((len(compound), features), dtype=np.float32)
    features_MF += away_CF[compound]
    sample = np.where(compound > 0, np.char.add("c", compound.astype(str)), "")
    return features_MF, pd.DataFrame(
        {"sample": sample, "plate": np.repeat([f"P{plate:02d}" for plate in range(plates)], len(layout))}
    )


def ours(features_MF: np.ndarray, who: pd.DataFrame) -> list[Case]:
    """Run kit; two measurements."""
    first = _measured(lambda: Gram.of(features_MF))
    gram = first.pop("made")
    sample, plate = who["sample"].to_numpy(dtype=str), who["plate"].to_numpy(dtype=str)

    def retrieved() -> pd.DataFrame:
        return retrieve(activity(partial(gram.distances, metric="cosine"), sample, plate, sample == ""), Rule(null=NullRule()))

    return [
        {"name": "kit: products of all wells, as kit score makes them", **first},
        _named("kit: from these to retrieved", retrieved),
    ]


def theirs(features_MF: np.ndarray, who: pd.DataFrame) -> list[Case]:
    """Run copairs; one measurement."""
    from copairs import map as copairs
    from copairs.matching import assign_reference_index

    who = assign_reference_index(who.replace({"sample": {"": "DMSO"}}), "sample == 'DMSO'", reference_col="ref", default_value=-1)

    def retrieved() -> pd.DataFrame:
        queries = copairs.average_precision(who, features_MF, ["sample"], [], ["plate"], ["ref"], progress_bar=False)
        with tempfile.TemporaryDirectory() as cache:  # a second run would read the first one's nulls
            return copairs.mean_average_precision(
                queries[queries["sample"] != "DMSO"], ["sample"], null_size=100_000, threshold=0.05, seed=0, progress_bar=False,
                cache_dir=cache,
            ).rename(columns={"below_corrected_p": "retrieved"})  # fmt: skip

    return [_named("copairs: from features to retrieved", retrieved)]


def _named(name: str, run: Callable[[], pd.DataFrame]) -> Case:
    found = _measured(run)
    table = found.pop("made")
    return {
        "name": name,
        **found,
        "map": float(table["mean_average_precision"].mean()),
        "retrieved": float(table["retrieved"].mean()),
    }


def _measured(run: Callable[[], Any]) -> Case:
    Path("/proc/self/clear_refs").write_text("5")  # the peak starts again
    before, start, used = status_bytes("VmRSS"), time.perf_counter(), time.process_time()
    made = run()
    return {
        "made": made,
        "cpu": time.process_time() - used,
        "wall": time.perf_counter() - start,
        "bytes": status_bytes("VmHWM") - before,
    }


def text(case: Case) -> str:
    """Return a case as a line."""
    what = f"; mAP {case['map']:.4f}, {case['retrieved']:.1%} retrieved" if "map" in case else ""
    return f"{case['name']:52} {case['cpu']:8.1f} s CPU {case['wall']:8.1f} s {case['bytes'] / 1e9:6.2f} GB{what}"


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m kit.bench.measures")
    parser.add_argument("--plates", type=int, default=24)
    parser.add_argument("--features", type=int, default=904, help="904: CellProfiler's, selected")
    parser.add_argument("--rival", action="store_true", help="run copairs too; it must be installed")
    parser.add_argument("--here", choices=("ours", "theirs"), help=argparse.SUPPRESS)  # in this process, printed as JSON
    given = parser.parse_args()
    if given.here:
        run = ours if given.here == "ours" else theirs
        sys.stdout.write(json.dumps(run(*made_wells(given.plates, given.features))) + "\n")
        return
    wells = given.plates * (_CONTROLS + _COMPOUNDS + _TWICE)
    sys.stdout.write(f"activity of {wells:,} made wells x {given.features:,} features, GB = 10**9 bytes beyond the features\n")
    for who in ("ours", "theirs") if given.rival else ("ours",):
        command = [sys.executable, "-m", "kit.bench.measures", "--here", who]
        command += ["--plates", str(given.plates), "--features", str(given.features)]
        done = subprocess.run(command, check=True, capture_output=True, text=True)
        for case in json.loads(done.stdout):
            sys.stdout.write(text(case) + "\n")
            sys.stdout.flush()


if __name__ == "__main__":
    main()
