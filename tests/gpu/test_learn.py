"""The part learn on a small store: a curve that starts at random weights, in its time, and scores of the wells asked for."""

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch

from kit.config import EmbedConfig
from kit.gpu import learn, learn_run
from kit.gpu.learn_data import Data
from kit.gpu.learn_run import Trainer, train_for
from kit.gpu.notes import Options
from kit.gpu.recipes import configuration
from kit.images.store.work import open_work
from kit.recipe import recipe_names
from tests.images.made_work import CHANNELS, make_work
from tests.model.tiny import tiny_config


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Data:
    """Two plates of one week, eight wells of two sites; the treatment of a well is its place, so wells of equal name match."""
    folder = tmp_path_factory.mktemp("learn")
    make_work(folder, wells=8, sites=2)
    work = open_work(folder)
    wells = work.wells.rename(columns={"Metadata_Plate": "plate", "Metadata_Well": "well"})[["plate", "well"]]
    wells = wells.assign(week="1", compound=wells["well"], treatment=wells["well"], mechanism=wells["well"])
    place = {(row.plate, row.well): row.Index for row in wells.itertuples()}
    sites = work.sites[["Metadata_Plate", "Metadata_Well", "Metadata_Site"]]
    sites = sites.assign(place=[place[plate, well] for plate, well, _ in sites.itertuples(index=False, name=None)])
    return Data("small", work, wells, sites, ("compound",))


def test_wells_are_named_by_the_mean_of_their_sites(data):
    letters = data.wells["well"].str[1:].astype(int).to_numpy()
    truth_MF = np.stack([np.cos(letters), np.sin(letters)], 1)
    noise = np.tile([[0.05], [-0.05]], (len(data.sites) // 2, 2))  # cancels in the mean of a well's two sites
    assert data.score(truth_MF[data.sites["place"]] + noise) == {"compound": 1.0}
    assert data.guessed() == {"compound": 1 / 8}
    assert data.pixels().shape == (32, 3, 32, 32)


@pytest.mark.parametrize(("seconds", "each", "steps", "points"), [(600, 100.0, 6, 7), (0, 0.1, 6, 2)], ids=["in time", "no time"])
def test_the_curve_starts_at_random_weights_and_ends_with_the_time(data, monkeypatch, seconds, each, steps, points):
    rehearse, kept = learn_run._rehearse, []
    monkeypatch.setattr(learn_run, "TRIAL", 1)
    monkeypatch.setattr(learn_run, "_rehearse", lambda *args: rehearse(*args) and (each, 0.0))
    config = tiny_config(crops={"global_area": (0.3, 1.0)}, train={"batch": 4, "epochs": 10.0})
    config = replace(config, embed=EmbedConfig(side=16, batch=8))
    curve = train_for(Trainer(data, config, torch.device("cpu")), seconds, lambda found: kept.append(list(found.points)))
    first, *others = curve.points
    assert [first[name] for name in ("minutes", "step", "loss")] == [0.0, 0, None]
    assert [len(found) for found in kept] == list(range(2, points + 1))  # whole after every point
    assert curve.steps == steps
    assert [point["step"] for point in others] == list(range(1, points))
    assert all(0 <= point["compound"] <= 1 for point in curve.points)
    assert all(np.isfinite(point["loss"]) for point in others)
    assert 0 <= curve.waited <= 1


def test_what_is_not_there_is_said_and_a_fault_leaves_the_other_trials(data, monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(learn, "FIELDS", learn.ROOT / "build" / "no-such-fields")
    monkeypatch.setattr(learn, "made_plates", lambda folder, small: data)
    monkeypatch.setattr(Data, "by_hand", lambda self, baseline: {"compound": 0.5})
    calls = []

    def one(given, data, recipe, device, seconds):
        calls.append((recipe, seconds))
        raise RuntimeError("the card is gone\nmore")

    monkeypatch.setattr(learn, "one", one)
    monkeypatch.setattr(
        learn, "Options", lambda *_: Options("x", "y", ["--seconds", "50", "--json", str(tmp_path / "f"), "--rehearse"])
    )
    assert learn.main() == 1
    assert [recipe for recipe, _ in calls] == list(learn.RECIPES)
    assert calls[0][1] == pytest.approx(23, abs=5)  # half of what is left
    lines = json.loads((tmp_path / "f").read_text())["lines"]
    assert lines[0].startswith("real fields: skipped, there is no build/no-such-fields/images.csv")
    assert lines[1].startswith("small: 16 wells of 2 plates, 3 channels") or lines[1].startswith(
        "made plates: 16 wells of 2 plates"
    )
    assert "small, sslprofiler-local: RuntimeError: the card is gone" in lines
    assert capsys.readouterr().out.splitlines() == lines


def test_every_recipe_has_a_configuration_for_its_step():
    for name in recipe_names():
        plain, small = (configuration(name, 8, rehearse=rehearse) for rehearse in (False, True))
        assert plain.train.batch == small.train.batch == 8
        assert plain.channels == small.channels
        assert small.model.dim < plain.model.dim
        assert plain.recipe == name


def test_the_channels_of_the_data_are_those_of_the_network(data):
    config = learn.configuration("sslprofiler-local", data, rehearse=False)
    assert config.channels == CHANNELS
    assert config.train.batch == len(data.wells)  # 16 wells, fewer than the recipe's batch
    assert isinstance(data.wells, pd.DataFrame)
