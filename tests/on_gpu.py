"""What the tests marked gpu share: the device, and why they are skipped without one.

KIT_GPU_TESTS=cpu rehearses them: the bodies run on the CPU (Triton's kernels in its interpreter) as far as they go there.
"""

import dataclasses
import os

import pytest
import torch

REHEARSED = not torch.cuda.is_available() and os.environ.get("KIT_GPU_TESTS") == "cpu"
DEVICE = torch.device("cpu" if REHEARSED else "cuda")
GPU_TEST = [pytest.mark.gpu, pytest.mark.skipif(not (torch.cuda.is_available() or REHEARSED), reason="no CUDA device here")]


def on_device(part):
    """Return a dataclass with its tensors moved to the device."""
    tensors = {field.name: getattr(part, field.name) for field in dataclasses.fields(part)}
    return dataclasses.replace(part, **{k: v.to(DEVICE) for k, v in tensors.items() if isinstance(v, torch.Tensor)})


def the_store() -> None:
    """Skip where a store cannot be read: on a bare machine without pyarrow."""
    pytest.importorskip("pyarrow", reason="pyarrow is not installed, which a store's tables need")
