"""Profiles at full size: 24 plates of 384 wells, two runs, with times, memory and what rivals take. Made numbers, no images.

Run it as `python -m kit.bench.profiles [--plates N] [--metadata DIR] [--folder DIR] [--threads N] [--stages NAME ...]`. A stage
is a process of its own: kit profile of 2 x 6,912 columns (sites concatenated), the same with --align, kit export, kit check. The
layouts are the challenge's: twenty plates image nine places of a well, four image sixteen. With --metadata the wells are those of
the official plate map, without it 64 of 384 are controls. CPU seconds are of all threads; memory is the peak of resident memory
(VmHWM), mapped files included. GB = 10**9 bytes.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from kit.bench.resident import status_bytes
from kit.images.metadata import read_metadata
from kit.images.names import well_name
from kit.profiles.places import NINE_PLACES, PITCH_UM
from kit.profiles.table import PLATE, SITE, WELL, write_table

RUNS = ("one", "two")
WIDTH = 384  # of cls and of patch: ViT-S
WIDE = 4  # plates with sixteen sites a well
_SIXTEEN = tuple((x, y) for y in (1.5, 0.5, -0.5, -1.5) for x in (-1.5, -0.5, 0.5, 1.5))


@dataclass(frozen=True)
class MadeWork:
    """What merging asks of a work folder: its sites, its wells and where the runs are."""

    path: Path
    sites: pd.DataFrame
    wells: pd.DataFrame
    labels: dict[str, str]

    def run_folder(self, run: str) -> Path:
        return self.path / "runs" / run


def made_work(folder: Path, plates: int, metadata: Path | None) -> MadeWork:
    """Return plates with the challenge's layouts, the first of them with nine sites a well, the last with sixteen."""
    wells = _official_wells(metadata, plates) if metadata else _made_wells(plates)
    names = list(dict.fromkeys(wells[PLATE]))
    wide = names[len(names) - max(1, round(WIDE * len(names) / 24)) :]
    sites = [
        wells[wells[PLATE] == plate][[PLATE, WELL]].assign(**{SITE: field, "x_um": x * PITCH_UM, "y_um": y * PITCH_UM})
        for plate in names
        for field, (x, y) in enumerate(_SIXTEEN if plate in wide else NINE_PLACES, start=1)
    ]
    table = pd.concat(sites).sort_values([PLATE, WELL, SITE]).reset_index(drop=True)
    return MadeWork(folder, table, wells, {"perturbation": "Metadata_broad_sample", "control": "DMSO"})


def write_runs(work: MadeWork) -> None:
    """Write a normal number for every feature of every site of both runs."""
    names = tuple(f"f{index:04d}" for index in range(2 * WIDTH))
    for seed, run in enumerate(RUNS):
        folder = work.run_folder(run) / "features"
        for number, (plate, sites) in enumerate(work.sites.groupby(PLATE)):
            values = np.random.default_rng([seed, number]).standard_normal((len(sites), 2 * WIDTH), dtype=np.float32)
            write_table(sites[[PLATE, WELL, SITE]].reset_index(drop=True), values, names, folder / f"{plate}.parquet", {})
        (folder / "features.json").write_text(json.dumps({"parts": {"cls": [0, WIDTH], "patch": [WIDTH, 2 * WIDTH]}}))


def stage_profile(work: MadeWork) -> str:
    from kit.profiles.profile import profile

    out, steps = work.path / "plain.parquet", {"normalize": "centre", "whiten": "sphere"}
    return profile(work, RUNS, out, **steps).text()  # type: ignore[arg-type]  # it has what a work folder is asked for


def stage_align(work: MadeWork) -> str:
    from kit.profiles.profile import profile

    out, steps = work.path / "aligned.parquet", {"normalize": "centre", "whiten": "sphere", "align": 0.9, "l2": True}
    return profile(work, RUNS, out, **steps).text()  # type: ignore[arg-type]  # as above


def stage_export(work: MadeWork) -> str:
    from kit.challenge.export import export

    return export(work.path / "aligned.parquet", work.path / "ids.csv", work.path / "submission.csv").text()


def stage_check(work: MadeWork) -> str:
    from kit.challenge.check import check

    return check(work.path / "submission.csv", work.path / "ids.csv").text()


def stage_rotate(work: MadeWork) -> str:
    from kit.challenge.export import export

    return export(work.path / "aligned.parquet", work.path / "ids.csv", work.path / "rotated.csv", rotated=True).text()


def stage_columns(work: MadeWork) -> str:
    from kit.challenge.export import export

    columns = min(1024, (work.wells["Metadata_broad_sample"] != "").sum() // 4)
    return export(work.path / "aligned.parquet", work.path / "ids.csv", work.path / "few.csv", columns=int(columns)).text()


def stage_pandas(work: MadeWork) -> str:
    """What a user would write: pandas' own CSV, there and back."""
    table = pd.read_parquet(work.path / "aligned.parquet")
    table = table[table["Metadata_broad_sample"] != ""].filter(regex="^(?!Metadata)")
    table.insert(0, "ID", range(len(table)))
    table.to_csv(work.path / "pandas.csv", index=False)
    return str(np.isfinite(pd.read_csv(work.path / "pandas.csv").to_numpy()).all())


STAGES = {
    "kit profile": stage_profile, "kit profile --align": stage_align, "kit export": stage_export, "kit check": stage_check,
    "kit export --rotate": stage_rotate, "kit export --columns": stage_columns, "pandas to_csv + read_csv": stage_pandas,
}  # fmt: skip


def _made_wells(plates: int) -> pd.DataFrame:
    wells = [well_name(row, column) for row in range(1, 17) for column in range(1, 25)]
    samples = ["" if at % 6 == 0 else f"BRD-{at % 306:03d}" for at in range(len(wells))]
    one = pd.DataFrame({WELL: wells, "Metadata_broad_sample": samples, "n_sites": 9})
    return pd.concat([one.assign(**{PLATE: f"BR{plate:08d}"}) for plate in range(plates)], ignore_index=True)


def _official_wells(metadata: Path, plates: int) -> pd.DataFrame:
    """Return the wells of plates of the batch whose one plate map holds compounds."""
    tables = read_metadata(metadata)
    of_map = pd.read_csv(metadata / "barcode_platemap.csv", dtype=str)
    compounds = of_map[of_map["Plate_Map_Name"].str.contains("compound")]["Assay_Plate_Barcode"]
    found = [tables.wells(plate).filter(like="Metadata_").assign(n_sites=9) for plate in compounds.head(plates)]
    return pd.concat(found, ignore_index=True)


def _run_stage(name: str, folder: Path, given: argparse.Namespace) -> dict:
    options = ["--plates", str(given.plates), "--folder", str(folder), "--here", name]
    options += ["--metadata", str(given.metadata)] if given.metadata else []
    threads = {key: str(given.threads) for key in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "POLARS_MAX_THREADS")}
    command = [sys.executable, "-m", "kit.bench.profiles", *options]
    done = subprocess.run(command, env={**os.environ, **threads}, check=True, capture_output=True, text=True)
    return json.loads(done.stdout.splitlines()[-1])


def _here(name: str, work: MadeWork) -> None:
    wall, cpu = time.perf_counter(), time.process_time()
    said = STAGES[name](work)
    row = {"wall": time.perf_counter() - wall, "cpu": time.process_time() - cpu, "peak": status_bytes("VmHWM"), "said": said}
    sys.stdout.write(json.dumps(row) + "\n")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m kit.bench.profiles")
    parser.add_argument("--plates", type=int, default=24)
    parser.add_argument("--metadata", type=Path, help="folder of the official tables")
    parser.add_argument("--folder", type=Path, help="where to write; default: a temporary folder, deleted afterwards")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--stages", nargs="*", choices=list(STAGES), default=list(STAGES)[:-1], metavar="NAME")
    parser.add_argument("--here", choices=list(STAGES), help=argparse.SUPPRESS)  # one stage in this process, printed as JSON
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = given.folder or Path(temporary)
        work = made_work(folder, given.plates, given.metadata)
        if given.here:
            _here(given.here, work)
            return
        write_runs(work)
        ids = work.wells[work.wells["Metadata_broad_sample"] != ""]
        ids = pd.DataFrame({"ID": range(len(ids)), "plate": ids[PLATE].tolist(), "well": ids[WELL].tolist()})
        ids.to_csv(folder / "ids.csv", index=False)
        sys.stdout.write(f"{given.plates} plates, {len(work.sites):,} sites, {len(ids):,} IDs, {given.threads} threads\n")
        for name in given.stages:
            row = _run_stage(name, folder, given)
            size = f"{row['wall']:6.1f} s, CPU {row['cpu']:6.1f} s, {row['peak'] / 1e9:5.2f} GB"
            sys.stdout.write(f"{name:26} {size}   {row['said'].splitlines()[-1].strip()[:160]}\n")
            sys.stdout.flush()


if __name__ == "__main__":
    main()
