"""A plugin for pytest that writes down each test when it ends: python -m pytest -p kit.gpu.recorder, with KIT_GPU_RECORD=FILE.

A line of JSON a test: id, outcome, seconds, and why it was skipped or failed. Of a run that is killed, what had ended is there.
"""

import json
import os
from pathlib import Path
from typing import Any

LONG = 4000  # characters of a failure that are kept


def pytest_runtest_logreport(report: Any) -> None:
    """Take a report of one phase of one test; setup and teardown count where something went wrong in them."""
    if report.when != "call" and report.outcome == "passed":
        return
    outcome = "error" if report.when != "call" and report.outcome == "failed" else report.outcome
    why = report.longrepr[2].removeprefix("Skipped: ") if isinstance(report.longrepr, tuple) else str(report.longrepr or "")
    _append({"test": report.nodeid, "outcome": outcome, "seconds": round(report.duration, 3), "why": why[-LONG:]})


def pytest_collectreport(report: Any) -> None:
    """Take a file that could not be read."""
    if report.outcome == "failed":
        _append({"test": report.nodeid, "outcome": "error", "seconds": 0.0, "why": str(report.longrepr)[-LONG:]})


def _append(entry: dict) -> None:
    if "PYTEST_XDIST_WORKER" in os.environ:  # the process that started them has all reports
        return
    with Path(os.environ["KIT_GPU_RECORD"]).open("a", encoding="utf-8") as file:
        file.write(json.dumps(entry) + "\n")
