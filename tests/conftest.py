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
os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # read at a process's first product: deterministic algorithms need it


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder with real CPJUMP1 images, metadata and profiles: beside the checkout, or named by KIT_REAL_DATA."""
    folder = Path(os.environ.get("KIT_REAL_DATA", Path(__file__).parents[2] / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip("the real CPJUMP1 files are not beside the checkout (KIT_REAL_DATA names another folder)")
    return folder


@pytest.fixture(scope="session")
def packed(real_data, tmp_path_factory) -> tuple[Path, str]:
    """Return the work folder of the real images, and what kit ingest said: packed once for all tests that only read it."""
    from tests.commands import kit_command

    work = tmp_path_factory.mktemp("real") / "work"
    done = kit_command("ingest", real_data / "cpjump1_images", "--metadata", real_data / "cpjump1_metadata", "--work", work,
                       "--jobs", 1)  # fmt: skip
    return work, done.stdout
