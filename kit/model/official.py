"""Published weights: DINOv2's files in all their formats, for any number of channels.

A file may nest its tensors under `teacher`, `student`, `model` or `state_dict`, prefix them with `module.` or `backbone.`, also
hold heads, and name blocks `blocks.{chunk}.{index}`. It is loaded without executing code.
"""

import math
import pickle
import zipfile
from dataclasses import replace
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from kit.config import ModelConfig
from kit.errors import KitError
from kit.model.positions import resize_positions
from kit.model.vit import Vit, seeded_vit

WRAPPINGS = ("teacher", "student", "model", "state_dict")
PREFIXES = ("module.", "teacher.", "student.", "backbone.")
FILTERS = "patch_embed.proj.weight"  # of the linear patches: the one tensor whose shape depends on the channels
HEAD_WIDTH = 64  # of every published DINOv2; the files do not say how many heads there are


def read_weights(path: Path) -> dict[str, Tensor]:
    """Return the backbone's tensors of a .safetensors or torch file by DINOv2's plain names.

    Raises:
        KitError: no such file, not a weights file, one that would run code, or one without a ViT in it.
    """
    path = Path(path)
    if not path.is_file():
        raise KitError(f"weights file {path} does not exist")
    safe = path.suffix == ".safetensors"
    if not safe and not zipfile.is_zipfile(path):
        raise KitError(f"{path} is not a file of plain tensors: neither .safetensors nor what torch.save writes")
    try:
        table = load_file(path) if safe else torch.load(path, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, SafetensorError, RuntimeError) as error:
        raise KitError(f"{path} is not a file of plain tensors: {str(error).splitlines()[0]}") from error
    tensors = plain_names(table)
    if "cls_token" not in tensors or "pos_embed" not in tensors:
        raise KitError(f"{path} holds no DINOv2 backbone: cls_token or pos_embed is missing")
    if FILTERS not in tensors:
        raise KitError(f"{path} holds no DINOv2 backbone: {FILTERS} is missing")
    return tensors


def plain_names(content: object) -> dict[str, Tensor]:
    """Return a file's backbone tensors under plain names: unnested, prefixes and heads taken off, blocks unchunked; or none."""
    while isinstance(content, dict) and not any(isinstance(value, Tensor) for value in content.values()):
        content = next((content[key] for key in WRAPPINGS if key in content), None)
    table = content if isinstance(content, dict) else {}  # a file may hold anything
    named = {name: value for name, value in table.items() if isinstance(name, str) and isinstance(value, Tensor)}
    if any(name.startswith("teacher.") for name in named):
        named = {name: value for name, value in named.items() if name.startswith("teacher.")}
    tensors = {}
    for name, value in named.items():
        while prefix := next((prefix for prefix in PREFIXES if name.startswith(prefix)), None):
            name = name.removeprefix(prefix)
        if not name.startswith(("dino_head.", "ibot_head.", "head.")):
            tensors[name] = value
    return _unchunk(tensors)


def _unchunk(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """blocks.{chunk}.{index}.x -> blocks.{index}.x; DINOv2's index counts on over the chunks."""
    plain = {}
    for name, value in tensors.items():
        parts = name.split(".")
        if parts[0] == "blocks" and parts[2].isdigit():
            name = ".".join(("blocks", *parts[2:]))
        if name in plain:
            raise KitError(f"two tensors map to {name}: this file restarts its block numbers in every chunk")
        plain[name] = value
    return plain


def model_of(tensors: dict[str, Tensor]) -> ModelConfig:
    """Return the shape of the network that weights belong to."""
    dim = tensors["cls_token"].shape[-1]
    patch = tensors[FILTERS].shape[-1]
    depth = 1 + max(int(name.split(".")[1]) for name in tensors if name.startswith("blocks."))
    swiglu = "blocks.0.mlp.w12.weight" in tensors
    hidden = tensors["blocks.0.mlp.w12.weight" if swiglu else "blocks.0.mlp.fc1.weight"].shape[0]
    registers = tensors["register_tokens"].shape[1] if "register_tokens" in tensors else 0
    return ModelConfig(
        dim=dim,
        depth=depth,
        heads=max(dim // HEAD_WIDTH, 1),
        patch=patch,
        position_side=patch * math.isqrt(tensors["pos_embed"].shape[1] - 1),
        ffn="swiglu" if swiglu else "mlp",
        ffn_ratio=hidden / 2 * 1.5 / dim if swiglu else hidden / dim,
        registers=registers,
        drop_path=0.0,
        position_offset=0.0 if registers else 0.1,
        position_antialias=registers > 0,
    )


def file_channels(tensors: dict[str, Tensor]) -> int:
    """Return how many channels the file's patch filters take."""
    return tensors[FILTERS].shape[1]


def spread_channels(weight_DCPP: Tensor, channels: int) -> Tensor:
    """Return patch filters for `channels` channels: the given ones in turn, scaled so that equal channels sum to the same."""
    given = weight_DCPP.shape[1]
    if given == channels:
        return weight_DCPP
    return weight_DCPP[:, torch.arange(channels) % given] * (given / channels)


def put_weights(network: Vit, tensors: dict[str, Tensor], source: Path) -> None:
    """Load published weights into a network: channels spread, the position embedding resized to the network's own grid.

    Raises:
        KitError: the weights belong to a network of another shape; names the first tensor that does not fit.
    """
    tensors = dict(tensors)
    tensors[FILTERS] = spread_channels(tensors[FILTERS], network.channels)
    side = network.config.position_side // network.config.patch
    if tensors["pos_embed"].shape[1] != 1 + side * side and tensors["pos_embed"].shape[-1] == network.config.dim:
        tensors["pos_embed"] = resize_positions(tensors["pos_embed"], side, side, network.config)
    own = network.state_dict()
    tensors.setdefault("mask_token", own["mask_token"])
    for name, value in own.items():
        if name not in tensors:
            raise KitError(
                f"{source} has no {name}: it has a different architecture (model.ffn, model.registers, model.depth, model.stem)"
            )
        if tensors[name].shape != value.shape:
            found, need = tuple(tensors[name].shape), tuple(value.shape)
            raise KitError(f"{source}: {name} has shape {found}, the network needs {need}; set the [model] table to match")
    extra = sorted(tensors.keys() - own.keys())
    if extra:
        raise KitError(f"{source} has {extra[0]}, which the network lacks (model.ffn, model.registers, model.depth, model.stem)")
    network.load_state_dict(tensors)


def official_backbone(path: Path, channels: int, *, position_side: int | None = None) -> Vit:
    """Return the backbone of a published file for `channels` channels, in evaluation mode.

    Args:
        position_side: pixels; store the position embedding for this crop side instead of the file's own.
    """
    tensors = read_weights(path)
    config = model_of(tensors)
    network = seeded_vit(replace(config, position_side=position_side or config.position_side), channels, 0)
    put_weights(network, tensors, path)
    return network.requires_grad_(False).eval()
