"""Sites to vectors by two processes: the same files, bit for bit, as by one."""

import json
import os
import shutil
from pathlib import Path

import pytest
import torch
import torch.distributed as dist

import kit
import kit.profiles.embed as module
from kit.errors import UsageError
from kit.model.distributed import join_group
from kit.profiles.embed import embed
from kit.profiles.share import ALONE, Share, join_share
from tests.images.made_work import make_work
from tests.model.processes import run_two_ranks
from tests.profiles.test_embed import put_run

PLATES = ("P1", "P2", "P3")


def test_every_item_is_of_one_share():
    for world in (1, 2, 3, 7):
        shares = [Share(rank, world).of(PLATES) for rank in range(world)]
        assert sorted(item for share in shares for item in share) == list(PLATES)
        assert max(map(len, shares)) - min(map(len, shares)) <= 1


def test_without_torchrun_all_work_is_of_one(monkeypatch):
    for name in ("RANK", "WORLD_SIZE", "LOCAL_RANK"):
        monkeypatch.delenv(name, raising=False)
    assert join_share() is ALONE
    monkeypatch.setenv("RANK", "0")
    with pytest.raises(UsageError, match="RANK is set but WORLD_SIZE, LOCAL_RANK is not"):
        join_share()


def test_more_processes_than_gpus_are_refused(monkeypatch):
    for name, value in {"RANK": "2", "WORLD_SIZE": "3", "LOCAL_RANK": "2"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    with pytest.raises(UsageError, match="process 3 on a machine with 2 GPUs: --nproc-per-node 2"):
        join_group()


def one_of_two(rank: int, path: Path) -> None:
    """Embed as torchrun would start it; keep what this process wrote, in its order, and what it returned."""
    torch.set_num_threads(1)
    os.environ |= {"RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": "2"}
    dist.init_process_group("gloo", init_method=f"file://{path.parent}/store", rank=rank, world_size=2)
    written, plain = [], {"write_table": module.write_table, "write_whole": module.write_whole}

    def noted(name):
        def write(*arguments):
            written.extend(str(item.name) for item in arguments if isinstance(item, Path))
            plain[name](*arguments)

        return write

    for name in plain:
        setattr(module, name, noted(name))
    done = [embed(kit.open(path), "tiny", baseline=baseline).text() for baseline in (None, None, "intensity")]
    (path.parent / f"{rank}.json").write_text(json.dumps({"written": written, "done": done}))
    dist.destroy_process_group()


def test_two_processes_write_the_files_of_one(tmp_path):
    for place in ("one", "two"):
        made = make_work(tmp_path / place, plates=PLATES, wells=2, sites=2, lines=("U2OS", "A549", "U2OS"))
        for plate in PLATES:
            table_path = made.path / "plates" / f"{plate}.parquet"
            table = kit.open(made.path).sites.query("Metadata_Plate == @plate").reset_index(drop=True)
            sums = {f"{channel}_{name}": 7.0 for channel in ("Mito", "AGP", "RNA") for name in ("sum8", "sumsq8", "mean", "sd")}
            table.assign(**sums).to_parquet(table_path)
        put_run(made.path, "tiny", batch=3)
    shutil.copytree(tmp_path / "one" / "runs", tmp_path / "two" / "runs", dirs_exist_ok=True)  # the same weights
    stale = tmp_path / "two" / "runs" / "tiny" / "features" / "P0.parquet"
    stale.parent.mkdir()
    stale.write_text("of other weights")
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    expected = [embed(kit.open(tmp_path / "one"), "tiny", baseline=baseline).text() for baseline in (None, None, "intensity")]
    torch.set_num_threads(threads)
    run_two_ranks(one_of_two, tmp_path / "two")
    first, second = (json.loads((tmp_path / f"{rank}.json").read_text()) for rank in range(2))
    assert first["done"] == second["done"] == expected
    assert "3 plates already embedded" in expected[1]
    record, raw = "features.json", ["P1.parquet", "P3.parquet", "features.json"]
    assert first["written"] == ["P1.parquet", "P3.parquet", record, record, *raw, *raw], "the record last, by the first process"
    assert second["written"] == ["P2.parquet"] * 3
    for run in ("tiny", "tiny-intensity", "tiny-intensity-raw"):
        one, two = (tmp_path / place / "runs" / run / "features" for place in ("one", "two"))
        names = sorted(file.name for file in one.iterdir())
        assert names == sorted(file.name for file in two.iterdir()) == ["P1.parquet", "P2.parquet", "P3.parquet", record]
        assert [(one / name).read_bytes() for name in names] == [(two / name).read_bytes() for name in names]
