"""Write copairs.json: what copairs gives for the wells of made.py, and for real plates. Run it where copairs is installed.

python -m tests.measures.record_copairs [FOLDER OF CELLPROFILER PLATES]
"""

import json
import sys
import tempfile
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from copairs import map as copairs
from copairs.matching import assign_reference_index

from .made import RECORD, doses, round_robin, screen

NULL = {"null_size": 20_000, "threshold": 0.05, "seed": 0, "progress_bar": False}


def record() -> dict[str, Any]:
    """Return all that the tests compare with, but for the real plates."""
    return {"version": version("copairs"), "round_robin": _round_robin(), **_screen(), "doses": _doses()}


def activity(who: pd.DataFrame, features_MF: np.ndarray) -> pd.DataFrame:
    """Return copairs' phenotypic activity of every treated well; `who` has sample and plate."""
    who = assign_reference_index(who.replace({"sample": {"": "DMSO"}}), "sample == 'DMSO'", reference_col="ref", default_value=-1)
    queries = copairs.average_precision(who, features_MF, ["sample"], [], ["plate"], ["ref"], progress_bar=False)
    return queries[queries["sample"] != "DMSO"]


def mean_precision(queries: pd.DataFrame, by: list[str], **more: Any) -> pd.DataFrame:
    """Return copairs' table of means, without the cache it keeps in the home folder."""
    with tempfile.TemporaryDirectory() as cache:
        if "hierarchical_by" in more:
            return copairs.mean_average_precision_hierarchical(queries, by, **NULL, **more, cache_dir=cache)
        return copairs.mean_average_precision(queries, by, **NULL | more, cache_dir=cache)


def _round_robin() -> list[float]:
    who, features_MF = round_robin()
    queries = copairs.average_precision(who, features_MF, ["c"], ["p"], ["p"], ["c"], progress_bar=False)
    return queries["average_precision"].tolist()


def _screen() -> dict[str, Any]:
    who, features_MF = screen()
    queries = activity(who, features_MF)
    means = mean_precision(queries, ["sample"])
    of_label = who["targets"].str.split("|").where(who["targets"] != "")
    has = of_label.notna().to_numpy()
    labelled = pd.DataFrame({"targets": of_label[has].tolist()})
    found = copairs.multilabel.average_precision(
        labelled, features_MF[has], ["targets"], [], [], ["targets"], multilabel_col="targets", progress_bar=False
    )
    means_of_targets = mean_precision(found, ["targets"])
    return {
        "activity": queries["average_precision"].to_dict(),
        "compounds": _means(means, "sample"),
        "targets": _means(means_of_targets, "targets"),
    }


def _doses() -> dict[str, Any]:
    queries = doses().rename(columns={"positives": "n_pos_pairs", "ranked": "n_total_pairs"})
    queries["normalized_average_precision"] = 0.0
    means = mean_precision(queries, ["compound", "dose"], hierarchical_by=["compound"])
    return _means(means.assign(label=means["compound"] + " " + means["dose"]), "label")


def _means(means: pd.DataFrame, label: str) -> dict[str, Any]:
    columns = ["mean_average_precision", "p_value", "corrected_p_value", "below_corrected_p"]
    return {name: means.set_index(label)[name].to_dict() for name in columns}


def real(folder: Path) -> dict[str, Any]:
    """Return the mean over compounds and the share retrieved, of the plates in `folder`."""
    table = pd.concat([pd.read_csv(path) for path in sorted(folder.glob("*.csv.gz"))], ignore_index=True)
    features_MF = table.loc[:, ~table.columns.str.startswith("Metadata_")].to_numpy(np.float32)
    who = pd.DataFrame({"sample": table["Metadata_broad_sample"].fillna(""), "plate": table["Metadata_Plate"]})
    means = mean_precision(activity(who, features_MF), ["sample"], null_size=100_000)
    return {"map": means["mean_average_precision"].mean(), "retrieved": means["below_corrected_p"].mean()}


if __name__ == "__main__":
    found = record() | ({"real": real(Path(sys.argv[1]))} if sys.argv[1:] else {})
    RECORD.write_text(json.dumps(found, indent=1) + "\n")
