"""Run folders: nothing is lost to a kill, a stop, a damaged file or a second start."""

import json
import signal
import time
from dataclasses import replace
from functools import partial
from multiprocessing.process import BaseProcess
from pathlib import Path

import pytest
import torch
from safetensors.torch import load

import kit.model.loop
from kit.errors import KitError, StoppedCleanly, UsageError
from kit.images.store.settings import write_settings
from kit.images.store.work import open_work
from kit.model import checkpoint
from kit.model.checkpoint import drop_old, load_backbone, newest_checkpoint, read_checkpoint
from kit.model.history import read_metrics
from kit.recipe import load_config
from tests.images.made_work import CHANNELS, label, make_work
from tests.model.processes import start
from tests.model.run_tiny import few_prototypes_always, run_tiny

LAST = "step_00000040"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A store and, in it, the run `whole`, trained without a break on one thread."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    path = tmp_path_factory.mktemp("work")
    make_work(path)
    label(path, "P1", "P2")
    run_tiny(path, "whole")
    yield path
    torch.set_num_threads(threads)


def tensors(folder: Path, run: str, step: str = LAST) -> dict[str, torch.Tensor]:
    return load((folder / "runs" / run / "checkpoints" / f"{step}.safetensors").read_bytes())


def assert_same_bits(folder: Path, run: str) -> None:
    expected, found = tensors(folder, "whole"), tensors(folder, run)
    assert expected.keys() == found.keys()
    different = [name for name in expected if not torch.equal(expected[name], found[name])]
    assert not different
    assert any("exp_avg_sq" in name for name in expected)
    losses = [
        [(line["step"], line["loss"]) for line in read_metrics(folder / "runs" / name) if "loss" in line]
        for name in ("whole", run)
    ]
    assert losses[0] == losses[1]
    assert [step for step, _ in losses[0]] == list(range(1, 41))


def wait_for_step(folder: Path, run: str, step: int, process: BaseProcess) -> None:
    path = folder / "runs" / run / "metrics.jsonl"
    deadline = time.monotonic() + 60
    while not (path.is_file() and len(path.read_text().splitlines()) >= step):
        assert process.is_alive() and time.monotonic() < deadline, "the run ended or hung before it could be killed"  # noqa: PT018
        time.sleep(0.005)


def test_resume_after_kill_9_is_bit_for_bit_the_same(folder, tmp_path):
    process = start(tmp_path / "errors", partial(run_tiny, resume=True), folder, "killed")
    wait_for_step(folder, "killed", 11, process)
    process.kill()
    process.join()
    assert process.exitcode == -signal.SIGKILL
    run_tiny(folder, "killed", resume=True)
    assert_same_bits(folder, "killed")


def test_sigterm_saves_and_stops_in_order(folder, tmp_path):
    process = start(tmp_path / "errors", run_tiny, folder, "told")
    wait_for_step(folder, "told", 5, process)
    process.terminate()
    process.join()
    assert "StoppedCleanly: SIGTERM: stopped cleanly after step" in (tmp_path / "errors").read_text()
    run_tiny(folder, "told", resume=True)
    assert_same_bits(folder, "told")


def test_max_hours_stops_in_order(folder):
    with pytest.raises(StoppedCleanly, match="--max-hours 0: stopped cleanly after step 1 of 40, everything saved"):
        run_tiny(folder, "short", max_hours=0)
    run_tiny(folder, "short", resume=True)
    assert_same_bits(folder, "short")


@pytest.mark.parametrize("harm", ["tensors cut", "tensors flipped", "tensors gone", "record cut", "record changed"])
def test_a_damaged_checkpoint_is_noticed_and_the_one_before_used(folder, harm, caplog):
    run = harm.replace(" ", "-")
    with pytest.raises(StoppedCleanly):
        run_tiny(folder, run, max_hours=0)
    with pytest.raises(StoppedCleanly):
        run_tiny(folder, run, max_hours=0, resume=True)
    undamaged = tensors(folder, run, "step_00000002")
    newest = folder / "runs" / run / "checkpoints" / "step_00000002"
    kind, what = harm.split()
    path = newest.with_suffix(".safetensors" if kind == "tensors" else ".json")
    data = path.read_bytes()
    if what == "gone":
        path.unlink()
    elif what == "cut":
        path.write_bytes(data[: len(data) // 2])
    elif what == "flipped":
        middle = len(data) // 2
        path.write_bytes(data[:middle] + bytes([data[middle] ^ 1]) + data[middle + 1 :])
    else:
        path.write_text(data.decode().replace('"step": 2', '"step": 3'))
    with pytest.raises(StoppedCleanly, match="after step 2 of 40"):
        run_tiny(folder, run, max_hours=0, resume=True)
    assert str(path.with_suffix("")) in caplog.text
    assert "using step_00000001.json instead" in caplog.text
    assert all(torch.equal(undamaged[name], value) for name, value in tensors(folder, run, "step_00000002").items())


def test_only_damaged_checkpoints_stop_with_one_line(folder):
    with pytest.raises(StoppedCleanly):
        run_tiny(folder, "lost", max_hours=0)
    (folder / "runs/lost/checkpoints/step_00000001.safetensors").write_bytes(b"")
    with pytest.raises(KitError, match=r"no usable checkpoint in .*: .*step_00000001\.safetensors is damaged"):
        run_tiny(folder, "lost", resume=True)


def test_an_existing_run_is_refused_and_another_configuration_too(folder):
    with pytest.raises(UsageError, match=r"run whole exists in .*; continue it with --resume"):
        run_tiny(folder, "whole")
    with pytest.raises(UsageError, match=r"other values of loss\.koleo_weight, train\.lr: see"):
        run_tiny(folder, "whole", resume=True, train={"lr": 0.1}, loss={"koleo_weight": 0.3})


def test_a_run_records_how_its_pixels_were_stored_and_refuses_others(tmp_path):
    work = make_work(tmp_path)
    run_tiny(tmp_path, "stored", train={"max_steps": 1})
    stored = load_config(tmp_path / "runs" / "stored" / "run.toml").store
    assert stored == work.settings
    write_settings(tmp_path, replace(stored, scale="plate-percentile", bits=16))
    with pytest.raises(UsageError, match=r"other values of store\.scale:"):
        run_tiny(tmp_path, "stored", train={"max_steps": 1}, resume=True)
    write_settings(tmp_path, replace(stored, bits=16))
    run_tiny(tmp_path, "stored", train={"max_steps": 1}, resume=True)


def test_a_baselines_folder_is_no_run(folder):
    (folder / "runs" / "whole-random" / "features").mkdir(parents=True)
    with pytest.raises(UsageError, match="features of a baseline, not a run"):
        run_tiny(folder, "whole-random", resume=True)


def test_a_finished_run_resumed_is_finished(folder):
    before = tensors(folder, "whole")
    assert run_tiny(folder, "whole", resume=True).steps == 40
    assert all(torch.equal(before[name], value) for name, value in tensors(folder, "whole").items())


def test_what_a_run_folder_holds(folder):
    run = folder / "runs" / "whole"
    assert load_config(run / "run.toml").train.max_steps == 40
    assert sorted(path.name for path in (run / "checkpoints").glob("*.json")) == [f"step_000000{n}.json" for n in (38, 39, 40)]
    line = read_metrics(run)[-1]
    assert {"loss", "dino", "ibot", "koleo", "lr", "momentum", "grad_norm", "signs", "data_share"} <= line.keys()
    assert not list(run.rglob("*.part"))


def test_load_backbone_gives_the_teacher(folder):
    network, config, mean_C, sd_C = load_backbone(folder / "runs" / "whole")
    expected = tensors(folder, "whole")
    for name, value in network.state_dict().items():
        assert torch.equal(value, expected[f"teacher.backbone.{name}"])
    assert not torch.equal(network.pos_embed, expected["student.backbone.pos_embed"])
    mean, sd = open_work(folder).channel_stats(CHANNELS)
    assert (config.train.max_steps, mean_C.tolist(), sd_C.tolist()) == (40, pytest.approx(mean), pytest.approx(sd))
    assert mean_C.tolist() == pytest.approx([0.5] * 3, abs=0.01)
    assert not network.training
    with pytest.raises(KitError, match="no checkpoint"):
        load_backbone(folder)
    with pytest.raises(KitError, match="does not exist"):
        load_backbone(folder / "nothing.safetensors")


def test_the_best_checkpoint_is_kept(folder, tmp_path):
    for step in (1, 2, 3, 4):
        for ending in ("json", "safetensors"):
            (tmp_path / f"step_0000000{step}.{ending}").write_text("{}")
    (tmp_path / "best.json").write_text(json.dumps({"step": 2, "score": 0.5}))
    drop_old(tmp_path, 1)
    assert sorted(path.stem for path in tmp_path.glob("step_*.safetensors")) == ["step_00000002", "step_00000004"]


def test_the_online_knn_keeps_the_best_checkpoint(folder):
    run_tiny(folder, "watched", train={"knn_epochs": 0.5, "save_minutes": 60.0, "keep": 1})
    lines = [line for line in read_metrics(folder / "runs" / "watched") if line.get("event") == "knn"]
    assert [line["step"] for line in lines] == [8, 16, 24, 32, 40]
    assert all(line["chance"] == 1 / 11 and line["wells"] == 22 for line in lines)
    best = max(lines, key=lambda line: line["accuracy"])  # the first of equals
    checkpoints = folder / "runs" / "watched" / "checkpoints"
    assert json.loads((checkpoints / "best.json").read_text()) == {"step": best["step"], "score": best["accuracy"]}
    kept = {path.stem for path in checkpoints.glob("step_*.json")}
    assert kept == {f"step_{best['step']:08d}", LAST}
    assert len(list((folder / "runs" / "watched" / "figures").glob("views_*.png"))) == 5
    with_knn, without = tensors(folder, "watched"), tensors(folder, "whole")
    assert all(torch.equal(value, with_knn[name]) for name, value in without.items()), "looking must change nothing"


def test_too_little_memory_says_what_to_change(folder, monkeypatch):
    def full(*_):
        raise torch.OutOfMemoryError("CUDA out of memory")

    with monkeypatch.context() as patch:
        patch.setattr(kit.model.loop, "learn", full)
        with pytest.raises(
            KitError,
            match=r"out of memory at train\.batch = 6: a step needs about .* try --set train\.checkpoint_activations=true",
        ):
            run_tiny(folder, "full")
    run_tiny(folder, "full", resume=True, train={"checkpoint_activations": True})
    assert_same_bits(folder, "full")


def test_a_collapse_stops_the_run_if_asked_to(folder, monkeypatch):
    few_prototypes_always(monkeypatch)
    steps = {"max_steps": 16, "warmup_steps": 8}
    for _ in range(2):  # and again where it is resumed
        with pytest.raises(KitError, match=r"collapse at step 12: .* share a few prototypes \(used 0\.1, below 0\.25\)"):
            run_tiny(folder, "stopped", train={**steps, "on_collapse": "stop"}, resume=True)
        record, _ = newest_checkpoint(folder / "runs" / "stopped" / "checkpoints")
        assert record["place"]["step"] == 12
        last = read_metrics(folder / "runs" / "stopped")[-1]
        assert (last["step"], last["event"], last["what"]) == (12, "collapse", record["alarm"]["said"]["used"])
    run_tiny(folder, "stopped", train={**steps, "on_collapse": "warn"}, resume=True)


def test_losses_that_are_not_finite_are_skipped_then_stop_with_the_samples_named(folder, monkeypatch, caplog):
    real, bad = kit.model.loop.make_views, set()

    def poisoned(batch, *rest, **more):
        views = real(batch, *rest, **more)
        if len(bad) or batch.position in (3, 7, 8, 9, 10, 11):
            views["v1"][0, 0, 0, 0] = float("inf")
        return views

    monkeypatch.setattr(kit.model.loop, "make_views", poisoned)
    with pytest.raises(KitError, match=r"5 steps in a row were not finite, the last at step 11 .* with P[12] A\d\d site \d"):
        run_tiny(folder, "poisoned")
    assert caplog.text.count("is not finite and was skipped") == 6
    record, _ = newest_checkpoint(folder / "runs" / "poisoned" / "checkpoints")
    assert record["place"]["step"] == 10


def test_a_changed_record_is_noticed(folder, tmp_path):
    record = folder / "runs" / "whole" / "checkpoints" / f"{LAST}.json"
    copy = tmp_path / record.name
    copy.write_text(record.read_text().replace('"epoch": 2', '"epoch": 1'))
    with pytest.raises(KitError, match="checksum mismatch"):
        read_checkpoint(copy)


def test_a_run_of_other_random_streams_is_not_resumed_but_embeds(folder):
    """Schema 1 was written before every draw had a stream of its own."""
    run_tiny(folder, "old", train={"max_steps": 2})
    path = max((folder / "runs" / "old" / "checkpoints").glob("step_*.json"))
    record = {key: value for key, value in json.loads(path.read_text()).items() if key != "sha256_self"}
    path.write_text(checkpoint._seal(record | {"schema": 1}))
    with pytest.raises(UsageError, match="run old was trained with the random streams of an earlier version of kit"):
        run_tiny(folder, "old", resume=True, train={"max_steps": 2})
    backbone, config, *_ = load_backbone(folder / "runs" / "old")
    assert config.channels == CHANNELS
    assert torch.equal(backbone.cls_token, read_checkpoint(path)[1]["teacher.backbone.cls_token"])
