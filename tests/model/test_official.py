"""Files with the names, shapes and nestings of DINOv2's, made here: each gives the same network."""

from dataclasses import replace

import pytest
import torch
from safetensors.torch import save_file

from kit.config import ModelConfig
from kit.errors import KitError
from kit.model.official import model_of, official_backbone, put_weights, read_weights, spread_channels
from kit.model.vit import Vit
from tests.model.tiny import assert_near, stir

MODEL = ModelConfig(dim=128, depth=4, heads=2, patch=14, position_side=70, ffn="mlp", drop_path=0.0)


@pytest.fixture(scope="module")
def network():
    network = Vit(MODEL, 3).eval()
    stir(network, 3)
    return network


def chunked(state: dict) -> dict:
    """Two chunks of two blocks; the second counts on, as DINOv2's identity padding makes it."""
    names = {
        name: f"blocks.{int(name.split('.')[1]) // 2}.{name.split('.', 1)[1]}" for name in state if name.startswith("blocks.")
    }
    return {names.get(name, name): value for name, value in state.items()}


def prefixed(state: dict, prefix: str) -> dict:
    return {prefix + name: value for name, value in state.items()}


HEAD = {"dino_head.mlp.0.weight": torch.zeros(2, 2), "dino_head.last_layer.weight_g": torch.zeros(2, 1)}
WRAPPED = {
    "plain": lambda s: s,
    "teacher": lambda s: {"teacher": prefixed(s, "backbone.") | HEAD},
    "module": lambda s: {"model": prefixed(s, "module.backbone.")},
    "chunked": lambda s: {"teacher": prefixed(chunked(s), "backbone.")},
    "both networks": lambda s: (
        prefixed({k: v + 1 for k, v in s.items()}, "student.backbone.")
        | prefixed(s, "teacher.backbone.")
        | prefixed(HEAD, "teacher.")
    ),
    "with optimiser": lambda s: {"state_dict": s, "epoch": 3, "optimizer": {"lr": 0.1}},
}


@pytest.mark.parametrize("wrapping", WRAPPED)
def test_every_wrapping_gives_the_same_network(network, wrapping, tmp_path):
    path = tmp_path / "weights.pth"
    torch.save(WRAPPED[wrapping](dict(network.state_dict())), path)
    found = official_backbone(path, 3)
    assert found.config == MODEL
    assert all(torch.equal(value, found.state_dict()[name]) for name, value in network.state_dict().items())


def test_safetensors_too(network, tmp_path):
    save_file(prefixed(dict(network.state_dict()), "backbone."), tmp_path / "w.safetensors")
    assert torch.equal(official_backbone(tmp_path / "w.safetensors", 3).pos_embed, network.pos_embed)


def test_a_file_of_cell_dinos_layout_loads(tmp_path):
    """As dinov2.hub.cell_dino builds them: bare names, the blocks in four chunks, five channels, patches of 8 px, an MLP."""
    made = Vit(replace(MODEL, patch=8, position_side=32), 5).eval()
    stir(made, 5)
    state = {".".join(("blocks", name.split(".")[1], name[7:])) if name.startswith("blocks.") else name: value
             for name, value in made.state_dict().items()}  # fmt: skip
    torch.save(state, tmp_path / "cell_dino.pth")
    found = official_backbone(tmp_path / "cell_dino.pth", 5)
    assert (found.config, found.channels) == (made.config, 5)
    assert all(torch.equal(value, found.state_dict()[name]) for name, value in made.state_dict().items())


@pytest.mark.parametrize("channels", [1, 3, 5, 8])
def test_equal_channels_give_the_same_features(network, channels, tmp_path):
    """A grey image in every channel must look the same to the spread filters as to the RGB ones, where N is a multiple of 3 or
    the filters of the three colours are alike; the sum of the filters tells it in general."""
    path = tmp_path / "weights.pth"
    torch.save(dict(network.state_dict()), path)
    spread = official_backbone(path, channels).patch_embed.proj.weight
    rgb = network.patch_embed.proj.weight
    for channel in range(channels):
        assert torch.equal(spread[:, channel], rgb[:, channel % 3] * (3 / channels) if channels != 3 else rgb[:, channel])
    six = spread_channels(rgb, 6)
    assert_near(six.sum(1).detach(), rgb.sum(1).detach(), 1e-6)


def test_registers_and_swiglu_are_recognised(tmp_path):
    made = Vit(ModelConfig(dim=64, depth=2, heads=1, patch=14, position_side=56, registers=4, drop_path=0.0), 3)
    found = model_of(dict(made.state_dict()))
    assert (found.registers, found.ffn, found.position_offset, found.position_antialias) == (4, "swiglu", 0.0, True)
    assert Vit(found, 3).state_dict()["blocks.0.mlp.w12.weight"].shape == made.state_dict()["blocks.0.mlp.w12.weight"].shape
    vit_s = Vit(ModelConfig(drop_path=0.0), 3)
    assert Vit(model_of(dict(vit_s.state_dict())), 3).state_dict().keys() == vit_s.state_dict().keys()


def test_the_position_embedding_is_resized(network, tmp_path):
    path = tmp_path / "weights.pth"
    torch.save(dict(network.state_dict()), path)
    small = official_backbone(path, 3, position_side=42)
    x = torch.randn(1, 3, 42, 42, generator=torch.Generator().manual_seed(0))
    assert small.pos_embed.shape == (1, 10, 128)
    assert_near(small(x).cls_BD, network(x).cls_BD.detach(), 1e-5)


class Evil:
    def __reduce__(self):
        return (print, ("code was run",))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "not a file of plain tensors"),
        (b"text, not weights", "not a file of plain tensors"),
        (Evil(), "not a file of plain tensors"),
    ],
    ids=["empty", "text", "code"],
)
def test_what_is_not_weights_is_refused_and_never_run(content, message, tmp_path, capsys):
    path = tmp_path / "weights.pth"
    if isinstance(content, bytes):
        path.write_bytes(content)
    else:
        torch.save({"teacher": content}, path)
    with pytest.raises(KitError, match=message):
        read_weights(path)
    assert "code was run" not in capsys.readouterr().out


def test_weights_of_another_network_are_refused(network, tmp_path):
    path = tmp_path / "weights.pth"
    torch.save({"teacher": {"fc.weight": torch.zeros(2)}}, path)
    with pytest.raises(KitError, match="holds no DINOv2 backbone"):
        read_weights(path)
    with pytest.raises(KitError, match="does not exist"):
        read_weights(tmp_path / "absent.pth")
    other = Vit(ModelConfig(dim=64, depth=4, heads=2, patch=14, position_side=70, ffn="mlp"), 3)
    with pytest.raises(KitError, match=r"has shape \(1, 1, 128\), the network needs \(1, 1, 64\)"):
        put_weights(other, dict(network.state_dict()), path)
    deeper = Vit(ModelConfig(dim=128, depth=5, heads=2, patch=14, position_side=70, ffn="mlp"), 3)
    with pytest.raises(KitError, match=r"has no blocks\.4\."):
        put_weights(deeper, dict(network.state_dict()), path)


@pytest.mark.parametrize(
    "content",
    [torch.zeros(3), [torch.zeros(3)], {"model": 5}, {"teacher": "text"}, {"state_dict": {3: torch.zeros(2)}}, None],
    ids=["a tensor", "a list", "a number inside", "text inside", "numbered tensors", "nothing"],
)
def test_a_file_of_something_else_is_refused_in_one_line(content, tmp_path):
    path = tmp_path / "weights.pth"
    torch.save(content, path)
    with pytest.raises(KitError, match="holds no DINOv2 backbone"):
        read_weights(path)
