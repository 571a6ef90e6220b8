"""BBBC013: a real plate of two drugs' dose series, through the whole pipeline from its TIFFs to nearest neighbours.

    python -m kit.trials.bbbc013 FOLDER [--seeds 3] [--out DIR]

FOLDER holds 1049_Metadata.csv and images/Channel<1|2>-<number>-<row>-<column>.tif: 96 wells of U2OS cells, one site each, with
FKHR-GFP (channel 1) and DNA (channel 2), image set BBBC013v1 of the Broad Bioimage Benchmark Collection (Ljosa et al., Nature
Methods 2012). Both drugs drive FKHR-GFP into the nucleus. The networks see no label.
"""

import json
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
import pandas as pd

import kit
from kit.errors import KitError
from kit.files import write_whole
from kit.images.ingest.plan import IngestPlan
from kit.recipe import load_recipe
from kit.trials import doses
from kit.trials.command import run
from kit.trials.features import TRAINED, feature_sets
from kit.trials.neighbours import CHOSEN
from kit.trials.packing import packed
from kit.trials.table import everything, score_sets, summary

PLATE = "BBBC013"
CHANNELS = ("DNA", "GFP")
SETTINGS = (
    "crops.global_area=[0.0234,0.04]",  # 49 to 64 px of a site of 320 px, magnified about 1.7 times: a nucleus is 10 px wide
    "crops.second_site=false",  # a well has one site: local aggregation has nothing to aggregate
    "loss.local_aggregation=false",
    "loss.same_view_weight=1",
    "embed.side=546",  # the whole site at the magnification of the crops
    "embed.batch=8",
)
SHUFFLES = 200


def read_wells(folder: Path) -> pd.DataFrame:
    """Return one row per image: number, well, row, drug (its rows), level and control.

    Raises:
        KitError: no metadata, or a column is missing.
    """
    path = folder / "1049_Metadata.csv"
    if not path.is_file():
        raise KitError(f"no file {path}: give the folder with this file and images/")
    table = pd.read_csv(path, dtype={"Column": str})
    needed = ["ImageNumber", "Column", "Row", "SBS_Doses", "SBS_Controls"]
    missing = [name for name in needed if name not in table]
    if missing:
        raise KitError(f"{path} has no column {missing[0]}")
    wells = table[["ImageNumber", "Column", "Row", "SBS_Doses", "SBS_Controls"]].set_axis(
        ["number", "column", "row", "level", "control"], axis=1
    )
    return wells.assign(well=wells["row"] + wells["column"], drug=np.where(wells["row"] <= "D", "rows A-D", "rows E-H"))


def write_load_data(folder: Path, wells: pd.DataFrame, path: Path) -> None:
    """Write the load_data table by which kit reads the images."""
    table = pd.DataFrame({"Metadata_Plate": PLATE, "Metadata_Well": wells["well"], "Metadata_Site": 1})
    images = str((folder / "images").resolve())
    for name, channel in (("GFP", 1), ("DNA", 2)):
        names = zip(wells["number"], wells["row"], wells["column"], strict=True)
        table[f"FileName_{name}"] = [f"Channel{channel}-{number:02d}-{row}-{column}.tif" for number, row, column in names]
        table[f"PathName_{name}"] = images
    write_whole(path, table.to_csv(index=False))


def trial(folder: Path, out: Path, *, seeds: Iterable[int], settings: Iterable[str], say: Callable[[str], None]) -> str:
    """Ingest, train, embed and score; return the tables, and keep all numbers in `out`/results.json.

    Raises:
        KitError: the folder lacks a file.
    """
    wells = read_wells(folder)
    out.mkdir(parents=True, exist_ok=True)
    write_load_data(folder, wells, out / "load_data.csv")
    packed(IngestPlan(out / "load_data.csv", out / "work"))
    work = kit.open(out / "work")
    configs = [load_recipe("demo", [*SETTINGS, *settings], channels=CHANNELS, seed=seed) for seed in seeds]
    sets, cost = feature_sets(work, {"demo": configs}, say)
    wells = wells.set_index("well").loc[work.sites["Metadata_Well"]].reset_index()
    scores = score_sets(sets, lambda features, how: doses.measure(features, how, wells))
    null = shuffled_scores(sets[TRAINED][0], wells)
    write_whole(out / "results.json", json.dumps({"settings": [*SETTINGS, *settings], "scores": scores, "null": null}, indent=1))
    chance = doses.chance(wells)
    noise = {name: (float(np.mean(values)), float(np.std(values, ddof=1))) for name, values in null.items()}
    return f"{summary(scores, chance, noise)}\n\n{everything(scores, list(chance))}\n\n{cost}"


def shuffled_scores(features_MF: np.ndarray, wells: pd.DataFrame) -> dict[str, list[float]]:
    """Return each statistic of the chosen post-processing with the labels shuffled within rows, SHUFFLES times."""
    runs = [doses.measure(features_MF, CHOSEN, doses.shuffled(wells, number)) for number in range(SHUFFLES)]
    return {name: [found[name] for found in runs] for name in runs[0]}


if __name__ == "__main__":
    run("bbbc013", __doc__.splitlines()[0], "bbbc013_u2os_translocation", trial)
