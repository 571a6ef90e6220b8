"""Compile kit from the source in a folder of wheels, without a network, in place of the pure Python that is installed."""

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from kit.errors import KitError
from kit.files import existing_folder
from kit.wheels.folder import source_of
from kit.wheels.resolving import check_pip


def compile_here(folder: Path) -> str:
    """Compile and install kit for this machine's Python and GPUs, and return what became of its modules.

    Raises:
        UsageError: no such folder, or no source in it.
        KitError: pip could not; what was installed stays.
    """
    check_pip()
    source = source_of(existing_folder(folder))
    with tempfile.TemporaryDirectory() as name:
        if source.is_dir():  # an attached data set is read-only, and a build writes beside the sources
            source = Path(shutil.copytree(source, Path(name) / "source", copy_function=shutil.copyfile))
        command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-index", "--find-links", str(folder), "--no-deps",
                   "--force-reinstall", "--no-cache-dir", str(source)]  # fmt: skip
        done = subprocess.run(command, capture_output=True, text=True, check=False, env={**os.environ, **_gpus()})
    if done.returncode:
        said = [line for line in done.stderr.splitlines() if line.strip()]
        raise KitError(
            f"kit could not be compiled here and stays as it was: {said[-1] if said else 'pip failed'}", tuple(said[-12:-1])
        )
    report = "from kit.kernels.extension import cpu_reason, cuda_reason; print(f'_cpu: {cpu_reason()}; _cuda: {cuda_reason()}')"
    told = subprocess.run([sys.executable, "-c", report], capture_output=True, text=True, check=False, cwd="/")
    return told.stdout.strip() or told.stderr.strip()


def _gpus() -> dict[str, str]:
    """Compile for the GPUs that are here alone, where the driver names them: 75 for a T4."""
    if "KIT_CUDA_ARCHS" in os.environ or shutil.which("nvidia-smi") is None:
        return {}
    asked = ["nvidia-smi", "--query-gpu=compute_cap", "--format=csv,noheader"]
    said = subprocess.run(asked, capture_output=True, text=True, check=False).stdout.split()
    archs = sorted({line.replace(".", "") for line in said if line.replace(".", "").isdigit()})
    return {"KIT_CUDA_ARCHS": ",".join(archs)} if archs else {}
