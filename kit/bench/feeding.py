"""Does the loader keep a device busy? Training steps of the SSLProfiler recipe on crops from a store."""

import time
from collections.abc import Generator
from contextlib import closing

import torch

from kit.bench.step_case import STAINS, new_learner, wait
from kit.images.crops.loader import CropBatch, Crops
from kit.images.store.work import Work
from kit.model.step import learn
from kit.model.views import make_views
from kit.recipe import load_recipe

WARM_UP = 3  # steps: kernels are compiled, memory is allocated, the loader gets ahead


def wait_share(
    work: Work, side: int, device: torch.device, *, threads: int, batch: int = 8, steps: int = 12, settings: tuple[str, ...] = ()
) -> tuple[dict, str]:
    """Return the share of its time that the device waits for crops while it takes ViT-S steps, and a line that says so.

    The device is waited for at the end of every step, so what the host then waits for crops the device waits too: an upper bound
    of what a training sees, which prepares steps ahead.
    """
    sizes = [f"crops.global_side={side}", f"train.batch={batch}", *settings]
    config = load_recipe("sslprofiler-local", sizes, channels=STAINS)
    learner = new_learner(config, device)
    mean_C, sd_C = torch.full((len(STAINS),), 0.3, device=device), torch.full((len(STAINS),), 0.2, device=device)
    names = learner.arrangement.groups
    waited = taken = 0.0
    loader = Crops(work, config.crops, channels=STAINS, batch=batch, seed=0, threads=threads, device=device)
    with loader as crops, closing(endless(crops)) as source:
        for step in range(WARM_UP + steps):
            start = time.perf_counter()
            made = next(source)
            there = time.perf_counter()
            views = make_views(made, names, config.views, seed=0, channel_groups=config.channel_groups, mean_C=mean_C, sd_C=sd_C)
            learn(learner, views, step)
            wait(device)
            if step >= WARM_UP:
                waited += there - start
                taken += time.perf_counter() - start
    rate = steps * batch * len(names) / taken
    text = (
        f"steps at {side} px, batch {batch}, {device.type}: {rate:.0f} crops/s, {waited / taken:.1%} of the time waits for crops"
    )
    found = {"name": f"steps from the store, {side} px", "threads": threads, "wait_share": waited / taken, "crops_per_s": rate}
    return found, text


def endless(crops: Crops) -> Generator[CropBatch, None, None]:
    """Yield the batches of epoch 0, 1 ... without end."""
    epoch = 0
    while True:
        yield from crops.epoch(epoch)
        epoch += 1
