"""make gpu, in Python: read the settings from the environment, run the parts, write the results.

    RUN=first|second PARTS=build,tests RESULTS=FOLDER FIELDS=FOLDER REHEARSE=1 python -m kit.gpu

Needs Python's own library alone; the parts run in an environment that is made for them.
"""

import os
import signal
import sys
import time
from pathlib import Path
from types import FrameType

from kit.errors import KitError, UsageError
from kit.gpu.boxes import RUNS, chosen_parts
from kit.gpu.fields import copy_fields
from kit.gpu.session import Session
from kit.words import nearest

ROOT = Path(__file__).parents[2]


def started() -> float:
    """Return when the script began, seconds of time.time()."""
    told = os.environ.get("KIT_GPU_START", "")
    return float(told) if told else time.time()


def main() -> int:
    signal.signal(signal.SIGTERM, _end)  # as Ctrl-C: the part that runs is ended, and the results are written
    try:
        session = _session()
        fields = os.environ.get("FIELDS", "")
        if fields:
            sys.stdout.write(copy_fields(Path(fields), ROOT / "build" / "gpu-fields") + "\n")
    except KitError as error:
        sys.stderr.write(f"make gpu: {error}\n")
        return 2 if isinstance(error, UsageError) else 1
    try:
        session.work()
    except KeyboardInterrupt:
        session.stopped()
    sys.stdout.write("\n" + session.finish())
    return session.code


def _session() -> Session:
    run = os.environ.get("RUN", "")
    if run and run not in RUNS:
        raise UsageError(f"RUN={run}: there is no such run{nearest(run, RUNS)}; there are {', '.join(RUNS)}")
    if run and os.environ.get("PARTS", ""):
        raise UsageError(f"RUN={run} has its own parts: give RUN or PARTS")
    parts = chosen_parts(",".join(RUNS[run].weights) if run else os.environ.get("PARTS", ""))
    results = Path(os.environ.get("RESULTS", "") or ROOT / "build" / "gpu" / "results")
    return Session(ROOT, run, parts, results, started(), rehearse=os.environ.get("REHEARSE", "") not in ("", "0"))


def _end(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main())
