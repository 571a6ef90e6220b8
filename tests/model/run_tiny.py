"""Train the tiny network on a small store: `python -m tests.model.run_tiny WORK RUN [--resume]`; the tests kill it."""

import sys
from dataclasses import replace
from pathlib import Path

import torch

from kit.images.store.work import open_work
from kit.model.train import TrainSummary, train
from tests.model.tiny import CHANNELS, tiny_config

CROPS = {"global_side": 16, "second_site": True, "global_area": (0.3, 1.0)}
TRAIN = {"batch": 6, "max_steps": 40, "save_minutes": 0.0, "log_steps": 1, "keep": 3}
LOSS = {"local_aggregation": True, "symmetric": True, "targets": "centring"}
MODEL = {"drop_path": 0.2}


class Store:
    """The store, with statistics and compounds of its own: its small tables have none. A01 is a control."""

    def __init__(self, work):
        self._work = work

    def __getattr__(self, name: str):
        return getattr(self._work, name)

    @property
    def wells(self):
        wells = self._work.wells
        return wells.assign(Metadata_broad_sample=["" if well == "A01" else f"BRD-{well}" for well in wells["Metadata_Well"]])

    def channel_stats(self, channels):
        return [0.5] * len(channels), [0.29] * len(channels)


def run_tiny(work: Path, run: str, *, resume: bool = False, max_hours=None, **changes) -> TrainSummary:
    config = tiny_config(
        crops=CROPS | changes.get("crops", {}),
        train=TRAIN | changes.get("train", {}),
        loss=LOSS | changes.get("loss", {}),
        model=MODEL | changes.get("model", {}),
    )
    config = replace(config, views=replace(config.views, **changes.get("views", {})))
    assert config.channels == CHANNELS
    return train(Store(open_work(work)), run, config, resume=resume, max_hours=max_hours)


if __name__ == "__main__":
    torch.set_num_threads(1)
    run_tiny(Path(sys.argv[1]), sys.argv[2], resume="--resume" in sys.argv)
