"""kit plan --fit: what it writes loads, fits, and differs from the recipe in what it says only."""

import os
from pathlib import Path

import pytest

from kit.config import CHANNEL_GROUPS
from kit.model.cost import forward_flops, parameter_count, step_flops, step_memory
from kit.model.fit import LEAST_SHARE, fit
from kit.model.machines import MACHINES
from kit.model.networks import networks_of
from kit.model.working import working_bytes
from kit.recipe import changed_keys, load_recipe
from tests.commands import kit_command
from tests.images.made_work import make_work

KAGGLE = MACHINES["kaggle-2xt4"]
SITES = 93_647


def hours_by_hand(name: str) -> float:
    """Return the hours of both networks of a recipe on 2 x T4, embedding included: 65 TFLOP/s, a quarter of it reached."""
    flops = 0.0
    for channels in CHANNEL_GROUPS.values():
        config = load_recipe(name, channels=channels)
        steps = round(config.train.epochs * (SITES // config.train.batch))
        flops += steps * step_flops(config, len(channels)).total
        flops += SITES * forward_flops(config.model, len(channels), config.embed.side)
    return flops / (2 * 65e12 * 0.25) / 3600


def gigabytes(name: str) -> float:
    channels = CHANNEL_GROUPS["fluorescence"]
    return step_memory(load_recipe(name, channels=channels), len(channels), world=2).total / 1e9


def test_the_winners_recipe_in_a_week_of_kaggle(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    said = kit_command("plan", "--machine", "kaggle-2xt4", "--fit").stdout
    assert (
        "sslprofiler-local as it is: 91.7 and 91.4 hours of training, 183.2 in all with embedding, and 59.1 GB a process" in said
    )
    assert hours_by_hand("sslprofiler-local") == pytest.approx(183.2, abs=0.05)
    written = "sslprofiler-local-kaggle-2xt4.toml"
    assert 25 < hours_by_hand(written) <= 30
    assert gigabytes(written) < 16 * 0.9 / 1.1
    old, new = (load_recipe(name, channels=CHANNEL_GROUPS["fluorescence"]) for name in ("sslprofiler-local", written))
    changed = {"crops.global_side", "embed.side", "train.checkpoint_activations", "train.epochs", "train.warmup_epochs"}
    assert set(changed_keys(old, new)) == changed | {"loss.teacher_temperature_epochs", "recipe"}
    assert all(f"changed  {key} " in said for key in changed)
    assert new.embed.side == new.crops.global_side
    share = new.train.epochs / old.train.epochs
    assert share >= LEAST_SHARE
    assert new.train.warmup_epochs == pytest.approx(old.train.warmup_epochs * share)
    assert f"global_side = {new.crops.global_side}  # 518 in sslprofiler-local" in Path(written).read_text()
    again = kit_command("plan", "--machine", "kaggle-2xt4", "--recipe", written).stdout
    assert again in said, "the plan below is that of the file"
    assert "GB usable: fits" in again
    assert "30 GPU hours a week: fits a week" in again
    assert "of 20 GB: fits" in again
    assert "zstd 273 GB (fluorescence 119, brightfield 155); jpegls 172 GB (fluorescence 64, brightfield 109)" in again
    assert "not measured" in again


def test_kit_train_takes_the_recipe_that_was_written(tmp_path, monkeypatch):
    """It reads the recipe before it refuses a run that is there."""
    monkeypatch.chdir(tmp_path)
    kit_command("plan", "--machine", "kaggle-2xt4", "--fit", "--recipe", "demo", "--set", "train.max_steps=5", "--out", "r.toml")
    make_work(tmp_path / "work", plates=("P1",), wells=1, sites=1).run_folder("x").mkdir(parents=True)
    (tmp_path / "work" / "runs" / "x" / "run.toml").write_text("")
    train = ("train", "--work", "work", "--run", "x", "--channels", "fluorescence", "--recipe")
    assert "run x exists" in kit_command(*train, "r.toml", code=2).stderr.replace("already ", "")
    Path("r.toml").write_text(Path("r.toml").read_text() + "[crop]\nx = 1\n")
    assert "crop" in kit_command(*train, "r.toml", code=2).stderr


@pytest.mark.parametrize(
    ("settings", "side", "epochs"), [(["crops.global_side=518"], 518, None), (["train.epochs=100"], None, 100)]
)
def test_what_the_user_sets_stays(settings, side, epochs):
    kept = frozenset(text.partition("=")[0] for text in settings)
    found = fit(lambda more: load_recipe("sslprofiler-local", [*settings, *more]), kept, KAGGLE, None, hours=30)
    assert found.config.crops.global_side == (side or found.config.crops.global_side)
    assert found.config.train.epochs == (epochs or found.config.train.epochs)
    assert found.hours <= 30
    other = {"crops.global_side", "train.epochs"} - kept
    assert any(setting.startswith(tuple(other)) for setting in found.settings)


def test_more_hours_never_make_views_smaller_or_runs_shorter():
    sides, works = [], []
    for hours in (10, 40, 400):
        found = fit(lambda more: load_recipe("sslprofiler-local", more), frozenset(), KAGGLE, None, hours=hours)
        sides.append(found.config.crops.global_side)
        works.append(found.hours)
    assert sides == sorted(sides)
    assert sides[0] < sides[-1] == 518
    assert works == sorted(works)
    assert found.config.train.epochs == 100


def test_steps_are_shortened_where_a_recipe_counts_steps():
    def rebuild(more):
        return load_recipe("demo", ["train.max_steps=60_000_000", *more])

    found = fit(rebuild, frozenset(), KAGGLE, None, hours=5)
    assert 1_000_000 < found.config.train.max_steps < 60_000_000
    assert found.config.train.warmup_steps / found.config.train.max_steps == pytest.approx(
        rebuild(()).train.warmup_steps / 60_000_000, rel=0.1
    )


def test_a_recipe_of_ones_own_is_extended_from_where_it_lies(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("own").mkdir()
    Path("own/mine.toml").write_text('extends = "sslprofiler-local"\nseed = 3\n')
    words = ("plan", "--machine", "h200", "--fit", "--recipe", "own/mine.toml", "--hours", "9", "--out", "out/fitted.toml")
    kit_command(*words, "--set", "train.lr=1e-4")
    assert f'extends = "{os.path.join("..", "own", "mine.toml")}"' in Path("out/fitted.toml").read_text()
    found = load_recipe("out/fitted.toml")
    assert (found.seed, found.train.lr) == (3, 1e-4)
    kit_command(*words, "--set", "train.lr=1e-4")
    error = kit_command(*words, code=2).stderr
    assert "out/fitted.toml is there already and holds something else" in error


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [(["--fit"], 2, "--fit needs a machine"), (["--machine", "h200", "--hours", "3"], 2, "--hours goes with"),
     (["--machine", "h200", "--out", "x.toml"], 2, "--out goes with --fit"),
     (["--machine", "kaggle-2xt4", "--fit", "--hours", "0.1"], 1, "does not fit 0.1 hours: at 224 px 100 epochs take"),
     (["--machine", "kaggle-2xt4", "--fit", "--gpu-memory", "1"], 1, "fits 0.8 GB a process, whatever its micro-batches"),
     (["--machine", "kaggle-2xt4", "--fit", "--hours", "-3"], 2, "not a number above 0")],
)  # fmt: skip
def test_what_cannot_be_fitted_is_one_line(tmp_path, monkeypatch, words, code, said):
    monkeypatch.chdir(tmp_path)
    error = kit_command("plan", *words, code=code).stderr
    assert said in error
    assert error.count("\n") == 1
    assert not list(tmp_path.iterdir())


def test_the_working_space_by_hand():
    """ViT-S, two networks: three checkpoints of 16 bytes a parameter, three parts of 93,647 sites, profiles and their CSV."""
    networks = networks_of(load_recipe("sslprofiler-local"), None)
    parameters = [parameter_count(one.config.model, one.config.loss, len(one.config.channels)) for one in networks]
    features, profiles = SITES * 3 * 384 * 4, 9216 * 9 * 2 * 384 * (4 + 11)
    assert working_bytes(networks) == 3 * 16 * sum(parameters) + 2 * (features + profiles)
