"""The loader on a GPU: the CPU's bits, handed over behind the caller's stream, and no memory left behind."""

import gc

import pytest
import torch

from tests.on_gpu import DEVICE, GPU_TEST, REHEARSED, the_store

pytestmark = GPU_TEST


@pytest.fixture
def run(tmp_path):
    """Yield a function of a device, a number of epochs and the wells: the batches of that many loaders."""
    the_store()
    from kit.config import CropsConfig
    from kit.images.crops.loader import Crops
    from tests.images.made_work import CHANNELS, make_work

    def batches(device, epochs, wells=12, sites=4):
        folder = tmp_path / f"{wells} wells"
        work = make_work(folder, wells=wells, sites=sites) if not folder.exists() else made[wells]
        made[wells] = work
        config = CropsConfig(global_side=14, local_crops=2, local_side=7)
        for epoch in range(epochs):
            with Crops(work, config, channels=CHANNELS, batch=8, seed=3, device=device) as crops:
                yield from crops.epoch(epoch)

    made = {}
    return batches


def test_batches_have_the_bits_of_the_cpu(run, monkeypatch):
    monkeypatch.setattr(
        "kit.images.crops.loader.BUFFER_BYTES", 3 * 2 * 3 * 32 * 32
    )  # parts of 3, 3 and 2: buffers are used again
    for found, expected in zip(run(DEVICE.type, 2), run("cpu", 2), strict=True):
        assert found.who == expected.who
        for name, group in expected.groups.items():
            assert found.groups[name].pixels_BCPP.device.type == DEVICE.type
            # used at once on the caller's stream: the handover must have ordered it
            assert torch.equal(found.groups[name].pixels_BCPP.clone().cpu(), group.pixels_BCPP)
            assert torch.equal(found.groups[name].sums_BC.cpu(), group.sums_BC)


def test_no_device_memory_is_left(run):
    for _ in run(DEVICE.type, 5, wells=4, sites=2):
        pass
    gc.collect()
    before = torch.cuda.memory_allocated() if not REHEARSED else 0
    for _ in run(DEVICE.type, 5 if REHEARSED else 100, wells=4, sites=2):
        pass
    gc.collect()
    assert REHEARSED or torch.cuda.memory_allocated() == before
