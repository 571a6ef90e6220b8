"""Killed, starved, crowded: an ingest that ends at any moment goes on to the very same bytes."""

import multiprocessing
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from kit.errors import KitError
from kit.images.ingest import well as packing
from kit.images.ingest.plan import IngestPlan
from kit.images.ingest.run import ingest
from kit.images.store.work import open_work
from tests.images.made_plates import acquisition_xml, write_metadata, write_plate

WELLS = tuple(f"{row}{col:02d}" for row in "ABC" for col in (1, 2, 3, 4))
FORKS = multiprocessing.get_context("forkserver")  # a process for each ingest, the imports done once
FORKS.set_forkserver_preload(["__main__", __name__])


def noted_ingest(source: Path, work: Path, metadata: Path, log: Path) -> None:
    """Ingest, with a dot in `log` for each image that is decoded."""
    decode = packing.read_levels

    def noted(*args, **options):
        with open(log, "ab") as file:
            file.write(b".")
        return decode(*args, **options)

    packing.read_levels = noted
    ingest(IngestPlan(source, work, metadata=metadata, jobs=2))


@pytest.fixture
def plates(tmp_path):
    source = tmp_path / "images"
    write_plate(source, "BR01", wells=WELLS, sites=(1, 2, 3), channels=(1, 2, 5), side=96, xml=acquisition_xml({1: (0.0, 0.0)}))
    write_plate(source, "BR02", wells=WELLS, sites=(1, 2, 3), channels=(1, 2, 5), side=96)
    metadata = write_metadata(tmp_path / "metadata", {"BR01": "U2OS", "BR02": "A549"}, dict.fromkeys(WELLS, ""))
    return source, metadata


def start(*paths: Path) -> multiprocessing.process.BaseProcess:
    process = FORKS.Process(target=noted_ingest, args=paths)
    process.start()
    return process


def start_and_see(source: Path, work: Path, metadata: Path, log: Path) -> multiprocessing.process.BaseProcess:
    """Return when the first image has been decoded."""
    log.touch()
    process = start(source, work, metadata, log)
    while not log.stat().st_size and process.exitcode is None:
        time.sleep(0.002)
    return process


def ended(process: multiprocessing.process.BaseProcess) -> int | None:
    process.join()
    return process.exitcode


def snapshot(work: Path) -> dict[str, bytes]:
    files = {str(path.relative_to(work)): path.read_bytes() for path in sorted(work.rglob("*")) if path.is_file()}
    return {name: data for name, data in files.items() if name != ".ingest.lock"}


def committed_images(work: Path) -> int:
    """Images in wells whose shard has its final name; 9 a well."""
    return 9 * sum(1 for path in work.glob("plates/*.zarr/pixels/c/*/0/0/0/0"))


@pytest.mark.slow
def test_killed_at_twenty_moments(plates, tmp_path):
    """kill -9 from another process, spread over an ingest from its first image on; then the same command goes on."""
    source, metadata = plates
    whole, log = tmp_path / "whole", tmp_path / "log"
    process = start_and_see(source, whole, metadata, log)
    started = time.monotonic()
    assert ended(process) == 0
    wall = time.monotonic() - started
    expected = snapshot(whole)
    assert log.stat().st_size == 216
    killed_midway = 0
    for number in range(20):
        work, log = tmp_path / f"w{number}", tmp_path / f"log{number}"
        process = start_and_see(source, work, metadata, log)
        time.sleep(number / 20 * wall)
        process.kill()
        process.join()
        before, decoded = committed_images(work), log.stat().st_size
        killed_midway += 0 < before < 216
        assert ended(start(source, work, metadata, log)) == 0
        assert snapshot(work) == expected, f"kill {number}"
        again = log.stat().st_size - decoded
        assert again <= 216 - before, "an image of a committed shard was decoded again"
        assert decoded + again <= 216 + 2 * 9, "more than one shard per worker was redone"
        shutil.rmtree(work)
    assert killed_midway >= 5


def test_a_second_ingest_from_another_process_is_refused(plates, tmp_path):
    source, metadata = plates
    work, log = tmp_path / "w", tmp_path / "log"
    process = start_and_see(source, work, metadata, log)
    try:
        os.kill(process.pid, signal.SIGSTOP)
        with pytest.raises(KitError, match="another kit ingest is writing"):
            ingest(IngestPlan(source, work, metadata=metadata))
    finally:
        os.kill(process.pid, signal.SIGCONT)
        assert ended(process) == 0
    assert open_work(work).plates == ["BR01", "BR02"]  # and the first one came to its end


def test_a_damaged_record_or_shard_is_done_again(plates, tmp_path, monkeypatch):
    source, metadata = plates
    whole = tmp_path / "whole"
    ingest(IngestPlan(source, whole, metadata=metadata, jobs=1))
    work, stop_after = tmp_path / "w", 40
    decode, seen = packing.read_levels, []

    def stopping(*args, **options):
        seen.append(1)
        if len(seen) > stop_after:
            raise KeyboardInterrupt
        return decode(*args, **options)

    monkeypatch.setattr(packing, "read_levels", stopping)
    with pytest.raises(KeyboardInterrupt):
        ingest(IngestPlan(source, work, metadata=metadata, jobs=1))
    monkeypatch.setattr(packing, "read_levels", decode)
    records = sorted(work.glob("plates/BR01.progress/*.json"))
    assert len(records) >= 3
    records[0].unlink()  # a shard without its record
    records[2].write_bytes(b"")  # a record that a power cut has emptied
    shard = work / "plates" / "BR01.zarr" / "pixels" / "c" / "1" / "0" / "0" / "0" / "0"
    shard.write_bytes(shard.read_bytes()[:-9])  # a shard that is not what its record says
    ingest(IngestPlan(source, work, metadata=metadata, jobs=1))
    assert snapshot(work) == snapshot(whole)


def test_disk_full_is_said_and_resumed(plates, tmp_path):
    """A limit on the size of any file stands for the full disk where no small file system can be mounted."""
    source, metadata = plates
    work = tmp_path / "small"
    code = (
        "import resource, signal, sys\n"
        "from kit.errors import KitError\n"
        "from kit.images.ingest.plan import IngestPlan\n"
        "from kit.images.ingest.run import ingest\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (30000, resource.RLIM_INFINITY))\n"
        "try:\n    ingest(IngestPlan(sys.argv[1], sys.argv[2], metadata=sys.argv[3], jobs=2))\n"
        "except KitError as error:\n    print(error)\n"
    )
    done = subprocess.run([sys.executable, "-c", code, source, work, metadata], capture_output=True, text=True, check=True)
    assert done.stdout.startswith(f"no space left for {work}: free some and run the same command again")
    assert not list(work.rglob("*.part"))
    assert not list(work.glob("plates/*.parquet"))
    ingest(IngestPlan(source, work, metadata=metadata))
    ingest(IngestPlan(source, tmp_path / "whole", metadata=metadata))
    assert snapshot(work) == snapshot(tmp_path / "whole")


@pytest.mark.slow
def test_a_small_file_system(plates, tmp_path):
    source, metadata = plates
    work = tmp_path / "tmpfs"
    work.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=600k", "tmpfs", work], capture_output=True, check=False)
    if mounted.returncode:
        pytest.skip(f"no tmpfs can be mounted here: {mounted.stderr.decode().strip()}")
    try:
        with pytest.raises(KitError, match="no space left"):
            ingest(IngestPlan(source, work, metadata=metadata))
        assert not list(work.rglob("*.part"))
        subprocess.run(["mount", "-o", "remount,size=64m", work], check=True)
        ingest(IngestPlan(source, work, metadata=metadata))
        ingest(IngestPlan(source, tmp_path / "whole", metadata=metadata))
        assert snapshot(work) == snapshot(tmp_path / "whole")
    finally:
        subprocess.run(["umount", work], check=True)


def test_no_permission_to_write(plates, tmp_path):
    source, metadata = plates
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(KitError, match=r"file is not a folder"):
        ingest(IngestPlan(source, tmp_path / "file", metadata=metadata))


def test_stopped_in_order_leaves_only_whole_wells(plates, tmp_path, monkeypatch):
    """An exception in the main thread (a signal handler's) ends the wells at work at their next image."""
    source, metadata = plates
    taken = []
    from kit.images.ingest.plate import PlateWork

    take = PlateWork.take

    def stopping(self, *args):
        taken.append(1)
        if len(taken) == 5:
            raise InterruptedError("stop")
        return take(self, *args)

    monkeypatch.setattr(PlateWork, "take", stopping)
    with pytest.raises(KitError, match="stop"):
        ingest(IngestPlan(source, tmp_path / "w", metadata=metadata, jobs=2))
    assert not list((tmp_path / "w").rglob("*.part"))
    folder = tmp_path / "w" / "plates"
    assert committed_images(tmp_path / "w") // 9 == len(list(folder.glob("BR01.progress/*.json"))) >= 4


@pytest.mark.slow
def test_memory_stays_below_a_gigabyte(tmp_path):
    """Peak memory of a plate of full-size images, in a process of its own; it does not grow with the wells."""
    peaks = []
    for wells in (2, 8):
        source = tmp_path / f"images{wells}"
        write_plate(source, "BR01", wells=WELLS[:wells], sites=(1, 2), channels=(1, 2, 3, 4), side=1080)
        code = (
            "import re, sys\nfrom kit.images.ingest.plan import IngestPlan\nfrom kit.images.ingest.run import ingest\n"
            "ingest(IngestPlan(sys.argv[1], sys.argv[2], jobs=4))\n"
            "print(re.search(r'VmHWM:\\s+(\\d+)', open('/proc/self/status').read())[1])\n"  # getrusage counts the parent too
        )
        done = subprocess.run(
            [sys.executable, "-c", code, source, tmp_path / f"w{wells}"], capture_output=True, text=True, check=True
        )
        peaks.append(int(done.stdout) / 1024)
    assert peaks[1] < 400, f"{peaks} MB"
    assert peaks[1] < peaks[0] + 60, f"{peaks} MB"
