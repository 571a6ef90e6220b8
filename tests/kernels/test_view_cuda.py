"""The CUDA twin without a GPU: its kernel's body run by the host, and what nvcc makes of it."""

import importlib
import re
import shutil
import subprocess
from pathlib import Path

import pytest
import torch

from kit.kernels.blur import blur_reference, taps
from kit.kernels.view import view_reference
from kit.kernels.view_compiled import fill_args

from .view_cases import CASES, assert_same_view, flips_allowed, parts_of, random_pixels

ROOT = Path(__file__).parents[2]
PARTS = ("warp", "jitter", "exposure", "noise", "normalise")
KERNELS = {"view.cu": 41, "blur.cu": 2}  # the view: 2 kinds of pixels x 2 x 3 parts x 3 outputs, 3 that standardise, 2 means


@pytest.fixture(scope="module")
def cuda():
    """The extension itself: it loads without a driver."""
    try:
        return importlib.import_module("kit.kernels._cuda")
    except ImportError as error:
        pytest.skip(f"kit.kernels._cuda cannot be loaded: {error}")


@pytest.mark.parametrize("kind", [torch.uint8, torch.float32])
@pytest.mark.parametrize("case", [case for case in CASES if not case.endswith(", crop")])
def test_kernel_body_equals_the_reference(cuda, case, kind):
    pixels, parts = random_pixels(kind=kind), parts_of(case, 3, 5, 40, 33)
    out = torch.empty(pixels.shape)
    cuda.view_on_host(fill_args(cuda.ViewArgs(), pixels, out, **(dict.fromkeys(PARTS) | parts)))
    assert_same_view(out, view_reference(pixels, **parts), flips=flips_allowed(case))


@pytest.mark.parametrize(("H", "W"), [(21, 30), (5, 5), (7, 40)])
def test_blur_body_equals_the_reference(cuda, H, W):
    x = random_pixels(B=4, C=3, H=H, W=W, kind=torch.float32)
    sigma_B, solarise_B = torch.tensor([0.0, 0.7, 2.0, 1.3]), torch.tensor([1, 0, 1, 0], dtype=torch.int32)
    weights_B5, between, out = taps(sigma_B), torch.full_like(x, torch.nan), torch.full_like(x, torch.nan)
    cuda.blur_on_host(x.data_ptr(), weights_B5.data_ptr(), solarise_B.data_ptr(), *x.shape, between.data_ptr(), out.data_ptr())
    torch.testing.assert_close(out, blur_reference(x, sigma_B, solarise_B), rtol=0, atol=1e-6)


def test_channels_are_bounded(cuda):
    with pytest.raises(IndexError, match="64 channels"):
        cuda.ViewArgs().set_output(64, 1.0, 0.0)


def compile_for(tmp_path, source, archs):
    nvcc = shutil.which("nvcc")
    if nvcc is None:
        pytest.skip("nvcc is not on PATH")
    known = subprocess.run([nvcc, "--list-gpu-code"], capture_output=True, text=True, check=True).stdout
    flags = [f"-gencode=arch=compute_{arch},code=sm_{arch}" for arch in archs if f"sm_{arch}" in known]
    command = [nvcc, "-O3", "-std=c++17", "-Xptxas", "-v", f"-I{ROOT}/csrc/common", *flags, "-c", f"{ROOT}/csrc/cuda/{source}"]
    done = subprocess.run([*command, "-o", str(tmp_path / "kernels.o")], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stderr, len(flags)


def assert_no_spills(report, kernels):
    frames = re.findall(r"(\d+) bytes stack frame, (\d+) bytes spill stores, (\d+) bytes spill loads", report)
    assert len(frames) >= kernels
    assert set(frames) == {("0", "0", "0")}
    assert max(map(int, re.findall(r"Used (\d+) registers", report))) <= 80


@pytest.mark.slow
@pytest.mark.parametrize("archs", [(75,), (80, 86, 89), (90, 100, 120)])
@pytest.mark.parametrize("source", KERNELS)
def test_nvcc_spills_nothing(tmp_path, source, archs):
    report, compiled = compile_for(tmp_path, source, archs)
    assert_no_spills(report, KERNELS[source] * compiled)


@pytest.mark.parametrize("source", KERNELS)
def test_the_built_module_spills_nothing(source):
    """What nvcc said when the extension in this checkout was built."""
    reports = sorted((ROOT / "build" / "objects").glob(f"*/csrc/cuda/{source}.ptxas.txt"))
    if not reports:
        pytest.skip("the CUDA extension was not built in this checkout")
    assert_no_spills(max(reports, key=lambda path: path.stat().st_mtime).read_text(), KERNELS[source])
