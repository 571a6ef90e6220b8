"""What is said of the licence of published weights: by their shape, by what a file says, or that nothing is known."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from kit.config import ModelConfig
from kit.model.licences import RELEASES, UNKNOWN, licence_of
from kit.model.vit import Vit

FAIR = "FAIR Noncommercial Research License: for research only"
SMALL, LARGE = {"dim": 384, "depth": 12, "heads": 6}, {"dim": 1024, "depth": 24, "heads": 16}


def shapes(channels: int, patch: int, side: int, **model) -> dict[str, torch.Tensor]:
    with torch.device("meta"):
        return Vit(ModelConfig(patch=patch, position_side=side, drop_path=0.0, ffn="mlp", **model), channels).state_dict()


@pytest.mark.parametrize(
    ("channels", "patch", "side", "model", "said"),
    [
        (3, 14, 518, SMALL, "Apache-2.0, if this is DINOv2's ViT-S/14, whose shape it has"),
        (3, 14, 518, SMALL | {"registers": 4}, "Apache-2.0, if this is DINOv2's ViT-S/14, whose shape it has"),
        (5, 8, 128, SMALL, f"{FAIR}, if this is Cell-DINO's ViT-S/8 of Cell Painting, whose shape it has"),
        (1, 16, 224, LARGE, f"{FAIR}, if this is Cell-DINO's channel-adaptive ViT-L/16, whose shape it has"),
        (3, 8, 128, SMALL, UNKNOWN),
        (5, 8, 128, SMALL | {"depth": 6}, UNKNOWN),
    ],
)  # fmt: skip
def test_the_shape_of_a_release_names_its_licence(channels, patch, side, model, said):
    tensors = shapes(channels, patch, side, **model)
    assert licence_of(Path("w.pth"), tensors) == said


def test_no_research_weights_are_called_free():
    assert all(licence == (FAIR if "Cell-DINO" in release else "Apache-2.0") for release, licence in RELEASES.values())


@pytest.mark.parametrize(
    ("about", "said"),
    [({"license": "CC-BY-4.0"}, "CC-BY-4.0, as the file says"), ({"licence": "MIT\n"}, "MIT, as the file says"), (None, UNKNOWN)],
)
def test_what_a_file_says_counts_first(about, said, tmp_path):
    save_file({"x": torch.zeros(1)}, tmp_path / "w.safetensors", about)
    assert licence_of(tmp_path / "w.safetensors", shapes(3, 14, 56, dim=64, depth=1, heads=1)) == said
