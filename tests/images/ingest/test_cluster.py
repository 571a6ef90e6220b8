"""--dask: the workers of a cluster make the same store, also when one of them dies."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from kit.errors import UsageError
from kit.images.ingest.plan import IngestPlan
from kit.images.ingest.run import ingest
from tests.images.made_plates import acquisition_xml, write_plate

pytest.importorskip("distributed", reason="distributed is not installed: pip install cellpaint-kit[dask]")

CLUSTER = """
import sys
from distributed import LocalCluster
if __name__ == "__main__":
    cluster = LocalCluster(n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None, host="127.0.0.1")
    print(cluster.scheduler_address, *(worker.pid for worker in cluster.workers.values()), flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def cluster(tmp_path):
    """Scheduler address and the process ids of two workers."""
    script = tmp_path / "cluster.py"
    script.write_text(CLUSTER)
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
    process = subprocess.Popen([sys.executable, script], text=True, **pipes)
    address, *workers = process.stdout.readline().split()
    yield address, [int(pid) for pid in workers]
    process.stdin.close()
    try:
        process.wait(timeout=30)
    except subprocess.TimeoutExpired:
        process.kill()


def snapshot(work: Path) -> dict[str, bytes]:
    return {str(path.relative_to(work)): path.read_bytes() for path in sorted((work / "plates").rglob("*")) if path.is_file()}


@pytest.mark.slow
def test_the_same_store_though_a_worker_dies(cluster, tmp_path):
    address, workers = cluster
    source = tmp_path / "images"
    wells = [f"{row}{col:02d}" for row in "ABCD" for col in range(1, 7)]
    write_plate(source, "BR01", wells=wells, sites=(1, 2), channels=(1, 2, 5), side=300, xml=acquisition_xml({1: (0.0, 0.0)}))
    write_plate(source, "BR02", wells=wells, sites=(1, 2), channels=(1, 2, 5), side=300)
    code = (
        "import sys\nfrom kit.images.ingest.plan import IngestPlan\nfrom kit.images.ingest.run import ingest\n"
        "print(ingest(IngestPlan(sys.argv[1], sys.argv[2], dask=sys.argv[3])).text())"
    )
    process = subprocess.Popen([sys.executable, "-c", code, source, tmp_path / "far", address], stderr=subprocess.PIPE, text=True)
    shards = "plates/BR01.zarr/pixels/c/*/0/0/0/0"
    while len(list((tmp_path / "far").glob(shards))) < 4 and process.poll() is None:
        time.sleep(0.005)
    assert process.poll() is None, f"too quick to be disturbed: {process.stderr.read()}"
    os.kill(workers[0], signal.SIGKILL)
    _, errors = process.communicate(timeout=120)
    assert process.returncode == 0, errors
    ingest(IngestPlan(source, tmp_path / "near"))
    assert snapshot(tmp_path / "far") == snapshot(tmp_path / "near")


def test_ranges_of_a_whole_plate_are_counted_by_the_workers(tmp_path):
    from distributed import LocalCluster

    source = tmp_path / "images"
    for barcode in ("BR01", "BR02"):
        write_plate(source, barcode, channels=(1, 5))
    options = {"n_workers": 1, "threads_per_worker": 2, "processes": False, "dashboard_address": None, "protocol": "tcp"}
    with LocalCluster(**options) as cluster:
        report = ingest(IngestPlan(source, tmp_path / "far", scale="plate-percentile", dask=cluster.scheduler_address))
    assert report.failed == []
    ingest(IngestPlan(source, tmp_path / "near", scale="plate-percentile"))
    assert snapshot(tmp_path / "far") == snapshot(tmp_path / "near")


def test_no_scheduler_there(tmp_path, monkeypatch):
    from kit.images.ingest import runners

    monkeypatch.setattr(runners, "_CONNECT_SECONDS", 1)
    write_plate(tmp_path / "images", "BR01", channels=(1,))
    with pytest.raises(UsageError, match=r"--dask tcp://127\.0\.0\.1:9: no scheduler answers"):
        ingest(IngestPlan(tmp_path / "images", tmp_path / "w", dask="tcp://127.0.0.1:9"))
