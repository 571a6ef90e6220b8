"""The loader on a GPU: the CPU's bits, handed over behind the caller's stream, and no memory left behind."""

import gc

import pytest
import torch

from kit.config import CropsConfig
from kit.images.crops.loader import Crops
from tests.images.made_work import CHANNELS, make_work

pytestmark = [pytest.mark.gpu, pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")]
CONFIG = CropsConfig(global_side=14, local_crops=2, local_side=7)


def run(work, device, epochs):
    for epoch in range(epochs):
        with Crops(work, CONFIG, channels=CHANNELS, batch=8, seed=3, device=device) as crops:
            yield from crops.epoch(epoch)


def test_batches_have_the_bits_of_the_cpu(tmp_path, monkeypatch):
    work = make_work(tmp_path)
    monkeypatch.setattr(
        "kit.images.crops.loader.BUFFER_BYTES", 3 * 2 * 3 * 32 * 32
    )  # parts of 3, 3 and 2: buffers are used again
    for found, expected in zip(run(work, "cuda", 2), run(work, "cpu", 2), strict=True):
        assert found.who == expected.who
        for name, group in expected.groups.items():
            assert found.groups[name].pixels_BCPP.is_cuda
            # used at once on the caller's stream: the handover must have ordered it
            assert torch.equal(found.groups[name].pixels_BCPP.clone().cpu(), group.pixels_BCPP)
            assert torch.equal(found.groups[name].sums_BC.cpu(), group.sums_BC)


def test_no_device_memory_is_left(tmp_path):
    work = make_work(tmp_path, wells=4, sites=2)
    for _ in run(work, "cuda", 5):
        pass
    gc.collect()
    before = torch.cuda.memory_allocated()
    for _ in run(work, "cuda", 100):
        pass
    gc.collect()
    assert torch.cuda.memory_allocated() == before
