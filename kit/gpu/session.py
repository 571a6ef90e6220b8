"""A run of several parts: the environment first, then part after part, and what is known on disk after each."""

import contextlib
import json
import subprocess
import sys
import time
import zlib
from pathlib import Path

from kit.errors import KitError
from kit.files import write_whole
from kit.gpu.boxes import LEAST, RESERVE, RUNS, Part, box_of
from kit.gpu.digest import summary
from kit.gpu.environment import Environment, missing, prepare
from kit.gpu.machine import card_facts, tool_facts, torch_facts
from kit.gpu.running import Ended, end_group, run_boxed, start

MARGIN = 6.0  # seconds before the end of its box at which a part should have ended by itself
AHEAD = 0.4  # of a part's box, the longest wait for what prepares it
LOG_BYTES = 8_000_000  # of one part's output that are kept


class Session:
    """Runs the parts of one call of the script.

    Writes into `results`: <run>-summary.txt, <run>-results.json and <run>-log.txt; `run` is `parts` where none is prepared.
    """

    def __init__(self, root: Path, run: str, parts: list[Part], results: Path, start: float, *, rehearse: bool):
        self._root, self._parts, self._results = root, parts, results.absolute()
        self._name, self._start, self._rehearse = run or "parts", start, rehearse
        self._seconds = RUNS[run].seconds if run else sum(part.seconds for part in parts) + 60.0
        self._weights = dict(RUNS[run].weights) if run else {part.name: part.seconds for part in parts}
        self._ahead: dict[str, subprocess.Popen] = {}
        self._scratch = root / "build" / "gpu"
        self.found: dict = {"run": self._name, "date": time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(start)),
                            "seconds_allowed": self._seconds, "rehearsal": rehearse, "machine": {}, "parts": {}}  # fmt: skip
        for part in parts:
            self.found["parts"][part.name] = {"state": "left out", "why": "the script ended before it"}
        for folder in (self._results, self._scratch):
            folder.mkdir(parents=True, exist_ok=True)
        self._log = self._results / f"{self._name}-log.txt"
        self._log.unlink(missing_ok=True)

    @property
    def left(self) -> float:
        """Seconds until the run has to be over, less those for its files."""
        return self._start + self._seconds - RESERVE - time.time()

    @property
    def code(self) -> int:
        """The exit code: 1 where a part failed or was cut, or none could start."""
        return int(any(part["state"] in ("failed", "cut", "left out") for part in self.found["parts"].values()))

    def work(self) -> None:
        """Run the parts."""
        wheels = self._root / "build" / "gpu-wheels"
        self.found["machine"] = {**card_facts(), **tool_facts(self._root)}
        self._save()
        try:
            environment = prepare(Path(sys.executable), self._root, self._scratch / _environment(sys.executable), wheels)
        except KitError as error:
            why = f"no environment: {error}"
            self._write_log("environment", "\n".join([why, *error.lines]) + "\n")
            self.found["parts"] = {part.name: {"state": "left out", "why": why[:400]} for part in self._parts}
            self._save()
            return
        self.found["machine"] |= {**torch_facts(environment.python), "brought": list(environment.brought)}
        self._save()
        try:
            for place, part in enumerate(self._parts):
                waiting = self._parts[place + 1 :]
                if not part.alone:
                    self._start_ahead(waiting, environment)
                self._one(part, [other.name for other in waiting], environment)
                self._save()
        finally:
            for child in self._ahead.values():
                end_group(child)

    def _start_ahead(self, waiting: list[Part], environment: Environment) -> None:
        """Start what prepares parts that wait: on the CPU alone and with the least priority, while others use the GPU."""
        for part in waiting:
            if not part.ahead or part.name in self._ahead or self._hindrance(part, environment):
                continue
            words = ["nice", "-n", "15", environment.python, "-m", part.module, *part.ahead, *self._options(part)]
            switches = {"CUDA_VISIBLE_DEVICES": "", "KIT_QUIET": "1", "OMP_NUM_THREADS": "1"}
            output = self._scratch / f"{part.name}-ahead.txt"
            output.unlink(missing_ok=True)
            self._ahead[part.name] = start(words, output, folder=self._root, switches=switches)

    def _end_ahead(self, part: Part, box: float) -> None:
        """Wait for what prepares a part, for at most a share of its box; what it has not done the part does itself."""
        child = self._ahead.pop(part.name, None)
        if child is None:
            return
        with contextlib.suppress(subprocess.TimeoutExpired):
            child.wait(timeout=AHEAD * box)
        end_group(child)
        self._write_log(
            f"{part.name}, ahead of it", (self._scratch / f"{part.name}-ahead.txt").read_text(errors="replace")[-LOG_BYTES:]
        )

    def _options(self, part: Part) -> tuple[str, ...]:
        return part.rehearsal if self._rehearse and not self.found["machine"]["gpu"] else part.options

    def _one(self, part: Part, waiting: list[str], environment: Environment) -> None:
        why = self._hindrance(part, environment)
        if why:
            self.found["parts"][part.name] = {"state": "skipped", "why": why}
            self._say(f"{part.name}: skipped, {why}")
            return
        share = box_of(part.name, waiting, self._weights, self.left)
        box = share if self._name in RUNS else min(part.seconds, share)
        if box < LEAST:
            self.found["parts"][part.name] = {"state": "left out", "why": f"{max(box, 0):.0f} s were left"}
            return
        self._say(f"{part.name}: at most {box:.0f} s")
        begin = time.monotonic()
        self._end_ahead(part, box)
        ended, found = self._run(part, box - (time.monotonic() - begin), environment)
        self.found["parts"][part.name] = {"state": ended.word, "seconds": round(ended.seconds, 1), "box": round(box, 1),
                                          "code": ended.code, "why": ended.said, **found}  # fmt: skip
        self._say(f"{part.name}: {ended.word} after {ended.seconds:.0f} s")

    def _hindrance(self, part: Part, environment: Environment) -> str:
        """Return why a part cannot run here, or nothing."""
        lacking = missing(environment.python, [*part.packages, part.module])
        if lacking:
            return f"{', '.join(lacking)} {'is' if len(lacking) == 1 else 'are'} not there"
        if part.needs_gpu and not self.found["machine"]["gpu"] and not self._rehearse:
            return "torch sees no GPU here"
        return ""

    def _run(self, part: Part, box: float, environment: Environment) -> tuple[Ended, dict]:
        """Run a part in its box; return how it ended and what it had found by then."""
        answer, output = self._scratch / f"{part.name}.json", self._scratch / f"{part.name}.txt"
        for file in (answer, output):
            file.unlink(missing_ok=True)
        words = [
            environment.python,
            "-m",
            part.module,
            "--seconds",
            f"{max(box - MARGIN, 1):.0f}",
            "--json",
            answer,
            *self._options(part),
        ]
        try:
            ended = run_boxed(words, box, output, folder=self._root, switches={"PYTHONUNBUFFERED": "1", "KIT_QUIET": "1"})
        finally:
            text = output.read_text(errors="replace")[-LOG_BYTES:] if output.is_file() else ""
            self._write_log(part.name, text)
        return ended, {"found": _read(answer), "last_lines": [line[:200] for line in text.splitlines() if line.strip()][-24:]}

    def stopped(self) -> None:
        """Take note that the script was told to end."""
        self.found["stopped"] = "the script was told to end"

    def finish(self) -> str:
        """Write everything a last time, and return the summary."""
        self.found["seconds"] = round(time.time() - self._start, 1)
        self._save()
        return summary(self.found)

    def _save(self) -> None:
        write_whole(self._results / f"{self._name}-results.json", json.dumps(self.found, indent=1) + "\n")
        write_whole(self._results / f"{self._name}-summary.txt", summary(self.found))

    def _write_log(self, name: str, text: str) -> None:
        with self._log.open("a", encoding="utf-8") as file:
            file.write(f"===== {name}\n{text}\n")

    def _say(self, line: str) -> None:
        sys.stdout.write(f"[{time.time() - self._start:5.0f} s] {line}\n")
        sys.stdout.flush()


def _environment(python: str) -> str:
    """Return the name of the environment's folder: each Python has its own."""
    return f"env-{zlib.crc32(python.encode()):08x}"


def _read(path: Path) -> dict:
    """Return what a part wrote; nothing where it wrote nothing whole."""
    try:
        found = json.loads(path.read_text())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}
