"""A small experiment in the official tables: three U2OS and four A549 plates, one plate map of ten compounds."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

PLATES = {"U1": "U2OS", "U2": "U2OS", "U3": "U2OS", "A1": "A549", "A2": "A549", "A3": "A549", "A4": "A549"}
DMSO = ("C01", "C02", "C03")


def compound_of_well() -> dict[str, str]:
    """Ten compounds, BRD-0 and BRD-1 in two wells, and three DMSO wells (empty)."""
    wells = {
        f"{row}{column:02d}": f"BRD-{index}" for index, (row, column) in enumerate([(r, c) for r in "AB" for c in range(1, 6)])
    }
    return {**wells, "D01": "BRD-0", "D02": "BRD-1", **dict.fromkeys(DMSO, "")}


@pytest.fixture(scope="session")
def metadata(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("metadata")
    rows = [
        ("batch", "map_platemap", plate, "compound", line, "48", "100", "absent", "Parental") for plate, line in PLATES.items()
    ]
    names = [
        "Batch",
        "Plate_Map_Name",
        "Assay_Plate_Barcode",
        "Perturbation",
        "Cell_type",
        "Time",
        "Density",
        "Antibiotics",
        "Cell_line",
    ]
    pd.DataFrame(rows, columns=names).to_csv(folder / "experiment-metadata.tsv", sep="\t", index=False)
    pd.DataFrame({"Assay_Plate_Barcode": list(PLATES), "Plate_Map_Name": "map_platemap"}).to_csv(
        folder / "barcode_platemap.csv", index=False
    )
    wells = compound_of_well()
    plate_map = pd.DataFrame({"well_position": list(wells), "broad_sample": list(wells.values()), "solvent": "DMSO"})
    plate_map.to_csv(folder / "map_platemap.txt", sep="\t", index=False)
    compounds = pd.DataFrame({"broad_sample": [f"BRD-{index}" for index in range(10)]})
    compounds["InChIKey"] = [f"KEY-{index}" for index in range(10)]
    compounds["pert_iname"] = [f"name-{min(index, 8)}" for index in range(10)]  # two samples of one name
    compounds["pert_type"], compounds["control_type"] = "trt", ""
    compounds.to_csv(folder / "map_metadata.tsv", sep="\t", index=False)
    return folder


def make_table(plates=tuple(PLATES), signal: float = 1.0, features: int = 6, seed: int = 0) -> pd.DataFrame:
    """Features of every well: a point for each compound, with normal noise about it."""
    rng = np.random.default_rng(seed)
    wells = compound_of_well()
    centres = {compound: rng.standard_normal(features) for compound in sorted(set(wells.values()))}
    rows = [
        {
            "Metadata_Plate": plate,
            "Metadata_Well": well,
            **dict(enumerate_names(signal * centres[compound] + rng.standard_normal(features))),
        }
        for plate in plates
        for well, compound in wells.items()
    ]
    return pd.DataFrame(rows)


def enumerate_names(values):
    return ((f"x{index}", value) for index, value in enumerate(values))


@pytest.fixture
def table() -> pd.DataFrame:
    return make_table()


@pytest.fixture
def ids(tmp_path, table) -> Path:
    """metadata_test.csv of the compound wells, shuffled, with IDs that lose their form if read as numbers."""
    wells = table[~table["Metadata_Well"].isin(DMSO)].sample(frac=1, random_state=1)
    path = tmp_path / "metadata_test.csv"
    frame = pd.DataFrame(
        {"ID": [f"{index:04d}" for index in range(len(wells))], "plate": wells["Metadata_Plate"], "well": wells["Metadata_Well"]}
    )
    frame.to_csv(path, index=False)
    return path
