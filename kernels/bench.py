"""Benchmark every op against its reference and alternatives: ms, GB/s, largest error, ratios. `make bench`, or

    python -m kit.kernels.bench [--only view] [--device cpu|cuda] [--json FILE]

Every file kernels/bench_<op>.py is discovered by name and defines `tasks(device)`. Numbers are the best of several runs on
this machine. Without a GPU, its part says "not measured".
"""

import argparse
import importlib
import json
import os
import pkgutil
import platform

import torch

from kit import kernels
from kit.kernels.launch import report
from kit.kernels.timing import Row, Task, measure


def find_tasks(device: str, only: str) -> list[Task]:
    """Return the tasks of every bench_*.py in this folder whose title contains `only`."""
    names = [module.name for module in pkgutil.iter_modules(kernels.__path__) if module.name.startswith("bench_")]
    found = [importlib.import_module(f"kit.kernels.{name}").tasks(device) for name in sorted(names)]
    return [task for tasks in found for task in tasks if only in task.title]


def run(task: Task) -> dict:
    """Time every contestant of a task and return what was found, ready for JSON."""
    rows = [measure(contestant, task.device) for contestant in task.contestants]
    return {
        "task": task.title,
        "device": task.device,
        "items": task.items,
        "bytes": task.bytes_moved,
        "largest_error": task.error() if task.error else None,
        "share": share(rows, task.part_of),
        "rows": [{"name": row.name, "ms": row.ms, "cpu_ms": row.cpu_ms, "note": row.note} for row in rows],
    }


def share(rows: list[Row], rest: str) -> float | None:
    """Return our share of our time plus that of the row `rest`; None without such a row or time."""
    others = [row.ms for row in rows if row.name == rest]
    return None if not others or others[0] is None or rows[0].ms is None else rows[0].ms / (rows[0].ms + others[0])


def to_text(found: dict, bandwidth: float | None) -> str:
    """Return one table; ratios are times over ours, so above 1 kit is faster."""
    ours = found["rows"][0]["ms"]
    error = "" if found["largest_error"] is None else f", largest error {found['largest_error']:.1e}"
    lines = [f"{found['task']} on {found['device']}{error}"]
    for row in found["rows"]:
        if row["ms"] is None:
            lines.append(f"  {row['name']:36} {row['note']}")
            continue
        rate = found["bytes"] / row["ms"] / 1e6
        floor = "" if bandwidth is None else f"{100 * rate / bandwidth:5.1f} % of the memory floor "
        busy = "" if row["cpu_ms"] is None else f"{row['cpu_ms']:10.2f} ms of CPU "
        lines.append(
            f"  {row['name']:36} {row['ms']:10.2f} ms {busy}{rate:7.2f} GB/s {floor}{row['ms'] / ours:8.2f}x  {row['note']}"
        )
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
    parser.add_argument("--json", help="also write the results to this file")
    options = parser.parse_args()
    os.environ.pop("TRITON_INTERPRET", None)
    devices = [options.device] if options.device else ["cpu", "cuda"]
    print(f"{platform.processor() or platform.machine()}, torch {torch.__version__}, {torch.get_num_threads()} threads")
    print("\n".join(f"  {op}: {backend} ({reason})" for op, backend, reason in report()))
    everything = []
    for device in devices:
        if device == "cuda" and not torch.cuda.is_available():
            print("\nGPU: not measured (this machine has none)")
            continue
        bandwidth = copy_bandwidth() if device == "cuda" else None
        for task in find_tasks(device, options.only):
            everything.append(run(task))
            print("\n" + to_text(everything[-1], bandwidth), flush=True)
    if options.json:
        with open(options.json, "w") as file:
            json.dump({"torch": torch.__version__, "threads": torch.get_num_threads(), "tasks": everything}, file, indent=1)


if __name__ == "__main__":
    main()
