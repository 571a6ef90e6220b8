"""The loader when things go wrong: damaged chunks, a store that goes away, an interrupt; and nothing is left behind."""

import gc
import logging
import os
import shutil
import signal
import subprocess
import sys
import textwrap
import threading
from pathlib import Path

import pytest
import torch

from kit.config import CropsConfig
from kit.errors import KitError
from kit.images.crops.loader import Crops
from kit.images.store.work import open_work
from tests.images.made_work import CHANNELS, make_work

CONFIG = CropsConfig(global_side=14)
ROOT = Path(__file__).parents[3]


def loader(work, on_bad="fail", **rest):
    config = CropsConfig(global_side=14, on_bad=on_bad)
    return Crops(work, config, channels=CHANNELS, batch=8, seed=3, **rest)


def crops_threads():
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("crops")]


def damage(work, plate, well, site, channel):
    """Change one byte of one image."""
    container = work.container(plate)
    path, chunk = container.shard(well), container.chunk(site, channel)
    size = path.stat().st_size - container.chunks * 16 - 4
    index = path.read_bytes()[size:]
    offset = int.from_bytes(index[16 * chunk : 16 * chunk + 8], "little")
    data = bytearray(path.read_bytes())
    data[offset + 5] ^= 255
    path.write_bytes(data)


def test_a_damaged_image_is_named_and_ends_the_run(tmp_path):
    work = make_work(tmp_path)
    damage(work, "P2", "A03", 2, "AGP")
    with loader(work) as crops, pytest.raises(KitError, match=r"plate P2 well A03 site 2 AGP in .*checksum.*crops.on_bad = skip"):
        list(crops.epoch(0))
    assert not crops_threads()


def test_skip_replaces_by_another_site_of_the_well_and_counts_once(tmp_path, caplog):
    whole = make_work(tmp_path / "whole")
    with loader(whole) as crops:
        expected = [batch for epoch in range(2) for batch in crops.epoch(epoch)]
    work = make_work(tmp_path / "work")
    damage(work, "P2", "A03", 2, "AGP")
    damage(work, "P1", "A07", 1, "RNA")
    runs = []
    for threads in (1, 4):
        caplog.clear()
        with loader(work, "skip", threads=threads) as crops, caplog.at_level(logging.WARNING):
            runs.append([batch for epoch in range(2) for batch in crops.epoch(epoch)])
            assert crops.skipped == 2
        assert len(caplog.records) == 2
        assert "plate P2 well A03 site 2 AGP" in caplog.text
    bad = {("P2", "A03", 2), ("P1", "A07", 1)}
    replaced = 0
    for batch, again, was in zip(*runs, expected, strict=True):
        assert batch.who == again.who
        for name, group in batch.groups.items():
            assert torch.equal(group.pixels_BCPP, again.groups[name].pixels_BCPP)
        for slot, (who, before) in enumerate(zip(batch.who, was.who, strict=True)):
            shown = {(*who[:2], who.site), (*who[:2], who.second_site)}
            assert not shown & bad
            assert len(shown) == 2  # the replacement is not the other view's site
            assert who[:2] == before[:2]
            if who == before:
                for name, group in batch.groups.items():
                    assert torch.equal(group.pixels_BCPP[slot], was.groups[name].pixels_BCPP[slot])
            else:
                replaced += 1
    assert replaced >= 4  # each bad site comes up at least once an epoch, as first or second


def test_skip_takes_another_well_where_a_whole_well_is_damaged(tmp_path):
    work = make_work(tmp_path)
    damaged = {("P1", "A05"), ("P1", "A06"), ("P2", "A01"), ("P2", "A11")}
    for plate, well in damaged:
        path = work.container(plate).shard(well)
        path.write_bytes(path.read_bytes()[:-7])
    with loader(work, "skip") as crops:
        for batch in crops.epoch(0):
            wells = {who[:2] for who in batch.who}
            assert not wells & damaged
            assert len(wells) == 8  # two replacements in one batch are two wells
        assert crops.skipped >= 4


def test_nothing_left_to_take_is_one_clear_line(tmp_path):
    work = make_work(tmp_path, plates=("P1",), wells=8)
    for well in work.container("P1").wells:
        work.container("P1").shard(well).write_bytes(b"nothing")
    with loader(work, "skip") as crops, pytest.raises(KitError, match="no readable site is left"):
        list(crops.epoch(0))


@pytest.mark.parametrize("on_bad", ["fail", "skip"])
def test_a_store_that_is_removed_ends_the_run_with_one_line(tmp_path, on_bad):
    work = make_work(tmp_path / "work")
    with loader(work, on_bad) as crops:
        batches = crops.epoch(0)
        next(batches)
        shutil.rmtree(tmp_path / "work")
        with pytest.raises(KitError, match=r"the store .* is gone"):
            list(batches)
        with pytest.raises(KitError, match=r"the store .* is gone"):
            list(crops.epoch(1))
    assert not crops_threads()


def test_plates_of_different_size_are_refused(tmp_path):
    make_work(tmp_path, plates=("P1",), side=32)
    make_work(tmp_path, plates=("P2",), side=40)
    with pytest.raises(KitError, match="sites of P1 are 32 x 32 px, those of P2 40 x 40"):
        loader(open_work(tmp_path))


def test_leaving_an_epoch_early_ends_its_thread(tmp_path):
    with loader(make_work(tmp_path)) as crops:
        batches = crops.epoch(0)
        next(batches)
        with pytest.raises(ValueError, match="one epoch at a time"):
            next(crops.epoch(1))
        batches.close()
        assert "crops-drive" not in crops_threads()
        assert len(list(crops.epoch(1))) == crops.steps_per_epoch
    assert not crops_threads()


def test_closing_the_loader_ends_an_open_epoch(tmp_path):
    crops = loader(make_work(tmp_path))
    batches = crops.epoch(0)
    next(batches)
    crops.close()
    assert not crops_threads()
    assert list(batches) == []


INTERRUPTED = """
    import signal, sys, threading, time
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell may start background jobs with SIGINT ignored
    from pathlib import Path
    from kit.config import CropsConfig
    from kit.images.crops.loader import Crops
    from kit.images.store.work import open_work
    work = open_work(Path(sys.argv[1]))
    try:
        with Crops(work, CropsConfig(global_side=14), channels=("Mito", "AGP", "RNA"), batch=8, seed=0) as crops:
            for batch in crops.epoch(0):
                print("ready", flush=True)
                for _ in range(6000):
                    time.sleep(0.01)  # a signal that comes just before a long sleep would be seen only after it
                print("went on", flush=True)
    finally:
        print([thread.name for thread in threading.enumerate()], flush=True)
"""


def test_an_interrupt_ends_all_threads(tmp_path):
    make_work(tmp_path)
    command = [sys.executable, "-c", textwrap.dedent(INTERRUPTED), str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=ROOT) as run:
        assert run.stdout.readline() == b"ready\n"
        run.send_signal(signal.SIGINT)
        out, err = run.communicate(timeout=300)  # a thread that stays would keep it for ever
    errors = err.decode()
    assert out == b"['MainThread']\n"  # and nothing else: the batch at hand was the last
    assert run.returncode == -signal.SIGINT
    assert errors.rstrip().endswith("KeyboardInterrupt")
    assert "crops" not in errors.split("KeyboardInterrupt")[-1]


def resources():
    gc.collect()
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return len(os.listdir("/proc/self/fd")), threading.active_count(), pages * os.sysconf("SC_PAGE_SIZE")


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="counts handles and memory in /proc")
def test_a_thousand_epochs_leak_nothing(tmp_path):
    work = make_work(tmp_path, plates=("P1",), wells=4, sites=2, side=64)
    config = CropsConfig(global_side=28, local_crops=2, local_side=14)

    def run(epochs):
        for epoch in range(epochs):
            with Crops(work, config, channels=CHANNELS, batch=4, seed=0) as crops:  # a new loader every time: the harder case
                for batch in crops.epoch(epoch):
                    assert len(batch.who) == 4

    run(50)
    handles, threads, memory = resources()
    run(1000)
    after = resources()
    assert after[0] <= handles
    assert after[1] <= threads  # fewer is no leak: a thread of another test may have ended meanwhile
    assert after[2] - memory < 8 * 2**20
