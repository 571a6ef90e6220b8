"""Benchmark every op against its reference and alternatives: ms, GB/s, largest error, ratios. `make bench`, or

    python -m kit.kernels.bench [--only view] [--device cpu|cuda] [--seconds N] [--json FILE]

Every file kernels/bench_<op>.py is discovered by name and defines `tasks(device)`. Numbers are the best of several runs on
this machine. Without a GPU, its part says "not measured". With --seconds every contestant is measured for less, and what there
is no time for is named; the file is whole after every table.
"""

import argparse
import importlib
import json
import math
import os
import pkgutil
import platform
import time
from pathlib import Path

import torch

from kit import kernels
from kit.kernels.launch import report
from kit.kernels.timing import FAULTS, Row, Task, first_line, measure


def find_tasks(device: str, only: str) -> list[Task]:
    """Return the tasks of every bench_*.py in this folder whose title contains `only`."""
    names = [module.name for module in pkgutil.iter_modules(kernels.__path__) if module.name.startswith("bench_")]
    found = [importlib.import_module(f"kit.kernels.{name}").tasks(device) for name in sorted(names)]
    return [task for tasks in found for task in tasks if only in task.title]


def run(task: Task, seconds: float = 1.5) -> dict:
    """Time every contestant of a task, each for about `seconds`, and return what was found, ready for JSON."""
    rows = [measure(contestant, task.device, seconds) for contestant in task.contestants]
    return {
        "task": task.title,
        "device": task.device,
        "items": task.items,
        "bytes": task.bytes_moved,
        **largest_error(task),
        "share": share(rows, task.part_of),
        "rows": [{"name": row.name, "ms": row.ms, "cpu_ms": row.cpu_ms, "note": row.note} for row in rows],
    }


def largest_error(task: Task) -> dict:
    """Return the largest error of ours, None where the task has none; where it cannot be had also `why`."""
    try:
        return {"largest_error": task.error() if task.error else None}
    except FAULTS as error:
        return {"largest_error": None, "why": first_line(error)}


def share(rows: list[Row], rest: str) -> float | None:
    """Return our share of our time plus that of the row `rest`; None without such a row or time."""
    others = [row.ms for row in rows if row.name == rest]
    return None if not others or others[0] is None or rows[0].ms is None else rows[0].ms / (rows[0].ms + others[0])


def to_text(found: dict, bandwidth: float | None) -> str:
    """Return one table; ratios are times over ours, so above 1 kit is faster."""
    ours = found["rows"][0]["ms"]
    error = "" if found["largest_error"] is None else f", largest error {found['largest_error']:.1e}"
    error += f", largest error not to be had: {found['why']}" if "why" in found else ""
    lines = [f"{found['task']} on {found['device']}{error}"]
    for row in found["rows"]:
        if row["ms"] is None:
            lines.append(f"  {row['name']:36} {row['note']}")
            continue
        rate = found["bytes"] / row["ms"] / 1e6
        floor = "" if bandwidth is None else f"{100 * rate / bandwidth:5.1f} % of the memory floor "
        busy = "" if row["cpu_ms"] is None else f"{row['cpu_ms']:10.2f} ms of CPU "
        ratio = " " * 9 if ours is None else f"{row['ms'] / ours:8.2f}x"
        lines.append(f"  {row['name']:36} {row['ms']:10.2f} ms {busy}{rate:7.2f} GB/s {floor}{ratio}  {row['note']}")
    if found["share"] is not None:
        lines.append(f"  {found['rows'][0]['name']}: {100 * found['share']:.2f} % of the time of both")
    return "\n".join(lines)


def copy_bandwidth() -> float:
    """Return what this GPU's memory does in a plain copy, GB/s, reads and writes counted."""
    block = torch.empty(2**28, dtype=torch.uint8, device="cuda")
    begin, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
    for _ in range(3):
        begin.record()
        block.clone()
        end.record()
        torch.cuda.synchronize()
    return 2 * block.numel() / begin.elapsed_time(end) / 1e6


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--only", default="", help="tasks whose title contains this")
    parser.add_argument("--device", choices=("cpu", "cuda"), help="default: the CPU, and the GPU if there is one")
    parser.add_argument("--seconds", type=float, default=math.inf, help="start no table after this time; default: all tables")
    parser.add_argument("--json", type=Path, help="also write the results to this file, after every table")
    options = parser.parse_args()
    os.environ.pop("TRITON_INTERPRET", None)
    devices = [options.device] if options.device else ["cpu", "cuda"]
    print(f"{platform.processor() or platform.machine()}, torch {torch.__version__}, {torch.get_num_threads()} threads")
    print("\n".join(f"  {op}: {backend} ({reason})" for op, backend, reason in report()))
    stop = time.monotonic() + options.seconds
    found: dict = {"torch": torch.__version__, "threads": torch.get_num_threads(), "tasks": [], "left_out": []}
    for device in devices:
        if device == "cuda" and not torch.cuda.is_available():
            print("\nGPU: not measured (this machine has none)")
            continue
        bandwidth = copy_bandwidth() if device == "cuda" else None
        found["copy_gb_s"] = bandwidth
        race(find_tasks(device, options.only), stop, found, bandwidth, options.json)
    if found["left_out"]:
        print(f"\nnot measured, no time left: {'; '.join(found['left_out'])}")


def race(tasks: list[Task], stop: float, found: dict, bandwidth: float | None, path: Path | None) -> None:
    """Run the tasks until `stop`, of time.monotonic(), and keep what is found in `found` and in a file after each."""
    for place, task in enumerate(tasks):
        left, waiting = stop - time.monotonic(), len(tasks) - place
        if left <= 0:
            found["left_out"].append(f"{task.title} on {task.device}")
        else:
            found["tasks"].append(run(task, min(1.5, left / waiting / len(task.contestants) / 2)))  # half of it warms up
            print("\n" + to_text(found["tasks"][-1], bandwidth), flush=True)
        if path is not None:
            write_whole(path, found)


def write_whole(path: Path, found: dict) -> None:
    """Write the results as JSON; a kill leaves those of before, or these."""
    part = path.with_name(f".{path.name}.part")
    part.write_text(json.dumps(found, indent=1))
    os.replace(part, path)


if __name__ == "__main__":
    main()
