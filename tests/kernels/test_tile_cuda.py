"""The tile op's CUDA kernel: its threads one by one on the CPU against the reference, and on a GPU where there is one."""

import ctypes
import shutil
import subprocess
from pathlib import Path

import pytest
import torch

from kit.kernels.extension import cuda_reason
from kit.kernels.tile import tile, tile_reference
from tests.on_gpu import DEVICE, GPU_TEST, REHEARSED

from .test_tile import made_boxes, made_sites

ROOT = Path(__file__).parents[2]
needs_cuda = pytest.mark.skipif(not REHEARSED and cuda_reason() != "ready", reason=f"the CUDA extension is {cuda_reason()}")


def on_gpu(test):
    for mark in GPU_TEST:
        test = mark(test)
    return test


SIZES = [(40, 50, 16), (65, 71, 33), (17, 16, 40), (15, 90, 1), (1, 1, 7), (300, 41, 9), (70, 67, 65)]


@pytest.fixture(scope="module")
def kernel_on_cpu(tmp_path_factory):
    """The kernel's device functions, compiled by the host's compiler with address checks off and every block run in turn."""
    compiler = shutil.which("g++") or shutil.which("c++")
    if compiler is None:
        pytest.skip("no C++ compiler")
    library = tmp_path_factory.mktemp("tile") / "tile_on_cpu.so"
    source = Path(__file__).with_name("tile_on_cpu.cpp")
    subprocess.run(
        [compiler, "-O1", "-std=c++17", "-shared", "-fPIC", f"-I{ROOT / 'csrc' / 'common'}", str(source), "-o", str(library)],
        check=True,
    )
    return ctypes.CDLL(str(library)).run


@pytest.mark.parametrize("edge", [32, 8, 1])
@pytest.mark.parametrize(("H", "W", "side"), SIZES)
def test_every_thread_of_the_kernel_does_what_the_reference_does(kernel_on_cpu, H, W, side, edge):
    sites = made_sites(H=H, W=W)
    site, box, flip, turn = made_boxes(12, 2, H, W, seed=side)
    expected, expected_sums = tile_reference(sites, site, box, flip, turn, side=side)
    table = torch.cat([site[:, None], box, flip[:, None].long(), turn[:, None]], dim=1).int()
    found, sums = torch.zeros_like(expected), torch.zeros_like(expected_sums)
    long, pointer = ctypes.c_int64, ctypes.c_void_p
    failed = kernel_on_cpu(
        pointer(sites.data_ptr()), long(sites.numel()), long(3), long(H), long(W), pointer(table.data_ptr()), long(12),
        side, int(box[:, 2:].max()), edge, pointer(found.data_ptr()), pointer(sums.data_ptr()),
    )  # fmt: skip
    assert not failed
    assert torch.equal(found, expected)
    assert torch.equal(sums, expected_sums)


@needs_cuda
@on_gpu
@pytest.mark.parametrize("source", ["device", "pinned"])
@pytest.mark.parametrize(("H", "W", "side"), SIZES)
def test_cuda_equals_reference_bit_for_bit(H, W, side, source):
    if REHEARSED and source == "pinned":
        pytest.skip("pinned memory needs a GPU")
    sites = made_sites(H=H, W=W)
    args = made_boxes(24, 2, H, W, seed=side)
    expected, expected_sums = tile_reference(sites, *args, side=side)
    out = torch.empty(expected.shape, dtype=torch.uint8, device=DEVICE)
    found, sums = tile(sites.to(DEVICE) if source == "device" else sites.pin_memory(), *args, side=side, out_BCPP=out)
    assert torch.equal(found.cpu(), expected)
    assert torch.equal(sums.cpu(), expected_sums)


@needs_cuda
@on_gpu
def test_host_memory_that_is_not_pinned_is_refused():
    if REHEARSED:
        pytest.skip("host memory is what a CPU takes")
    out = torch.empty(1, 3, 8, 8, dtype=torch.uint8, device="cuda")
    with pytest.raises(ValueError, match="pinned"):
        tile(made_sites(), torch.tensor([0]), torch.tensor([[0, 0, 5, 5]]), side=8, out_BCPP=out)
