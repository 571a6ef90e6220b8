"""The two compiled extensions, or the reason why one is missing. kit works without them, more slowly.

`KIT_NO_EXT=1` in the environment blocks both, to test the plain paths.
"""

import functools
import importlib
import os
from types import ModuleType

INTERFACE = 7  # of the modules that this code calls: csrc/common/interface.h
CUDA_DRIVER_TOO_OLD = 35
CUDA_NO_DEVICE = 100
CUDA_NO_CODE = 209


@functools.cache
def cpu_extension() -> ModuleType | None:
    """Return kit.kernels._cpu, or None when it is not built or blocked; `cpu_reason` says which."""
    return _load("_cpu")[0]


def cpu_reason() -> str:
    """Return "ready", or why kit.kernels._cpu cannot be used."""
    return _load("_cpu")[1]


@functools.cache
def cuda_extension() -> ModuleType | None:
    """Return kit.kernels._cuda if it can run on the current GPU, else None; `cuda_reason` says why."""
    return _load("_cuda")[0] if cuda_reason() == "ready" else None


@functools.cache
def cuda_reason() -> str:
    """Return "ready", or why kit.kernels._cuda cannot be used: not built, no driver, driver too old, no GPU, no code for it."""
    module, reason = _load("_cuda")
    if module is None:
        return reason
    return explain(*module.versions(), *module.device_report())


@functools.cache
def _load(name: str) -> tuple[ModuleType | None, str]:
    if os.environ.get("KIT_NO_EXT") == "1":
        return None, "blocked by KIT_NO_EXT=1"
    try:
        module = importlib.import_module(f"kit.kernels.{name}")
    except ModuleNotFoundError:
        return None, "not built"
    except ImportError as error:  # built for another Python, C++ library or machine
        return None, f"built, but does not load: {error}"
    if getattr(module, "interface", 0) != INTERFACE:
        return None, "built from other sources than this version of kit: build it again (make install, or pip install -e .)"
    return module, "ready"


def loaded(extension: ModuleType | None) -> ModuleType:
    """Return the extension that kit.kernels.launch.choose has found ready."""
    assert extension is not None
    return extension


def explain(driver: int, runtime: int, count: int, code: int, text: str) -> str:
    """Return "ready", or what the CUDA runtime's answers mean.

    Args:
        driver, runtime: CUDA versions, 1000 major + 10 minor; driver 0: none.
        count: devices the driver shows.
        code, text: the runtime's error.
    """
    if code == CUDA_DRIVER_TOO_OLD and driver == 0:
        return "no driver: no NVIDIA driver is installed"
    if code == CUDA_DRIVER_TOO_OLD:
        return f"driver too old: it supports CUDA {_version(driver)}, built for {_version(runtime)}; rebuild with an older nvcc"
    if code == CUDA_NO_DEVICE or (code == 0 and count == 0):
        return "no GPU: the driver reports none"
    if code == CUDA_NO_CODE:
        return "no code for this GPU: rebuild with its architecture in KIT_CUDA_ARCHS"
    return "ready" if code == 0 else f"CUDA error {code}: {text}"


def _version(number: int) -> str:
    return f"{number // 1000}.{number % 1000 // 10}"
