"""Run the tests marked gpu, in as many processes as are useful where pytest-xdist is there.

    python -m kit.gpu.tests --seconds 120 --json FILE

Only files that hold such tests are read. A rehearsal runs their bodies on the CPU, and Triton's kernels in its interpreter.
"""

import importlib.util
import json
import os
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path

from kit.gpu.notes import Options
from kit.words import count

ROOT = Path(__file__).parents[2]
PROCESSES = 6  # a test compiles its kernels on the CPU and is on the GPU for milliseconds
EACH = 60  # seconds, the most that one test may take


def gpu_files(folder: Path) -> list[Path]:
    """Return the files of tests that hold one marked gpu."""
    return [
        path for path in sorted(folder.rglob("test_*.py")) if "mark.gpu" in path.read_text() or "GPU_TEST" in path.read_text()
    ]


def command(files: list[Path]) -> list[str]:
    """Return pytest's command line."""
    words = [sys.executable, "-m", "pytest", "-q", "-m", "gpu and not slow", "-p", "kit.gpu.recorder", "-p", "no:cacheprovider"]
    words += ["--tb=short", "-rf", "--continue-on-collection-errors"]
    words += ["-n", str(PROCESSES), "--dist", "load"] if importlib.util.find_spec("xdist") else []
    words += ["--timeout", str(EACH)] if importlib.util.find_spec("pytest_timeout") else []
    return [*words, *map(str, files)]


def read_record(path: Path) -> list[dict]:
    """Return what the recorder wrote, less a last line that was cut."""
    lines = path.read_text().splitlines() if path.is_file() else []
    entries = []
    for line in lines:
        try:
            entries.append(json.loads(line))
        except ValueError:  # the last, cut by a kill
            break
    return entries


def lines_of(entries: list[dict]) -> list[str]:
    """Return the summary: how many passed, what failed, and why others were skipped."""
    outcomes = Counter(entry["outcome"] for entry in entries)
    lines = [", ".join(f"{number} {outcome}" for outcome, number in sorted(outcomes.items())) or "no test has ended"]
    for entry in entries:
        if entry["outcome"] in ("failed", "error"):
            said = [line for line in entry["why"].splitlines() if line.startswith("E ")] or entry["why"].splitlines()[-1:] or [""]
            lines.append(f"{entry['outcome']} {entry['test']}: {said[0].removeprefix('E').strip()[:160]}")
    skipped = Counter(entry["why"] for entry in entries if entry["outcome"] == "skipped")
    lines += [f"skipped {count(number, 'test')}: {why[:160]}" for why, number in skipped.most_common(6)]
    slow = sorted(entries, key=lambda entry: -entry["seconds"])[:1]
    return lines + [f"the slowest: {entry['seconds']:.1f} s, {entry['test']}" for entry in slow]


def main() -> int:
    given = Options("kit.gpu.tests", __doc__.partition("\n")[0])
    told = {"KIT_GPU_TESTS": "cpu", "TRITON_INTERPRET": "1"} if given.rehearse else {}
    record = given.json.with_suffix(".jsonl") if given.json else Path(tempfile.mkdtemp()) / "record.jsonl"
    record.unlink(missing_ok=True)
    environment = {**os.environ, **told, "KIT_GPU_RECORD": str(record), "OMP_NUM_THREADS": "1"}
    try:
        code = subprocess.run(
            command(gpu_files(ROOT / "tests")), cwd=ROOT, env=environment, check=False, timeout=given.left
        ).returncode
    except subprocess.TimeoutExpired:
        code = None
    entries = read_record(record)
    given.notes.put(tests=entries, code=code)
    for line in lines_of(entries):
        given.notes.line(line)
    if code is None:
        given.notes.line("cut: the time was over before all tests had ended")
    return 1 if code is None else 0 if code == 5 else code


if __name__ == "__main__":
    sys.exit(main())
