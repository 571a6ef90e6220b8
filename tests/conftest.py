"""Shared fixtures. Without a GPU, Triton's interpreter runs the kernels: set before kit.kernels is imported."""

import os
from pathlib import Path

import pytest

os.environ.setdefault("OMP_NUM_THREADS", "1")  # threads that wait for one another spin; read when torch is imported

try:
    import torch
except ImportError:
    torch = None

if torch is None or not torch.cuda.is_available():
    os.environ.setdefault("TRITON_INTERPRET", "1")
os.environ.setdefault("KIT_QUIET", "1")


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder with real CPJUMP1 images, metadata and profiles: beside the checkout, or named by KIT_REAL_DATA."""
    folder = Path(os.environ.get("KIT_REAL_DATA", Path(__file__).parents[2] / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip("the real CPJUMP1 files are not beside the checkout (KIT_REAL_DATA names another folder)")
    return folder
