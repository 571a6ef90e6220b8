"""The feature sets of a trial: trained networks, random weights, intensity, texture, and a few numbers made by hand."""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import pandas as pd

from kit.config import RunConfig
from kit.errors import UsageError
from kit.images.cells.table import read_cells
from kit.images.store.work import Work
from kit.profiles.embed import embed
from kit.profiles.embedded import open_runs
from kit.profiles.table import PLATE, SITE, WELL
from kit.profiles.texture import correlations
from kit.recipe import load_recipe
from kit.trials.compare_budget import cost_text, listed, timed, with_images
from kit.trials.compare_rows import run_name

TRAINED, RANDOM, TEXTURE = "trained", "random weights", "texture"
KEY = [PLATE, WELL, SITE]


def recipe_configs(
    recipe: str, settings: Sequence[str], seeds: Sequence[int], work: Work, images: int = 0
) -> dict[str, list[RunConfig]]:
    """Return recipe -> a configuration per seed, of the recipes "A,B"; empty: demo. images: that each draws; 0: its own.

    Raises:
        UsageError: no such recipe, or a wrong setting.
    """
    found = {}
    for name in listed([recipe or "demo"]):
        configs = [load_recipe(name, settings, channels=work.channels, seed=seed) for seed in seeds]
        found[name] = [with_images(config, images, work) for config in configs]
    return found


def images_wanted(images: str) -> int:
    """Return --images as a number; empty: 0.

    Raises:
        UsageError: no number.
    """
    if images and (not images.isdecimal() or int(images) < 1):
        raise UsageError(f"--images {images}: need a whole number, at least 1")
    return int(images or 0)


def feature_sets(
    work: Work, recipes: Mapping[str, Sequence[RunConfig]], say: Callable[[str], None]
) -> tuple[dict[str, list[np.ndarray]], str]:
    """Train and embed each configuration (one per seed); return float32 [sites, F] per set and seed, and what training cost.

    Rows are in the order of `work.sites`. What an earlier call trained is not trained again. Baselines that know no seed are
    there once. The first recipe is the set `trained`, others have their names; beside each stand random weights of its network.

    Raises:
        KitError: a network is to be trained around cells, and those of a plate are not known.
    """
    if any(config.crops.around == "cell" for configs in recipes.values() for config in configs):
        read_cells(work, work.plates)  # where they are not known yet nothing is trained
    sets: dict[str, list[np.ndarray]] = {}
    costs: dict[str, list[dict]] = {}
    for recipe, configs in recipes.items():
        first = not sets
        name, untrained = (TRAINED, RANDOM) if first else (recipe, f"{recipe}, {RANDOM}")
        costs[name] = [{"cost": [_train(work, config, say)]} for config in configs]
        sets[name] = [_read(work, run_name(config)) for config in configs]
        for config in configs:
            embed(work, run_name(config), baseline="random")
        sets[untrained] = [_read(work, f"{run_name(config)}-random") for config in configs]
    configs = next(iter(recipes.values()))
    run = run_name(configs[-1])
    embed(work, run, baseline="intensity")
    embed(work, run, baseline="texture")
    sets["mean and sd, 8 bit"] = [_read(work, f"{run}-intensity")]
    sets["mean and sd, raw counts"] = [_read(work, f"{run}-intensity-raw")]
    sets[TEXTURE] = [_read(work, f"{run}-texture")]
    sets["correlations and skewness"] = [shape_statistics(work, configs[0].channels)]
    return sets, cost_text(costs)


def recipes_text(recipes: Sequence[str]) -> str:
    """Return which recipe the set `trained` is of, where there are several."""
    return f"trained: recipe {recipes[0]}; the other recipes stand under their names." if len(recipes) > 1 else ""


def _train(work: Work, config: RunConfig, say: Callable[[str], None]) -> dict:
    """Train and embed; return the cost."""
    from kit.model.train import train

    run = run_name(config)
    say(f"train, embed: {run}")
    cost = timed(lambda: train(work, run, config, resume=True), config)
    embed(work, run)
    return cost


def shape_statistics(work: Work, channels: tuple[str, ...]) -> np.ndarray:
    """Return per site the correlation of every two channels and the skewness of each, float32: no gain or offset changes them."""
    upper = np.triu_indices(len(channels), k=1)
    rows = []
    for plate, well, site in work.sites[KEY].itertuples(index=False, name=None):
        site_CHW = work.read_site(plate, well, site, channels)
        rows.append(np.concatenate([correlations(site_CHW)[upper], _skewness(site_CHW)]))
    return np.array(rows, dtype=np.float32)


def _skewness(site_CHW: np.ndarray) -> np.ndarray:
    pixels_CN = site_CHW.reshape(len(site_CHW), -1).astype(np.float64)
    pixels_CN -= pixels_CN.mean(axis=1, keepdims=True)
    sd_C = pixels_CN.std(axis=1)
    return (pixels_CN**3).mean(axis=1) / np.where(sd_C > 0, sd_C, 1.0) ** 3


def _read(work: Work, run: str) -> np.ndarray:
    """Return z of SSLProfiler 1, [CLS ; mean patch token], or all that a baseline measures, float32 [sites, F]."""
    embedded = open_runs(work, [run], ("cls", "patch"))[0]
    read = [embedded.read(plate) for plate in embedded.files]
    who = pd.concat([who for _, who in read], ignore_index=True)
    rows = pd.Series(range(len(who)), index=pd.MultiIndex.from_frame(who[KEY]))
    order = rows.loc[list(work.sites[KEY].itertuples(index=False, name=None))].to_numpy()
    return np.concatenate([features_ND for features_ND, _ in read])[order].astype(np.float32)
