"""What a step leaves on the device is read a step later; no checkpoint is written before it is known to be finite."""

from types import SimpleNamespace

import pytest
import torch

import kit.model.loop
from kit.errors import KitError
from kit.model.checkpoint import newest_checkpoint
from kit.model.history import read_metrics
from tests.images.made_work import make_work
from tests.model.run_tiny import run_tiny
from tests.model.tiny import tiny_config


@pytest.mark.parametrize(("save_minutes", "bad_steps", "last_taken", "saved"), [(10.0, 3, 7, None), (0.0, 1, 4, 3)])
def test_bad_steps_are_named_and_no_checkpoint_holds_them(tmp_path, monkeypatch, save_minutes, bad_steps, last_taken, saved):
    """Without a log or a checkpoint in between, the host reads how a step went when the next one is on its way."""
    real, taken = kit.model.loop.make_views, []

    def poisoned(batch, *rest, **more):
        views = real(batch, *rest, **more)
        taken.append(batch.position)
        if len(taken) >= 4:
            views["v1"][0, 0, 0, 0] = float("inf")
        return views

    monkeypatch.setattr(kit.model.loop, "make_views", poisoned)
    make_work(tmp_path)
    last = 4 + bad_steps - 1
    quiet = {"max_steps": 12, "save_minutes": save_minutes, "log_steps": 100}
    with pytest.raises(KitError, match=rf"{bad_steps} steps in a row were not finite, the last at step {last} "):
        run_tiny(tmp_path, "poisoned", train={**quiet, "bad_steps": bad_steps})
    assert len(taken) == last_taken
    skipped = [line for line in read_metrics(tmp_path / "runs" / "poisoned") if line.get("event") == "skipped"]
    assert [line["step"] for line in skipped] == list(range(4, last + 1))
    found = newest_checkpoint(tmp_path / "runs" / "poisoned" / "checkpoints")
    assert (found and found[0]["place"]["step"]) == saved


def test_several_processes_heed_the_wishes_of_the_step_before():
    """All read the same maximum, so all stop at the same step; where a checkpoint must be of this step they wait for it."""
    here = SimpleNamespace(device=torch.device("cpu"))
    session = SimpleNamespace(group=SimpleNamespace(world=2, max=lambda x: x), wishes=None, learner=here)
    session._validates = lambda: False
    session.config = tiny_config(train={"save_minutes": 10.0})

    def agree(*wishes, now=False):
        return kit.model.loop.Session._agree(session, list(wishes), now=now)

    assert agree(True, False) == [False, False]
    assert agree(True, False) == [True, False]
    assert agree(False, True) == [False, False]  # what was heeded is not heeded twice
    assert agree(False, False) == [False, True]
    assert agree(False, True, now=True) == [False, True]
    session._validates = lambda: True
    assert agree(True, False) == [True, False]
    session.group = SimpleNamespace(world=1)
    assert agree(False, True) == [False, True]
