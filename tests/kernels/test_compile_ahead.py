"""Every Triton kernel compiles for every GPU generation, without stack or local memory and within its budget. No GPU needed.

The budgets are the counts that one Triton version gave (budgets.json; `python -m kit.kernels.compile_ahead --write FILE` makes
them anew): a kernel that grows by more than a tenth fails here.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("triton", reason="Triton is for Linux only")

import triton

BUDGETS = json.loads((Path(__file__).parent / "budgets.json").read_text())
MOST_REGISTERS = 80
EVERY_ARCH = "75,80,86,89,90,100,120"


def compile_all(tmp_path, archs: str, only: str) -> dict:
    """Run the compiler in a process of its own: TRITON_INTERPRET must not be set there. A fresh cache, so that it compiles."""
    environment = {key: value for key, value in os.environ.items() if key != "TRITON_INTERPRET"}
    environment["TRITON_CACHE_DIR"] = str(tmp_path / "cache")
    table = tmp_path / "table.json"
    command = [sys.executable, "-m", "kit.kernels.compile_ahead", "--archs", archs, "--only", only, "--write", str(table)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads(table.read_text())["kernels"]


def check(table: dict) -> None:
    margin = 1.1 if triton.__version__ == BUDGETS["triton"] else 1.4  # another version, another optimiser
    for name, archs in table.items():
        for arch, found in archs.items():
            where = f"{name}, {arch}"
            assert found["stack"] == found["local"] == 0, f"{where}: {found}"
            assert found["registers"] <= MOST_REGISTERS, f"{where}: {found}"
            assert found["instructions"] <= margin * BUDGETS["kernels"][name][arch]["instructions"], f"{where}: {found}"


@pytest.mark.parametrize(
    ("archs", "only", "count"),
    [("75", "view all, uint8 to float16", 1), ("90", "view many photons, uint8 to bfloat16", 1), ("80", "blur", 2)],
)
def test_a_few_kernels_stay_within_budget(tmp_path, archs, only, count):
    table = compile_all(tmp_path, archs, only)
    assert len(table) == count
    check(table)


@pytest.mark.slow
@pytest.mark.parametrize("arch", EVERY_ARCH.split(","))
def test_every_kernel_stays_within_budget(tmp_path, arch):
    table = compile_all(tmp_path, arch, "")
    assert table.keys() == BUDGETS["kernels"].keys()
    check(table)


def test_the_check_can_fail():
    name = next(iter(BUDGETS["kernels"]))
    good = BUDGETS["kernels"][name]["sm_90"]
    check({name: {"sm_90": good}})
    for change in ({"local": 4}, {"registers": 90}, {"instructions": 2 * good["instructions"]}):
        with pytest.raises(AssertionError, match=name):
            check({name: {"sm_90": good | change}})
