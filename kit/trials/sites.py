"""Real CPJUMP1 sites: is a tile's nearest neighbour, from another region, of the same site?

    python -m kit.trials.sites FOLDER [--seeds 3] [--out DIR]

FOLDER holds plate folders as the Cell Painting Gallery does. Every site with all eight channels is cut into 6 x 6 tiles. The
networks train on the left half of the sites and see no label, not even which tiles share a site; the upper and lower tiles
of the right half are matched to each other. Every tile is scaled by itself (minimum and maximum when packed, mean and standard
deviation as it enters the network), so that the brightness of a plate or an exposure reveals nothing.
"""

import json
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
import pandas as pd

import kit
from kit.config import CHANNELS, RunConfig
from kit.files import write_whole
from kit.images.ingest.plan import IngestPlan
from kit.images.store.work import Work
from kit.recipe import load_recipe
from kit.trials.command import run
from kit.trials.features import TRAINED, feature_sets
from kit.trials.neighbours import CHOSEN, neighbours, post_process
from kit.trials.packing import packed
from kit.trials.table import everything, score_sets, summary
from kit.trials.tiles import HELD_OUT, TRAIN, cut_tiles

GRID = 6
SETTINGS = (
    "crops.global_area=[0.25,0.35]",  # 90 to 106 px of a tile of 180 px, as they are: a nucleus is 30 px wide
    "crops.second_site=false",  # local aggregation would reveal which tiles are from one site
    "loss.local_aggregation=false",
    "loss.same_view_weight=1",
    "embed.side=182",  # the whole tile at the magnification of the crops
)
SHUFFLES = 200


def trial(folder: Path, out: Path, *, seeds: Iterable[int], settings: Iterable[str], say: Callable[[str], None]) -> str:
    """Cut, ingest, train, embed and score; return the tables, and keep all numbers in `out`/results.json.

    Raises:
        KitError: no two sites have all channels, or an ingest failed.
    """
    packed(IngestPlan(folder, out / "sites", bits=16, channel_names="cpjump1"))  # counts: tiles are scaled by themselves
    tiles = cut_tiles(kit.open(out / "sites"), CHANNELS, GRID, out / "tiles")
    packed(IngestPlan(out / "tiles" / "load_data.csv", out / "work"))
    work = kit.open(out / "work")
    configs = [config_of(seed, settings) for seed in seeds]
    sets, cost = feature_sets(work, {"demo": configs}, say)
    tiles = in_order(tiles, work)
    scores = score_sets(sets, lambda features, how: measure(features, how, tiles))
    null = [measure(sets[TRAINED][0], CHOSEN, shuffled(tiles, number))["right site"] for number in range(SHUFFLES)]
    named = {}
    for seed, features_NF in enumerate(sets[TRAINED]):
        named[seed] = confusion(features_NF, CHOSEN, tiles).to_dict()
    record = {"settings": [*SETTINGS, *settings], "scores": scores, "null": null, "asked_to_named": named}
    write_whole(out / "results.json", json.dumps(record, indent=1))
    chance = {"right site": 1 / tiles["site"].nunique()}
    noise = {"right site": (float(np.mean(null)), float(np.std(null, ddof=1)))}
    return f"{summary(scores, chance, noise)}\n\n{everything(scores, list(chance))}\n\n{cost}"


def config_of(seed: int, settings: Iterable[str]) -> RunConfig:
    """Return the configuration of one network, which trains on the tiles of TRAIN alone."""
    return load_recipe("demo", [*SETTINGS, *settings], channels=CHANNELS, plates=(TRAIN,), seed=seed)


def in_order(tiles: pd.DataFrame, work: Work) -> pd.DataFrame:
    """Return the table of tiles with its rows in the order of `work.sites`."""
    keys = list(work.sites[["Metadata_Plate", "Metadata_Well"]].itertuples(index=False, name=None))
    return tiles.set_index(["plate", "well"]).loc[keys].reset_index()


def measure(features_NF: np.ndarray, how: str, tiles: pd.DataFrame) -> dict[str, float]:
    """Return the share of held-out tiles whose nearest neighbour in the other half is of their site."""
    asked, named = retrieve(features_NF, how, tiles)
    return {"right site": float(np.mean(asked == named))}


def retrieve(features_NF: np.ndarray, how: str, tiles: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    """Return the sites of all held-out tiles, and those of their nearest tiles by cosine in the other half.

    The post-processing is fitted on the tiles of TRAIN.
    """
    train_N = (tiles["plate"] == TRAIN).to_numpy()
    ready_NF = post_process(features_NF, how, train_N=train_N, control_N=train_N)
    site_N, half_N = tiles["site"].to_numpy(), tiles["half"].to_numpy()
    held_N = (tiles["plate"] == HELD_OUT).to_numpy()
    asked, named = [], []
    for half in (0, 1):
        query_N, gallery_N = held_N & (half_N == half), held_N & (half_N != half)
        asked.append(site_N[query_N])
        named.append(site_N[neighbours(ready_NF, query_N, gallery_N, 1)[:, 0]])
    return np.concatenate(asked), np.concatenate(named)


def confusion(features_NF: np.ndarray, how: str, tiles: pd.DataFrame) -> pd.DataFrame:
    """Return how many tiles of each site (row) were taken for each site (column)."""
    asked, named = retrieve(features_NF, how, tiles)
    return pd.crosstab(asked, named)


def shuffled(tiles: pd.DataFrame, seed: int) -> pd.DataFrame:
    """Return the tiles with sites permuted within each part and half."""
    rng = np.random.default_rng(seed)
    site = tiles["site"].to_numpy().copy()
    for rows in tiles.groupby(["plate", "half"]).indices.values():
        site[rows] = site[rng.permutation(rows)]
    return tiles.assign(site=site)


if __name__ == "__main__":
    run("sites", __doc__.splitlines()[0], "cpjump1_images", trial)
