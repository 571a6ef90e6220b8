"""The dtype that the networks compute in."""

import torch

from kit.config import RunConfig


def precision(config: RunConfig, device: torch.device) -> torch.dtype | None:
    """Return the dtype of mixed precision on a device; None for plain float32."""
    name = config.train.precision
    if name == "auto":
        name = "fp32" if device.type == "cpu" else "bf16" if torch.cuda.is_bf16_supported() else "fp16"
    return {"fp32": None, "bf16": torch.bfloat16, "fp16": torch.float16}[name]
