"""The dtype that the networks compute in."""

import torch
from torch import Tensor

from kit.config import RunConfig


def precision(config: RunConfig, device: torch.device) -> torch.dtype | None:
    """Return the dtype of mixed precision on a device; None for plain float32."""
    name = config.train.precision
    if name == "auto":
        name = "fp32" if device.type == "cpu" else "bf16" if torch.cuda.is_bf16_supported() else "fp16"
    return {"fp32": None, "bf16": torch.bfloat16, "fp16": torch.float16}[name]


def at_least_float32(x: Tensor) -> Tensor:
    """Return a tensor as float32, or as it is where it is float64."""
    return x if x.dtype == torch.float64 else x.float()
