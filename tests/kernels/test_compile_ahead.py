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


FEW = (  # architecture, part of the kernels' name, how many they are
    ("75", "view all, uint8 to float16", 1),
    ("90", "view many photons, uint8 to bfloat16", 1),
    ("80", "blur", 2),
)
FEW_AT_ONCE = """
import sys
from kit.kernels.compile_ahead import main
for number, (arch, only, _) in enumerate({few}):
    sys.argv[1:] = ["--archs", arch, "--only", only, "--write", f"{{number}}.json"]
    main()
"""


def run(command: list[str], folder: Path) -> None:
    """Run the compiler in a process of its own: TRITON_INTERPRET must not be set there. A fresh cache, so that it compiles."""
    environment = {key: value for key, value in os.environ.items() if key != "TRITON_INTERPRET"}
    environment["TRITON_CACHE_DIR"] = str(folder / "cache")
    done = subprocess.run([sys.executable, *command], env=environment, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]


def kernels_of(path: Path) -> dict:
    return json.loads(path.read_text())["kernels"]


def check(table: dict) -> None:
    margin = 1.1 if triton.__version__ == BUDGETS["triton"] else 1.4  # another version, another optimiser
    for name, archs in table.items():
        for arch, found in archs.items():
            where = f"{name}, {arch}"
            assert found["stack"] == found["local"] == 0, f"{where}: {found}"
            assert found["registers"] <= MOST_REGISTERS, f"{where}: {found}"
            assert found["instructions"] <= margin * BUDGETS["kernels"][name][arch]["instructions"], f"{where}: {found}"


@pytest.fixture(scope="module")
def few(tmp_path_factory) -> Path:
    """The tables of FEW, compiled one after the other in one process: importing torch takes longer than a kernel."""
    folder = tmp_path_factory.mktemp("few")
    run(["-c", FEW_AT_ONCE.format(few=FEW)], folder)
    return folder


@pytest.mark.parametrize("number", range(len(FEW)))
def test_a_few_kernels_stay_within_budget(few, number):
    table = kernels_of(few / f"{number}.json")
    arch, only, count = FEW[number]
    assert len(table) == count
    assert all(only in name and archs.keys() == {f"sm_{arch}"} for name, archs in table.items())
    check(table)


@pytest.mark.slow
@pytest.mark.parametrize("arch", EVERY_ARCH.split(","))
def test_every_kernel_stays_within_budget(tmp_path, arch):
    run(["-m", "kit.kernels.compile_ahead", "--archs", arch, "--write", "table.json"], tmp_path)
    table = kernels_of(tmp_path / "table.json")
    assert table.keys() == BUDGETS["kernels"].keys()
    check(table)


def test_the_check_can_fail():
    name = next(iter(BUDGETS["kernels"]))
    good = BUDGETS["kernels"][name]["sm_90"]
    check({name: {"sm_90": good}})
    for change in ({"local": 4}, {"registers": 90}, {"instructions": 2 * good["instructions"]}):
        with pytest.raises(AssertionError, match=name):
            check({name: {"sm_90": good | change}})
