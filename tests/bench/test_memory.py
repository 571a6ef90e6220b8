"""What `kit plan` counts is what a process takes."""

import mmap
import sys

import pytest

from kit.bench.memory import Row, measure
from kit.bench.resident import status_bytes
from kit.model.cost import Memory

linux = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
SMALL = ["crops.global_side=280", "model.depth=4", "loss.prototypes=8192", "train.batch=4"]


@linux
@pytest.mark.slow
@pytest.mark.parametrize("recompute", ["true", "false"])
def test_the_plan_is_the_peak_of_a_process_within_15_percent(recompute):
    row = measure("sslprofiler-local", [*SMALL, f"train.checkpoint_activations={recompute}"])
    assert row.planned.activations > (0.2 if recompute == "true" else 0.5) * row.planned.total  # else not tried
    assert row.ratio == pytest.approx(1, abs=0.15)


@linux
def test_status_is_this_process():
    before = status_bytes("VmRSS")
    held = mmap.mmap(-1, 2**26)  # new pages, whatever the heap has free
    for start in range(0, len(held), mmap.PAGESIZE):
        held[start] = 1
    now = status_bytes("VmRSS")
    assert now - before == pytest.approx(len(held), rel=0.1)
    assert now <= status_bytes("VmHWM")
    with pytest.raises(OSError, match="VmNothing"):
        status_bytes("VmNothing")


def test_a_row_by_hand():
    row = Row("a case", Memory(1e9, 2e9, 0.5e9, 0.5e9), 3e9, 0.4e9, 60.0)
    assert row.ratio == 0.75
    assert " ".join(row.text().split()).endswith("measured 3.00 GB over 0.40, 0.75 of planned; 60 s")
