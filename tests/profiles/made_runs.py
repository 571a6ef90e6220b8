"""A work of plates of given layouts with features of runs: random numbers, cls [0:2] and patch [2:4]."""

import json
from types import SimpleNamespace

import numpy as np
import pandas as pd

from kit.profiles.table import write_table

from .test_places import fields_of

WELLS = ("A01", "A02", "B01")
FEATURES = tuple(f"f{index:04d}" for index in range(4))


def make_runs(path, layouts, runs=("fluo",), missing=()) -> SimpleNamespace:
    """Write features of every site of three wells a plate, but for those `missing`: (plate, well, site).

    layouts: {plate: positions in grid steps}, or (steps, pitch in um); NaN for a plate without positions.
    """
    sites = pd.concat([_fields(plate, at).assign(Metadata_Well=well) for plate, at in layouts.items() for well in WELLS])
    here = [
        key not in missing for key in zip(sites["Metadata_Plate"], sites["Metadata_Well"], sites["Metadata_Site"], strict=True)
    ]
    sites = sites[here].reset_index(drop=True)
    wells = sites[["Metadata_Plate", "Metadata_Well"]].drop_duplicates().reset_index(drop=True)
    samples = [{"B01": ""}.get(well, f"BRD-{well}") for well in wells["Metadata_Well"]]
    wells = wells.assign(Metadata_broad_sample=samples, n_sites=9)
    labels = {"perturbation": "Metadata_broad_sample", "control": "DMSO"}
    made = SimpleNamespace(path=path, sites=sites, wells=wells, labels=labels, run_folder=lambda run: path / "runs" / run)
    for seed, run in enumerate(runs):
        write_run(made, run, seed)
    return made


def _fields(plate, at) -> pd.DataFrame:
    return fields_of(plate, *at) if isinstance(at, tuple) and len(at) == 2 and np.ndim(at[1]) == 0 else fields_of(plate, at)


def write_run(work, run: str, seed: int, parts=None, skip=None) -> None:
    rng = np.random.default_rng(seed)
    folder = work.run_folder(run) / "features"
    for plate, who in work.sites.groupby("Metadata_Plate"):
        who = who[["Metadata_Plate", "Metadata_Well", "Metadata_Site"]].reset_index(drop=True)
        who = who[who["Metadata_Well"] != skip].reset_index(drop=True) if skip else who
        values = rng.standard_normal((len(who), 4)).astype(np.float32)
        write_table(who, values, FEATURES, folder / f"{plate}.parquet", {})
    (folder / "features.json").write_text(json.dumps({"parts": parts or {"cls": [0, 2], "patch": [2, 4]}}))


def site_vectors(work, run: str, plate: str, well: str) -> dict[int, np.ndarray]:
    """Return {site: features} of a well."""
    table = pd.read_parquet(work.run_folder(run) / "features" / f"{plate}.parquet")
    rows = table[table["Metadata_Well"] == well]
    return dict(zip(rows["Metadata_Site"], rows[list(FEATURES)].to_numpy(), strict=True))
