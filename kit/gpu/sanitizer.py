"""Run the CUDA twin's kernels under compute-sanitizer: no access out of bounds, no memory that nothing wrote.

    python -m kit.gpu.sanitizer --seconds 75 --json FILE

The tools run one after the other on small inputs, for as long as there is time.
"""

import os
import re
import subprocess
import sys

from kit.gpu.machine import tool
from kit.gpu.notes import Options

TOOLS = ("memcheck", "initcheck", "racecheck")  # the most important first
FAULT = 99  # exit code for a finding
_ERRORS = re.compile(r"(?:ERROR SUMMARY: (\d+) error|RACECHECK SUMMARY: (\d+) hazard)")


def main() -> int:
    given = Options("kit.gpu.sanitizer", __doc__.partition("\n")[0])
    program = tool("compute-sanitizer")
    work = [sys.executable, "-m", "kit.gpu.sanitized"]
    if given.rehearse:
        done = subprocess.run([*work, "--rehearse"], check=False)
        given.notes.line(f"rehearsed on the CPU: the kernels' calls end with {done.returncode}")
        return done.returncode
    if program is None:
        given.notes.line("not run: compute-sanitizer is neither on PATH nor in the CUDA toolkit")
        return 0
    faults = 0
    for place, name in enumerate(TOOLS):
        box = given.left if place == 0 else given.left / (len(TOOLS) - place)
        if box < 5:
            given.notes.line(f"{name}: no time left")
            continue
        faults += one(
            given, [program, "--tool", name, "--error-exitcode", str(FAULT), "--target-processes", "all", *work], name, box
        )
    return int(faults > 0)


def one(given: Options, command: list[str], name: str, seconds: float) -> int:
    """Run one tool and return how many faults it found; 1 where it failed otherwise."""
    environment = {**os.environ, "PYTORCH_NO_CUDA_MEMORY_CACHING": "1"}  # else torch's pool hides what is out of bounds
    try:
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=seconds)
    except subprocess.TimeoutExpired:
        given.notes.line(f"{name}: cut after {seconds:.0f} s")
        return 0
    text = done.stdout + done.stderr
    sys.stdout.write(text[-20_000:] + "\n")
    summary = _ERRORS.search(text)
    found = int(summary[1] or summary[2]) if summary else int(done.returncode != 0)
    first = next(
        (line.strip("= ") for line in text.splitlines() if "Invalid" in line or "Uninitialized" in line or "hazard" in line), ""
    )
    given.notes.add("tools", {"tool": name, "errors": found, "code": done.returncode})
    given.notes.line(f"{name}: {found} errors, exit {done.returncode}" + (f": {first[:150]}" if found and first else ""))
    return found


if __name__ == "__main__":
    sys.exit(main())
