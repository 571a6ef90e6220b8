"""Time several implementations of one task: the building blocks of kernels/bench_<op>.py."""

import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor


def _triton_faults() -> tuple[type[Exception], ...]:
    try:
        from triton.errors import TritonError
    except ImportError:
        return ()
    return (TritonError,)


# What ends one measurement and not those behind it. Triton's errors, and those of a compiler it calls, are no RuntimeError.
FAULTS: tuple[type[Exception], ...] = (
    ArithmeticError, AssertionError, AttributeError, ImportError, LookupError, OSError, RuntimeError, TypeError, ValueError,
    subprocess.SubprocessError, *_triton_faults(),
)  # fmt: skip


def first_line(error: Exception) -> str:
    """Return the first line of what an error says, or else its kind."""
    said = str(error).strip()
    return said.splitlines()[0] if said else type(error).__name__


@dataclass(frozen=True)
class Contestant:
    """One way to do a task. `run` is called with nothing; `skip` says why it cannot run here, or is empty."""

    name: str
    run: Callable[[], object] | None = None
    skip: str = ""


@dataclass(frozen=True)
class Task:
    """One table: ours first, then the reference, then the alternatives."""

    title: str
    device: str
    items: int  # pixels of all channels
    bytes_moved: int  # that any implementation must read and write
    contestants: tuple[Contestant, ...]
    error: Callable[[], float] | None = None  # largest difference of ours from the reference
    part_of: str = ""  # the contestant that is the rest of the work, not an alternative: our share of both is printed


@dataclass(frozen=True)
class Row:
    """What was measured, best of several, milliseconds; None: not measured.

    `cpu_ms` sums all threads of this process: on a busy machine it is more reliable than wall-clock time.
    """

    name: str
    ms: float | None
    note: str = ""
    cpu_ms: float | None = None


def measure(contestant: Contestant, device: str, seconds: float = 1.5) -> Row:
    """Return the best time of one contestant, after a run to warm up; one that fails is named, and costs the others nothing."""
    if contestant.run is None:
        return Row(contestant.name, None, f"not measured: {contestant.skip}")
    try:
        contestant.run()
    except FAULTS as error:
        return Row(contestant.name, None, f"failed: {first_line(error)}")
    best, busy, stop = float("inf"), float("inf"), time.perf_counter() + seconds
    while True:
        begin = time.process_time()
        best = min(best, _once(contestant.run, device))
        busy = min(busy, (time.process_time() - begin) * 1e3)
        if time.perf_counter() > stop:
            return Row(contestant.name, best, cpu_ms=busy if device == "cpu" else None)


def _once(run: Callable[[], object], device: str) -> float:
    if device == "cpu":
        start = time.perf_counter()
        run()
        return (time.perf_counter() - start) * 1e3
    begin, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
    torch.cuda.synchronize()
    begin.record()
    run()
    end.record()
    torch.cuda.synchronize()
    return begin.elapsed_time(end)


def largest_gap(a: Tensor, b: Tensor) -> float:
    """Return the largest absolute difference."""
    return float((a.float() - b.float()).abs().max())
