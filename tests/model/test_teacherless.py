"""Runs of SimCLR and MAE: resumed bit for bit, embedded, watched and shown like any other."""

import math

import pytest
import torch
from safetensors.torch import load

from kit.errors import StoppedCleanly
from kit.model.checkpoint import load_backbone
from kit.model.collapse import Alarm, Signs
from kit.model.history import KINDS, History, read_metrics
from kit.report.training import _panels
from tests.images.made_work import make_work
from tests.model.run_tiny import run_tiny

FEW = {"max_steps": 3, "warmup_epochs": 0.0}
LOSSES = {
    "simclr": {"objective": "simclr", "head_batchnorm": True},
    "mae": {"objective": "mae", "mae_decoder_dim": 16, "mae_decoder_depth": 1, "mae_decoder_heads": 2},
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("work")
    make_work(path, plates=("P1",), wells=8, sites=2)
    return path


@pytest.mark.parametrize(("objective", "kind"), [("simclr", "nt_xent"), ("mae", "mae")])
def test_a_run_is_resumed_bit_for_bit_embedded_and_shown(folder, objective, kind):
    run_tiny(folder, objective, loss=LOSSES[objective], train=FEW)
    with pytest.raises(StoppedCleanly, match="after step 1 of 3, everything saved"):
        run_tiny(folder, f"{objective}-cut", loss=LOSSES[objective], train=FEW, max_hours=0)
    run_tiny(folder, f"{objective}-cut", loss=LOSSES[objective], train=FEW, resume=True)
    runs = [folder / "runs" / name for name in (objective, f"{objective}-cut")]
    whole, cut = (load((run / "checkpoints" / "step_00000003.safetensors").read_bytes()) for run in runs)
    assert whole.keys() == cut.keys()
    assert all(torch.equal(value, cut[name]) for name, value in whole.items())
    network, config, _, _ = load_backbone(runs[0])
    assert config.loss.objective == objective
    assert all(torch.equal(value, whole[f"student.backbone.{name}"]) for name, value in network.state_dict().items())
    history = History.of(read_metrics(runs[0]), config.loss.prototypes)
    assert history.losses["kind"].tolist() == [kind, "loss"] * 3
    assert history.losses["guess"].isna().all()
    assert set(history.signs["sign"]) == {"rank", "spread"}  # there are no targets to watch
    assert list(history.watched()["sign"]) == ["rank", "spread"]
    assert [KINDS[kind], KINDS["loss"]] == list(_panels(history))[:2]


def test_the_collapse_alarm_reads_what_there_is():
    alarm = Alarm(warmup=0)
    said = [line for step in range(51, 60) for line in alarm.read(step, Signs(None, None, rank=5.0, spread=1e-4))]
    assert len(said) == 1
    assert said[0].startswith("collapse at step 54: features are the same for every sample (spread 0.0001")
    assert not math.isnan(alarm.state()["bad"]["entropy"])
