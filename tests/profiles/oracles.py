"""Other people's tools that kit is held to, where they are installed."""

import importlib
import importlib.metadata
from types import ModuleType

import pytest


def pycytominer() -> ModuleType:
    """Return pycytominer, or skip the test and say why."""
    try:
        found = importlib.metadata.version("pycytominer")
    except importlib.metadata.PackageNotFoundError:
        pytest.skip("pycytominer is not installed: pip install 'pycytominer>=1.7.1'")
    if tuple(int(part) for part in found.split(".")[:3]) < (1, 7, 1):
        pytest.skip(f"pycytominer {found} is installed, and the test takes 1.7.1 or later")
    return importlib.import_module("pycytominer")
