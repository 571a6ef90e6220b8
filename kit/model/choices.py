"""How the networks of a run compute, not what: layout, attention, compilation. The numbers stay, but for rounding."""

import warnings
from collections.abc import Iterator

import torch
import torch.nn.functional as F

from kit.config import TrainConfig
from kit.errors import UsageError
from kit.model.attention import BACKENDS
from kit.model.blocks import Attention
from kit.model.trained import Trained


def choose_ways(student: Trained, teacher: Trained, config: TrainConfig) -> None:
    """Let student and teacher compute as table [train] says; the student alone recomputes its activations."""
    backbone = student.backbone
    backbone.checkpoint_activations = config.checkpoint_activations
    if backbone.mixer is not None:
        backbone.mixer.checkpoint_activations = config.checkpoint_activations
    for network in {student, teacher}:  # one where the teacher is the student itself
        if config.channels_last:
            for parameter in network.backbone.patch_embed.parameters():
                if parameter.ndim == 4:
                    parameter.data = parameter.data.contiguous(memory_format=torch.channels_last)
        for module in network.modules():
            if isinstance(module, Attention):
                module.backend = config.attention
        if config.compile:
            for part in _compiled_parts(network, config.compile_parts):
                part.compile()


def _compiled_parts(network: Trained, parts: str) -> Iterator[torch.nn.Module]:
    backbone = network.backbone
    if parts == "networks":
        yield from network.parts().values()
        return
    yield from backbone.blocks
    if backbone.mixer is not None:
        yield from backbone.mixer.blocks


def require_attention(name: str, device: torch.device, dtype: torch.dtype | None, width: int) -> None:
    """Check that torch has the attention of `train.attention` here, forwards and backwards, for heads of `width`.

    Raises:
        UsageError: it has not.
    """
    if name == "auto":
        return
    dtype = dtype or torch.float32
    try:
        with warnings.catch_warnings(), torch.nn.attention.sdpa_kernel(BACKENDS[name]):
            warnings.simplefilter("ignore")  # torch gives its reasons as warnings, a paragraph each
            query = torch.zeros(1, 1, 16, width, device=device, dtype=dtype, requires_grad=True)
            F.scaled_dot_product_attention(query, query, query).sum().backward()
    except RuntimeError as error:
        kind = str(dtype).removeprefix("torch.")
        raise UsageError(
            f"train.attention = {name}: torch {torch.__version__} has no such attention for {kind} on {device.type} here; "
            "train.attention = auto takes the best there is"
        ) from error
