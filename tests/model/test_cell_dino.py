"""The recipes of Cell-DINO train on a CPU, from random weights and from a published file."""

import pytest
import torch

import kit.model.loop
from kit.config import ModelConfig
from kit.errors import UsageError
from kit.model.official import spread_channels
from kit.model.train import train
from kit.model.vit import seeded_vit
from kit.recipe import load_recipe
from tests.images.made_work import CHANNELS, make_work

SMALL = {
    "cell-dino-vits": ("crops.global_side=8", "crops.local_side=4", "crops.local_crops=2", "model.patch=4"),
    "cell-dino-plus-vits": ("crops.global_side=8", "crops.local_side=4", "crops.local_crops=2", "model.patch=4"),
    "cell-dino-small-vits": ("crops.global_side=16", "crops.around=site", "embed.crop=16", "model.patch=8"),
}  # fmt: skip
TINY = (
    "model.position_side=16", "embed.side=16", "model.dim=64", "model.heads=1", "model.depth=2", "loss.prototypes=16",
    "loss.head_hidden=16", "loss.head_bottleneck=8", "train.batch=4", "train.max_steps=2", "train.warmup_steps=1",
)  # fmt: skip


@pytest.fixture(scope="module")
def work(tmp_path_factory):
    path = tmp_path_factory.mktemp("cell-dino")
    return make_work(path, plates=("P1",), wells=4, sites=2)


def small(recipe: str, *settings: str):
    return load_recipe(recipe, (*SMALL[recipe], *TINY, *settings), channels=CHANNELS)


@pytest.mark.parametrize("recipe", ["cell-dino-vits", "cell-dino-small-vits"])
def test_a_recipe_trains(work, recipe):
    summary = train(work, recipe, small(recipe))
    assert summary.steps == 2
    assert 0 < summary.last["loss"] < float("inf")


def test_cell_dino_plus_starts_from_a_file_of_published_weights(work, tmp_path, monkeypatch):
    config = small("cell-dino-plus-vits")
    with pytest.raises(UsageError, match=r"starts from published weights: give their file, --set model\.weights=FILE"):
        train(work, "plus", config)
    made = seeded_vit(ModelConfig(dim=64, depth=2, heads=1, patch=4, position_side=16, ffn="mlp", drop_path=0.0), 3, 8)
    file, state = tmp_path / "dinov2.pth", made.state_dict()
    torch.save(state, file)
    learn, seen = kit.model.loop.learn, []

    def look(learner, *more):
        seen.append({name: value.clone() for name, value in learner.teacher.backbone.state_dict().items()})
        assert all(torch.equal(value, learner.student.backbone.state_dict()[name]) for name, value in seen[0].items()) or seen[1:]
        return learn(learner, *more)

    monkeypatch.setattr(kit.model.loop, "learn", look)
    train(work, "plus", small("cell-dino-plus-vits", f"model.weights={file}"))
    expected = state | {"patch_embed.proj.weight": spread_channels(state["patch_embed.proj.weight"], 3)}
    assert all(torch.equal(seen[0][name], value) for name, value in expected.items())
    assert train(work, "random", small("cell-dino-plus-vits", "model.pretrained=false")).steps == 2
