"""A run owns its data: what is added to the store changes no bit of it, what is taken or packed otherwise is refused."""

import json
import os
import shutil
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.torch import load

import kit.model.loop
from kit.errors import KitError, StoppedCleanly
from kit.images.cells.table import WHO, write_cells
from kit.images.ingest.labels import relabel
from kit.images.labels import read_labels
from kit.images.store.settings import write_settings
from kit.images.store.work import open_work
from kit.model import checkpoint, run_data
from kit.model.distributed import Group
from kit.model.history import read_metrics
from kit.model.train import _make_folder
from tests.images import made_work
from tests.images.made_plates import write_metadata
from tests.images.made_work import CHANNELS, change_table, label, made_site, make_work
from tests.model.run_tiny import few_prototypes_always, run_tiny

TRAIN = {"max_steps": 0, "epochs": 0.5, "knn_epochs": 0.5}  # 8 steps over the 96 sites of P1 and P2, then the k-NN


def run(store: Path, name: str, **changes):
    return run_tiny(store, name, **changes | {"train": TRAIN | changes.get("train", {}), "resume": True})


def stop(store: Path, name: str, **changes) -> None:
    """Take one step more and stop."""
    with pytest.raises(StoppedCleanly):
        run(store, name, max_hours=0, **changes)


@pytest.fixture(scope="module")
def template(tmp_path_factory):
    """A store with two runs: `whole`, trained without a break, and `stopped`, after its first step."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    path = tmp_path_factory.mktemp("template")
    make_work(path)
    label(path, "P1", "P2")
    run(path, "whole")
    stop(path, "stopped")
    yield path
    torch.set_num_threads(threads)


@pytest.fixture
def store(template, tmp_path):
    return shutil.copytree(template, tmp_path / "work")


def records(store: Path, name: str) -> list[Path]:
    return sorted((store / "runs" / name / "checkpoints").glob("step_*.json"))


def assert_same_run(store: Path, whole: str, resumed: str) -> None:
    """The same steps, losses, k-NN and collapses, and the last checkpoints equal in every bit."""
    lines = [read_metrics(store / "runs" / name) for name in (whole, resumed)]
    for what in ("loss", "accuracy", "wells", "what"):
        first, second = ([(line["step"], line[what]) for line in part if what in line] for part in lines)
        assert first == second, what
    last = [records(store, name)[-1] for name in (whole, resumed)]
    assert last[0].name == last[1].name
    expected, found = (load(path.with_suffix(".safetensors").read_bytes()) for path in last)
    assert not [name for name in expected if not torch.equal(expected[name], found[name])]
    kept = [json.loads(path.read_text()) for path in last]
    assert [kept[0][key] for key in ("mean", "sd")] == [kept[1][key] for key in ("mean", "sd")]


@pytest.mark.parametrize("plates", [(), ("P1",)], ids=["all plates", "--plates P1"])
def test_three_resumes_with_other_threads_and_plates_added_between_are_the_unbroken_run(store, plates, monkeypatch):
    if plates:
        run(store, "named", plates=plates)
    whole, resumed = ("named", "named-stopped") if plates else ("whole", "stopped")
    for threads, added in ((1, None), (3, "P0"), (2, "P3")):
        monkeypatch.setattr(os, "sched_getaffinity", lambda _, threads=threads: range(threads))
        if added:
            make_work(store, plates=(added,), lines=("A549",), side=32 if added == "P0" else 40)
            label(store, added)
        stop(store, resumed, plates=plates)
    run(store, resumed, plates=plates)
    assert_same_run(store, whole, resumed)
    assert len(open_work(store).plates) == 4


def test_a_run_killed_before_its_first_checkpoint_owns_its_plates(store, monkeypatch):
    def killed(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(kit.model.loop, "learn", killed)
        with pytest.raises(KeyboardInterrupt):
            run(store, "killed")
    assert not records(store, "killed")
    make_work(store, plates=("P3",), lines=("A549",))
    run(store, "killed")
    assert_same_run(store, "whole", "killed")


def test_what_a_run_records(store):
    data = json.loads((store / "runs" / "whole" / "data.json").read_text())
    sites = [(plate, f"A{well:02d}", site) for plate in ("P1", "P2") for well in range(1, 13) for site in range(1, 5)]
    pixels = np.stack([made_site(*site) for site in sites]) / 255
    assert (data["plates"], data["sites"]) == (["P1", "P2"], 96)
    np.testing.assert_allclose(data["mean"], pixels.mean((0, 2, 3)), rtol=1e-12)
    np.testing.assert_allclose(data["sd"], pixels.std((0, 2, 3)), rtol=1e-12)
    assert data["store"] == asdict(open_work(store).settings)
    fingerprints = run_data.read(store / "runs" / "whole").fingerprints()
    assert list(fingerprints) == sites
    assert len(set(fingerprints.values())) == 96
    record = json.loads(records(store, "whole")[-1].read_text())
    assert record["data"] == data
    assert record["mean"] == np.float32(data["mean"]).tolist()
    assert {tuple(row[:2]) for row in data["knn"]} == {site[:2] for site in sites if site[1] != "A01"}


def test_a_lost_data_json_comes_back_from_the_checkpoint(store):
    """A run that is carried to another machine may come without it."""
    file = store / "runs" / "stopped" / "data.json"
    before = run_data.read(file.parent)
    file.unlink()
    make_work(store, plates=("P3",), lines=("A549",))
    run(store, "stopped")
    assert_same_run(store, "whole", "stopped")
    assert run_data.read(file.parent) == before
    file.write_text("{")
    with pytest.raises(KitError, match=r"data\.json is damaged"):
        run_data.read(file.parent)


def a_plate_goes(store: Path, _) -> None:
    (store / "plates" / "P2.parquet").unlink()


def a_site_goes(store: Path, _) -> None:
    change_table(store, "P2", lambda table: table.drop(index=[9, 10]))


def a_channel_goes(store: Path, _) -> None:
    change_table(store, "P2", lambda table: table.assign(channels=["Mito,RNA", *table["channels"][1:]]))


def a_site_comes(store: Path, _) -> None:
    change_table(store, "P1", lambda table: pd.concat([table, table.iloc[[-1]].assign(Metadata_Site=5)]))


def a_site_is_mirrored(store: Path, patch: pytest.MonkeyPatch) -> None:
    """Other pixels with the same sums."""

    def site(plate, well, site, side):
        pixels = made_site(plate, well, site, side)
        return pixels[..., ::-1] if (well, site) == ("A07", 2) else pixels

    patch.setattr(made_work, "made_site", site)
    make_work(store, plates=("P1",))


def a_plate_is_packed_otherwise(store: Path, _) -> None:
    change_table(store, "P1", lambda table: table.assign(AGP_black=1))


REFUSED = {
    a_plate_goes: r"plate P2, which it trains on, is no longer in /",
    a_site_goes: r"plate P2 well A03 site 2 is missing, or lacks a channel \(and 1 more\);",
    a_channel_goes: r"plate P2 well A01 site 1 is missing, or lacks a channel;",
    a_site_comes: r"plate P1 well A12 site 5 was added after the run started;",
    a_site_is_mirrored: r"plate P1 well A07 site 2 was repacked with different pixels;",
    a_plate_is_packed_otherwise: r"plate P1 well A01 site 1 was repacked with different pixels \(and 47 more\);",
}


@pytest.mark.parametrize("change", REFUSED, ids=lambda change: change.__name__)
def test_a_store_that_no_longer_holds_what_the_run_owns_is_refused(store, change, monkeypatch):
    tables = {path: path.read_bytes() for path in (store / "plates").glob("*.parquet")}
    before = {path: path.read_bytes() for path in (store / "runs").rglob("*.*")}
    with monkeypatch.context() as patch:
        change(store, patch)
    with pytest.raises(KitError, match=f"run stopped cannot continue: {REFUSED[change]}") as refused:
        run(store, "stopped")
    assert "\n" not in str(refused.value)
    assert before == {path: path.read_bytes() for path in (store / "runs").rglob("*.*")}
    for path, content in tables.items():
        path.write_bytes(content)
    if change is a_plate_goes:  # put back as it was
        run(store, "stopped")
        assert_same_run(store, "whole", "stopped")


def test_packed_with_other_bits_is_the_same_data_if_the_levels_are(store):
    for plate in ("P1", "P2"):
        change_table(store, plate, lambda table: table.assign(AGP_crc=table["AGP_crc"] + 1))
    write_settings(store, replace(open_work(store).settings, bits=16))
    stop(store, "stopped")
    change_table(store, "P1", lambda table: table.assign(AGP_sumsq8=table["AGP_sumsq8"] + 1))
    with pytest.raises(KitError, match="plate P1 well A01 site 1 was repacked with different pixels"):
        run(store, "stopped")


def test_labels_added_later_change_nothing_and_the_knn_keeps_its_wells(store, tmp_path):
    wells = {f"A{well:02d}": f"OTHER-{well % 3}" for well in range(1, 13)}
    make_work(tmp_path / "bare")
    stop(tmp_path / "bare", "bare")
    labels = read_labels(write_metadata(tmp_path / "metadata", {"P1": "U2OS", "P2": "U2OS"}, wells))
    for plate in ("P1", "P2"):
        for work in (store, tmp_path / "bare"):
            assert relabel(work / "plates" / f"{plate}.parquet", labels) is not None
    run(store, "stopped")
    assert_same_run(store, "whole", "stopped")
    run(tmp_path / "bare", "bare")
    shutil.copytree(tmp_path / "bare" / "runs" / "bare", store / "runs" / "bare")
    assert not [line for line in read_metrics(store / "runs" / "bare") if line.get("event") == "knn"]
    shutil.copy(store / "runs" / "bare" / "metrics.jsonl", store / "runs" / "whole" / "metrics.jsonl")
    assert_same_run(store, "whole", "bare")


def test_cell_lines_that_crops_balance_deals_by_may_not_change(store):
    balance = {"crops": {"balance": "cell_lines"}}
    stop(store, "balanced", **balance)
    label(store, "P1")
    stop(store, "balanced", **balance)
    change_table(store, "P2", lambda table: table.assign(Metadata_Cell_type="U2OS"))
    with pytest.raises(KitError, match=r"balance = cell_lines, and the cell line of plate P2 changed from A549 to U2OS;"):
        run(store, "balanced", **balance)


def without_data(store: Path, name: str, **values) -> None:
    """Make a run as kit wrote it before runs owned their data; `values` take the place of those of its checkpoints."""
    (store / "runs" / name / "data.json").unlink()
    for path in records(store, name):
        record = json.loads(path.read_text())
        kept = {key: value for key, value in record.items() if key not in ("data", "alarm", "bad", "sha256_self")}
        path.write_text(checkpoint._seal(kept | values))


def test_a_checkpoint_without_a_record_goes_on_where_mean_and_sd_are_the_same(store):
    without_data(store, "stopped")
    make_work(store, plates=("P3",), lines=("A549",))
    with pytest.raises(KitError, match=r"does not record its plates, and those in .* give a different mean and sd;"):
        run(store, "stopped")
    (store / "plates" / "P3.parquet").unlink()
    stop(store, "stopped")
    make_work(store, plates=("P3",), lines=("A549",))  # from here on it owns its plates
    run(store, "stopped")
    assert_same_run(store, "whole", "stopped")


def test_a_checkpoint_without_a_record_may_have_mean_and_sd_of_plates_it_did_not_draw_from(store):
    """As kit took them for `--plates P1` where the store held P2 too."""
    stop(store, "named", plates=("P1",))
    mean, sd = (np.float32(values).tolist() for values in open_work(store).channel_stats(CHANNELS))
    without_data(store, "named", mean=mean, sd=sd)
    make_work(store, plates=("P3",), lines=("A549",))
    with pytest.raises(KitError, match="give a different mean and sd"):
        run(store, "named", plates=("P1",))
    (store / "plates" / "P3.parquet").unlink()
    stop(store, "named", plates=("P1",))
    data = run_data.read(store / "runs" / "named")
    assert (data.plates, data.mean, data.sd) == (["P1"], mean, sd)


def test_alarms_come_at_the_step_of_an_unbroken_run_and_once(store, monkeypatch):
    few_prototypes_always(monkeypatch)
    changes = {"train": {"warmup_steps": 1, "knn_epochs": 0.0}}
    run(store, "alarmed", **changes)
    for _ in range(7):
        stop(store, "alarmed-stopped", **changes)
    run(store, "alarmed-stopped", **changes)
    assert_same_run(store, "alarmed", "alarmed-stopped")
    lines = read_metrics(store / "runs" / "alarmed")
    assert [line["step"] for line in lines if line.get("event") == "collapse"] == [5]


def test_steps_that_are_not_finite_count_on_across_resumes(store, monkeypatch):
    real = kit.model.loop.make_views

    def infinite(*rest, **facts):
        return {name: view_BCPP + torch.inf for name, view_BCPP in real(*rest, **facts).items()}

    monkeypatch.setattr(kit.model.loop, "make_views", infinite)
    for _ in range(4):
        stop(store, "poisoned")
    with pytest.raises(KitError, match="5 steps in a row were not finite, the last at step 5 "):
        run(store, "poisoned")


def test_processes_that_found_different_plates_do_not_start(store):
    folder, work = store / "runs" / "whole", open_work(store)
    data = run_data.read(folder)
    second = Group(rank=1)
    _make_folder(folder, data, None, second)
    with pytest.raises(KitError, match=r"data\.json differs from what process 1 found: do not ingest while a run starts"):
        _make_folder(folder, replace(data, plates=work.plates[:1]), None, second)
    assert work.channels == CHANNELS


def test_a_run_around_cells_owns_their_places(tmp_path):
    """Its squares stay where they were: with other cells it does not go on."""
    work = make_work(tmp_path)
    for plate in work.plates:
        sites = work.sites.loc[work.sites["Metadata_Plate"] == plate, WHO]
        write_cells(work, plate, sites.assign(y=12.0, x=20.0), {"made": 1})
    crops = {"around": "cell", "cell_px": 20}
    stop(tmp_path, "cells", crops=crops)
    write_cells(open_work(tmp_path), "P2", sites.assign(y=12.0, x=21.0), {"made": 2})
    with pytest.raises(
        KitError, match=r"cannot continue: crops.around = cell, and the cells of .* are not those that it began with"
    ):
        run(tmp_path, "cells", crops=crops)
