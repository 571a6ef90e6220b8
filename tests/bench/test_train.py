"""The race is fair: both contestants take the same steps, whatever the recipe compares."""

import json

import pytest
import torch

from kit.bench import train
from kit.bench.step_case import KIT, PLAIN
from kit.bench.train import Race, race
from kit.recipe import load_recipe

TINY = ["model.dim=24", "model.depth=2", "model.heads=2", "loss.prototypes=40", "loss.head_hidden=32", "loss.head_bottleneck=16"]
TINY += [
    "crops.global_side=28",
    "crops.local_side=14",
    "train.batch=4",
    "train.warmup_steps=1",
    "train.lr=1e-3",
    "model.layerscale=1",
]
RECIPES = {"sslprofiler-local": [], "dinov2-separate": ["crops.local_crops=2"], "demo": ["model.patch=14"]}


@pytest.mark.parametrize("recipe", RECIPES)
def test_the_plain_composition_takes_the_same_steps(recipe):
    settings = [*TINY, "model.drop_path=0.3", "train.freeze_last_layer_epochs=0", *RECIPES[recipe]]
    found = race(load_recipe(recipe, settings, channels=train.STAINS), 3)
    assert found.losses[KIT] == pytest.approx(found.losses[PLAIN], rel=1e-4)
    assert found.gap < 1e-4
    assert len(found.losses[KIT]) == 4
    assert found.losses[KIT][3] != pytest.approx(found.losses[KIT][0], rel=1e-3)


def test_the_ratio_by_hand():
    def steps(*each: float) -> list[dict[str, float]]:
        return [{"views": 5.0, "teacher": 1.0, "student": s, "losses": 0.0, "optimiser": 0.0} for s in each]

    found = Race({KIT: steps(2, 5, 1), PLAIN: steps(1, 3, 3)}, {}, {KIT: [2.0, 3.0], PLAIN: [2.0, 4.0]})
    assert found.ratio == 1.5  # of 3/2, 6/4 and 2/4
    assert found.gap == 0.25
    assert "kit takes 1.500 of plain PyTorch's CPU time" in found.text()


def test_the_command_writes_what_it_prints(tmp_path, capsys):
    sets = [word for setting in (*TINY, "model.patch=14") for word in ("--set", setting)]
    train.main(["demo", *sets, "--rounds", "1", "--json", str(tmp_path / "race.json")])
    found = json.loads((tmp_path / "race.json").read_text())
    assert f"kit takes {found['ratio']:.3f} of" in capsys.readouterr().out
    assert found["threads"] == torch.get_num_threads()
    assert len(found["parts"][KIT]) == 1
    with pytest.raises(SystemExit):
        train.main(["--rounds", "0"])
