"""Train the tiny network on a small store: `python -m tests.model.run_tiny WORK RUN [--resume]`; the tests kill it."""

import sys
from dataclasses import replace
from pathlib import Path

import torch

import kit.model.collapse
import kit.model.loop
from kit.images.store.work import open_work
from kit.model.train import TrainSummary, train
from tests.model.tiny import CHANNELS, tiny_config

CROPS = {"global_side": 16, "second_site": True, "global_area": (0.3, 1.0)}
TRAIN = {"batch": 6, "max_steps": 40, "save_minutes": 0.0, "log_steps": 1, "keep": 3}
LOSS = {"local_aggregation": True, "symmetric": True, "targets": "centring"}
MODEL = {"drop_path": 0.2}


def few_prototypes_always(monkeypatch) -> None:
    """Let every reading of the signs be that of a collapse, one that counts after the warm-up."""
    signs = kit.model.collapse.Signs(entropy=0.7, used=0.1, rank=5.0, spread=0.3)
    monkeypatch.setattr(kit.model.loop, "read_signs", lambda *_: signs)
    monkeypatch.setattr(kit.model.collapse, "QUIET", 0)


def run_tiny(work: Path, run: str, *, resume: bool = False, max_hours=None, **changes) -> TrainSummary:
    config = tiny_config(
        crops=CROPS | changes.get("crops", {}),
        train=TRAIN | changes.get("train", {}),
        loss=LOSS | changes.get("loss", {}),
        model=MODEL | changes.get("model", {}),
    )
    config = replace(config, views=replace(config.views, **changes.get("views", {})), plates=changes.get("plates", ()))
    assert config.channels == CHANNELS
    return train(open_work(work), run, config, resume=resume, max_hours=max_hours)


if __name__ == "__main__":
    torch.set_num_threads(1)
    run_tiny(Path(sys.argv[1]), sys.argv[2], resume="--resume" in sys.argv)
