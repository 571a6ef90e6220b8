"""What runs on this machine and why: versions, devices, extensions, backends, credentials (present or not, never the value)."""

import importlib.metadata
import os
import platform
import sys

from kit.kaggle.credentials import CREDENTIALS_WAYS, find_credentials
from kit.version import __version__

PACKAGES = (
    "torch",
    "triton",
    "numpy",
    "pandas",
    "zarr",
    "tifffile",
    "imagecodecs",
    "scikit-image",
    "scikit-learn",
    "polars",
    "kaggle",
)


def examine() -> dict:
    """Return a nested dict of plain values, ready for JSON. It works without torch."""
    return {
        "kit": __version__,
        "python": sys.version.split()[0],
        "platform": platform.platform(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "packages": {name: _version(name) for name in PACKAGES},
        "devices": _devices(),
        "compiled modules": _modules(),
        "operations": _operations(),
        "kaggle credentials": _kaggle(),
    }


def to_text(found: dict) -> str:
    """Return `examine`'s dict as indented lines."""
    lines = []
    for key, value in found.items():
        if isinstance(value, dict):
            lines.append(f"{key}:")
            width = max((len(name) for name in value), default=0)
            lines += [f"  {name:<{width}}  {text}" for name, text in value.items()]
        else:
            lines.append(f"{key}: {value}")
    return "\n".join(lines)


def _version(name: str) -> str:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return "not installed"


def _devices() -> dict[str, str]:
    try:
        import torch
    except ImportError as error:
        return {"torch": f"cannot be imported ({error}); score, export, check and submit work without it"}
    devices = {"cpu": f"{torch.get_num_threads()} threads"}
    for index in range(torch.cuda.device_count()):
        major, minor = torch.cuda.get_device_capability(index)
        note = "" if (major, minor) >= (7, 0) else "; too old for this torch's kernels: use a T4 or newer"
        memory = torch.cuda.get_device_properties(index).total_memory / 2**30
        devices[f"cuda:{index}"] = f"{torch.cuda.get_device_name(index)}, sm_{major}{minor}, {memory:.0f} GiB{note}"
    if len(devices) == 1:
        devices["cuda"] = f"none; torch {torch.__version__} is built for {torch.version.cuda or 'the CPU only'}"
    return devices


def _modules() -> dict[str, str]:
    from kit.kernels.extension import cpu_reason, cuda_reason

    return {"kit.kernels._cpu": cpu_reason(), "kit.kernels._cuda": cuda_reason()}


def _operations() -> dict[str, str]:
    from kit.images.source.tiff import decoder
    from kit.kernels import csv_text

    found = {"TIFF decoder": decoder(), "submission CSV": csv_text.backend()}
    rows = {op: f"{name}: {reason}" for op, (name, reason) in found.items()}
    try:
        from kit.kernels.launch import report
    except ImportError as error:
        return {**rows, "views": f"not available: {error}"}
    return {**rows, **{op: f"{backend}: {reason}" for op, backend, reason in report()}}


def _kaggle() -> str:
    found = find_credentials()
    return f"present ({found})" if found else f"absent: {CREDENTIALS_WAYS}"
