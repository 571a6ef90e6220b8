"""The share of the time that waits for crops is what the loader costs."""

import time

import pytest
import torch

from kit.bench import feeding, loader
from kit.bench.feeding import wait_share

TINY = ("model.dim=24", "model.depth=1", "model.heads=2", "loss.prototypes=16", "loss.head_hidden=16", "loss.head_bottleneck=8")


@pytest.mark.parametrize("pause", [0.0, 0.3])
def test_a_slow_loader_is_waited_for(pause, tmp_path, monkeypatch):
    monkeypatch.setattr(loader, "SIDE", 90)
    monkeypatch.setattr(loader, "WELLS", 4)
    work = loader.make_store(tmp_path)
    real = feeding.endless

    def slow(crops):
        for batch in real(crops):
            time.sleep(pause)
            yield batch

    monkeypatch.setattr(feeding, "endless", slow)
    found, text = wait_share(work, 28, torch.device("cpu"), threads=1, batch=4, steps=2, settings=TINY)
    assert 0 <= found["wait_share"] < 1
    assert f"{found['wait_share']:.1%} of the time waits for crops" in text
    if pause:
        step = 2 * 4 * 3 / found["crops_per_s"] / 2  # seconds, of three crops a sample
        assert found["wait_share"] * step >= pause
