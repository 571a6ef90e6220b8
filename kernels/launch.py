"""Choose the backend of an op, with the reason; argument checks shared by the public ops.

Backends: `triton` (GPU; with TRITON_INTERPRET=1 also CPU tensors, for tests), `cuda` (the compiled extension kit.kernels._cuda),
`cpp` (the compiled extension kit.kernels._cpu), `torch` (anywhere). KIT_BACKEND=triton|cuda|cpp|torch overrides the choice.
"""

import functools
import importlib.util
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

from kit.kernels.extension import cpu_reason, cuda_reason

if TYPE_CHECKING:
    import torch

BACKENDS = ("triton", "cuda", "cpp", "torch")

# Every op and the backends it is written for, best first on a GPU; torch always works.
OPS = {
    "tile": ("cuda", "cpp"),
    "random_words": ("triton", "cpp"),
    "elastic_lattice": ("cpp",),
    "channel_jitter": ("triton", "cuda", "cpp"),
    "microscope_noise": ("triton", "cuda", "cpp"),
    "elastic_warp": ("triton", "cuda", "cpp"),
    "clipped_means": ("triton", "cuda", "cpp"),
    "view": ("triton", "cuda", "cpp"),
    "blur": ("triton", "cuda", "cpp"),
    "band_moments": ("cpp",),
    "high_pass": ("cpp",),
    "granularity": ("cpp",),
    "haar_products": ("cpp",),
}


@dataclass(frozen=True)
class Choice:
    """A backend and the reason for it, one sentence."""

    backend: str
    reason: str


def choose(op: str, device: "torch.device | str") -> Choice:
    """Return the backend that runs `op` on tensors of `device` (a torch.device or "cpu", "cuda", "cuda:1").

    Raises:
        ValueError: KIT_BACKEND is no backend, or asks for one that cannot run here.
    """
    return _choose(op, str(device), os.environ.get("KIT_BACKEND", "auto"))


def report() -> list[tuple[str, str, str]]:
    """Return (op, backend, reason) for every op on this machine's best device, for `kit doctor`."""
    if importlib.util.find_spec("torch") is None:
        return [(op, "none", "torch is not installed") for op in OPS]
    import torch

    device = "cuda" if torch.cuda.is_available() else "cpu"
    return [_row(op, device) for op in OPS]


def _row(op: str, device: str) -> tuple[str, str, str]:
    try:
        choice = choose(op, device)
    except ValueError as error:  # KIT_BACKEND names a backend that cannot run: report it and continue
        return op, "refused", str(error)
    return op, choice.backend, choice.reason


@functools.cache
def _choose(op: str, device: str, wanted: str) -> Choice:
    offers = OPS[op]
    if wanted not in ("auto", *BACKENDS):
        raise ValueError(f"KIT_BACKEND={wanted}: need one of {', '.join(BACKENDS)}, or auto")
    found = {name: _can_run(name, device) for name in (*offers, "torch")}
    if wanted in found:
        runs, why = found[wanted]
        if not runs:
            raise ValueError(f"KIT_BACKEND={wanted} cannot run {op} on {device}: {why}")
        return Choice(wanted, f"KIT_BACKEND={wanted}")
    aside = "" if wanted == "auto" else f" ({op} has no {wanted} version)"
    for name in _preference(device, offers):
        if found[name][0]:
            return Choice(name, found[name][1] + aside)
    return Choice("torch", "; ".join(f"{name}: {why}" for name, (_, why) in found.items() if name != "torch") + aside)


def _preference(device: str, offers: tuple[str, ...]) -> tuple[str, ...]:
    if device.startswith("cpu"):
        return tuple(name for name in ("cpp",) if name in offers)  # the interpreter is for tests: only on request
    if _capability(device) < (8, 0):  # Triton's makers do not support sm_75: our own kernel first
        return tuple(name for name in ("cuda", "triton") if name in offers)
    return tuple(name for name in ("triton", "cuda") if name in offers)


def _can_run(name: str, device: str) -> tuple[bool, str]:
    on_gpu = device.startswith("cuda")
    if name == "torch":
        return True, "plain PyTorch runs anywhere"
    if name == "cpp":
        return (False, "for CPU tensors only") if on_gpu else _compiled("_cpu", cpu_reason())
    if name == "cuda":
        return _compiled("_cuda", cuda_reason()) if on_gpu else (False, "for GPU tensors only")
    if importlib.util.find_spec("triton") is None:
        return False, "Triton is not installed"
    if not on_gpu:
        interpreted = os.environ.get("TRITON_INTERPRET") == "1"
        return interpreted, "Triton's interpreter" if interpreted else "Triton needs a GPU, or TRITON_INTERPRET=1"
    major, minor = _capability(device)
    if (major, minor) < (7, 5):
        return False, f"Triton has no code for compute capability {major}.{minor}; use a T4, L4 or later"
    return True, f"compute capability {major}.{minor}"


def _compiled(name: str, reason: str) -> tuple[bool, str]:
    return reason == "ready", f"the compiled extension {name}" if reason == "ready" else f"the extension {name} is {reason}"


@functools.cache
def _capability(device: str) -> tuple[int, int]:
    import torch

    return torch.cuda.get_device_capability(device) if torch.cuda.is_available() else (0, 0)


def require(ok: bool, argument: str, found: object, need: str) -> None:
    """Raise a ValueError that names the argument, what it is, and what it has to be, unless `ok`."""
    if not ok:
        raise ValueError(f"{argument} is {found}: need {need}")


def require_tensor(
    argument: str,
    tensor: "torch.Tensor",
    *,
    dtypes: "tuple[torch.dtype, ...]",
    shape: tuple[int | None, ...],
    device: "torch.device",
) -> None:
    """Check one tensor: dtype, shape (None: any length), device, contiguity.

    Raises:
        ValueError: naming the argument.
    """
    require(tensor.dtype in dtypes, argument, tensor.dtype, " or ".join(str(d).removeprefix("torch.") for d in dtypes))
    fits = tensor.ndim == len(shape) and all(n in (None, m) for n, m in zip(shape, tensor.shape, strict=True))
    require(fits, argument, f"of shape {list(tensor.shape)}", f"{['any' if n is None else n for n in shape]}")
    require(tensor.device == device, argument, f"on {tensor.device}", f"the device of the pixels, {device}")
    require(tensor.is_contiguous(), argument, "not contiguous", "a contiguous tensor")
