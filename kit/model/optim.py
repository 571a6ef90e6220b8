"""AdamW over DINOv2's parameter groups, gradients clipped per module, the teacher as a moving average of the student."""

from collections.abc import Mapping, Sequence
from itertools import compress

import torch
from torch import Tensor, nn

from kit.config import TrainConfig
from kit.model.schedules import Values


def parameter_groups(modules: Mapping[str, nn.Module], config: TrainConfig) -> list[dict]:
    """Return AdamW groups, one per different (rate factor, decay factor, is the last layer).

    Biases, norms and gammas (every one-dimensional parameter) are not decayed. In a backbone the rate falls by
    `layer_decay` per layer from the last block to the embeddings, and `patch_embed_lr` multiplies that of the patches.
    Source: DINOv2, its param_groups.
    """
    groups: dict[tuple, dict] = {}
    for prefix, module in modules.items():
        depth = len(getattr(module, "blocks", ()))
        for name, parameter in module.named_parameters():
            lr_factor = config.layer_decay ** (depth + 1 - _layer(name, depth)) if depth else 1.0
            if "patch_embed" in name:
                lr_factor *= config.patch_embed_lr
            decay_factor = 0.0 if parameter.ndim == 1 else 1.0
            key = (lr_factor, decay_factor, "last_layer" in name)
            group = groups.setdefault(
                key, {"params": [], "names": [], "lr_factor": lr_factor, "decay_factor": decay_factor, "last_layer": key[2]}
            )
            group["params"].append(parameter)
            group["names"].append(f"{prefix}.{name}")
    return list(groups.values())


def _layer(name: str, depth: int) -> int:
    """The layer of a backbone parameter: 0 the embeddings, 1 to depth the blocks, depth + 1 the final norm."""
    if name.startswith("blocks."):
        return int(name.split(".")[1]) + 1
    return depth + 1 if name.startswith("norm.") else 0


def make_optimiser(modules: Mapping[str, nn.Module], config: TrainConfig) -> torch.optim.AdamW:
    """Return AdamW over the modules; rates and decays are set before each step by `set_values`."""
    # fused: one pass, not ten, and it can be told on the device to change nothing (`step_unless`)
    return torch.optim.AdamW(parameter_groups(modules, config), lr=0.0, betas=config.betas, weight_decay=0.0, fused=True)


def step_unless(optimiser: torch.optim.AdamW, stay: Tensor) -> None:
    """Take a step unless `stay`, a tensor on the device, is true: decided there, so that the host need not wait for it.

    As torch.amp.GradScaler tells a fused optimiser of an overflow.
    """
    optimiser.found_inf = stay.float()  # type: ignore[attr-defined]  # a fused optimiser looks for it
    optimiser.step()
    del optimiser.found_inf  # type: ignore[attr-defined]  # as above


def set_values(optimiser: torch.optim.Optimizer, values: Values) -> None:
    """Give every group the rate and decay of this step."""
    for group in optimiser.param_groups:
        group["lr"] = (values.last_layer_lr if group["last_layer"] else values.lr) * group["lr_factor"]
        group["weight_decay"] = values.weight_decay * group["decay_factor"]


def clip(modules: Mapping[str, nn.Module], most: float) -> dict[str, Tensor]:
    """Clip the gradient norm of each module by itself; return the norms before, 0-dimensional tensors."""
    return {name: nn.utils.clip_grad_norm_(module.parameters(), most) for name, module in modules.items()}


@torch.no_grad()
def move_teacher(teacher: nn.Module, student: nn.Module, momentum: float, stay: Tensor, *, shared: Sequence[str] = ()) -> None:
    """teacher = momentum * teacher + (1 - momentum) * student for all parameters, unless `stay` is true on the device.

    Args:
        shared: how the names of parameters start that the teacher has in common with the student: they are copied.
    """
    names = [name.startswith(tuple(shared)) for name, _ in teacher.named_parameters()]
    old: list[Tensor] = list(teacher.parameters())
    new: list[Tensor] = list(student.parameters())
    if any(names):
        torch._foreach_copy_(list(compress(old, names)), list(compress(new, names)))
    share = torch.where(stay, 0.0, torch.full((), 1 - momentum, dtype=torch.float64, device=stay.device))
    torch._foreach_lerp_(old, new, [share.to(one.dtype) for one in old])
