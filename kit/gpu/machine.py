"""What numbers depend on: the card, its driver, the versions, the commit."""

import json
import os
import platform
import re
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

_TORCH = """
import json, importlib.metadata as m
found = {}
for name in ("numpy", "triton", "torch"):
    try:
        found[name] = m.version(name)
    except m.PackageNotFoundError:
        found[name] = None
try:
    import torch
    found |= {"cuda": torch.version.cuda, "gpu": torch.cuda.is_available()}
except ImportError as error:
    found |= {"cuda": None, "gpu": False, "error": str(error)}
print(json.dumps(found))
"""


def torch_facts(python: str | Path) -> dict:
    """Return the versions of torch, triton and numpy that a Python has, and `gpu`: whether torch sees one."""
    said = _ask([python, "-c", _TORCH])
    return json.loads(said) if said else {"torch": None, "gpu": False}


def card_facts() -> dict:
    """Return the card's name, memory, compute capability and driver as nvidia-smi gives them; empty without it."""
    keys = ("name", "memory.total", "compute_cap", "driver_version")
    said = _ask(["nvidia-smi", f"--query-gpu={','.join(keys)}", "--format=csv,noheader"])
    fields = [value.strip() for value in said.splitlines()[0].split(",")] if said else []
    if len(fields) != len(keys):
        return {}
    return dict(zip(("card", "memory", "capability", "driver"), fields, strict=True)) | {"cards": len(said.splitlines())}


def tool_facts(root: Path) -> dict:
    """Return the versions of Python, nvcc and the system, the CPUs, and the commit of the checkout."""
    nvcc = re.search(r"release ([\d.]+)", _ask([tool("nvcc") or "nvcc", "--version"]))
    return {
        "commit": commit(root),
        "system": platform.platform(),
        "cpus": len(os.sched_getaffinity(0)),
        "nvcc": nvcc[1] if nvcc else None,
        "compute_sanitizer": tool("compute-sanitizer") is not None,
    }


def tool(name: str) -> str | None:
    """Return the path of a tool of the CUDA toolkit: on PATH, or in the toolkit's own folder, which often is not on it."""
    home = os.environ.get("CUDA_HOME") or os.environ.get("CUDA_PATH") or "/usr/local/cuda"
    return shutil.which(name) or shutil.which(name, path=f"{home}/bin{os.pathsep}{home}/compute-sanitizer")


def commit(root: Path) -> str:
    """Return the commit: $COMMIT, which a machine without the repository needs, or what git says, with a + for changed files."""
    named = os.environ.get("COMMIT", "")
    if named:
        return named
    head = _ask(["git", "-C", root, "rev-parse", "--short=12", "HEAD"])
    changed = _ask(["git", "-C", root, "status", "--porcelain", "--untracked-files=no"])
    return head + "+" * bool(changed) if head else "unknown"


def capabilities() -> str:
    """Return the architectures of the cards that are here, as setup.py takes them: 90 or 80,90; empty without a card."""
    said = _ask(["nvidia-smi", "--query-gpu=compute_cap", "--format=csv,noheader"]).split()
    return ",".join(sorted({line.replace(".", "") for line in said if re.fullmatch(r"\d+\.\d", line)}))


def _ask(command: Sequence[str | Path]) -> str:
    """Return what a command prints; empty if there is none such, or it fails."""
    try:
        done = subprocess.run([str(word) for word in command], capture_output=True, text=True, check=False, timeout=60)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""
