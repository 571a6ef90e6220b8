"""Configurations from plain values: strict types, every mistake in one line, and back again without loss."""

import subprocess
import sys
from dataclasses import replace

import pytest

from kit.config import CHANNELS, ModelConfig, RunConfig, TrainConfig
from kit.errors import UsageError
from kit.images.phantom.config import PhantomConfig
from kit.recipe import config_from_dict, config_from_settings, config_to_dict, config_to_toml, load_config, load_recipe


def refusal(*settings: str) -> str:
    with pytest.raises(UsageError) as refused:
        load_recipe("demo", settings)
    return str(refused.value).removeprefix("recipe demo: ")


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        ("train.lr=a", "train.lr = 'a': need float"),
        ("train.lr=true", "train.lr = True: need float"),
        ("train.lr=-1", "train.lr = -1.0: need more than 0"),
        ("train.lr=2020-01-01", "train.lr = datetime.date(2020, 1, 1): need float"),
        ("train.batch=true", "train.batch = True: need int"),
        ("train.batch=8.0", "train.batch = 8.0: need int"),
        ("train.compile=1", "train.compile = 1: need bool"),
        ("model.weights=3", "model.weights = 3: need str"),
        ("channels=Mito", "channels = 'Mito': need a list"),
        ("plates=[1]", "plates = 1: need str"),
        ("train.betas=[0.9]", "train.betas = [0.9]: need 2 values"),
        ("train.betas=[0.9, 0.9, 0.9]", "train.betas = [0.9, 0.9, 0.9]: need 2 values"),
        ("crops.global_area=[0.5, 0.2]", "crops.global_area = (0.5, 0.2): need 0 < min <= max <= 1"),
        ("crops.balance=fields", "crops.balance = fields: need wells, plates, cell_lines, sites or cells"),
        (f"train.lr=1{400 * '0'}", f"train.lr = 1{400 * '0'}: need float"),
    ],
)
def test_types_are_strict(setting, said):
    assert refusal(setting) == said


def test_an_integer_serves_for_a_float_and_a_list_for_a_tuple():
    config = load_recipe("demo", ("train.lr=1", "train.betas=[0, 1]"))
    assert (config.train.lr, config.train.betas) == (1.0, (0.0, 1.0))
    assert {type(value) for value in (config.train.lr, *config.train.betas)} == {float}


def test_every_mistake_is_told_at_once():
    said = refusal(
        "seed=-1", "train.lr=a", "train.batch=0", "train.lrr=1", "trian.lr=2", "crops.balance=x", "model.heads=5", "loss=1"
    )
    assert set(said.split("; ")) == {
        "seed = -1: need 0 or more, below 2**63",
        "train.lr = 'a': need float",
        "train.batch = 0: need more than 0",
        "unknown key train.lrr",
        "unknown key trian.lr",
        "did you mean train.lr?",
        "crops.balance = x: need wells, plates, cell_lines, sites or cells",
        "model.dim = 96: need a multiple of model.heads = 5",
        "loss is a table, not 1",
    }
    assert said.count("did you mean train.lr?") == 2


def test_a_value_set_from_python_is_checked_too():
    with pytest.raises(UsageError, match=r"^train\.lr = 0: need more than 0; train\.clip = -1: need more than 0$"):
        TrainConfig(lr=0, clip=-1)


def test_the_sides_that_are_no_multiple_of_the_patch_are_all_named():
    assert refusal("crops.global_side=15", "embed.side=3") == (
        "crops.global_side = 15: need a multiple of model.patch = 14; embed.side = 3: need a multiple of model.patch = 14"
    )


def test_the_side_of_local_crops_counts_where_there_are_any():
    assert refusal(
        "model.patch=16", "crops.global_side=32", "model.position_side=32", "embed.side=32", "crops.local_crops=2"
    ) == ("crops.local_side = 98: need a multiple of model.patch = 16")
    sides = ("crops.global_side=32", "model.position_side=32", "embed.side=32")
    assert load_recipe("demo", ("model.patch=16", *sides)).crops.local_side == 98  # the demo has none: nothing is refused


def test_made_plates_name_every_mistake():
    with pytest.raises(UsageError) as refused:
        config_from_settings(PhantomConfig, ("side=3", "compounds=0"), where="phantom")
    assert str(refused.value) == "phantom: compounds = 0: need at least 1; side = 3: need 32 to 4096 pixels"
    with pytest.raises(UsageError, match="phantom: lines = 1: need CellLine"):
        config_from_settings(PhantomConfig, ("lines=[1]",), where="phantom")


def test_any_text_comes_back_from_run_toml(tmp_path):
    """TOML forbids a bare DEL, which JSON's strings, once written here, leave as it is."""
    config = RunConfig(channels=CHANNELS[:2], seed=2**63 - 1, model=replace(ModelConfig(), weights='a\x7f"\\\n\tü'))
    (tmp_path / "run.toml").write_text(config_to_toml(config))
    assert load_config(tmp_path / "run.toml") == config
    assert config_from_dict(config_to_dict(config), where="here") == config


def test_pydantic_waits_for_the_first_configuration():
    code = "import sys, kit, kit.cli.main, kit.recipe, kit.images.store.work; print('pydantic' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "False\n"
