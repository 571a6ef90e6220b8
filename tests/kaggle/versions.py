"""The kaggle command lines that the slow tests run: the oldest that kit allows and the newest that it was run with."""

import importlib.metadata
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PINNED = re.compile(r"^kaggle==(\S+)$", re.MULTILINE)
OLDEST, NEWEST = (PINNED.search((ROOT / "constraints" / f"{age}.txt").read_text())[1] for age in ("oldest", "newest"))
VERSIONS = [OLDEST, NEWEST]

# A child that uses this folder as PYTHONPATH may reach this machine only; what it tried beyond stands in the file.
ONLY_HERE = """
import os, sys
def watch(event, args):
    if event == "socket.connect" and isinstance(args[1], tuple) and args[1][0] not in ("127.0.0.1", "::1"):
        said = str(args[1])
    elif event == "socket.getaddrinfo" and str(args[0]) not in ("127.0.0.1", "::1", "localhost", "None"):
        said = str(args[0])
    else:
        return
    with open({file!r}, "a") as out:
        out.write(said + "\\n")
    raise PermissionError("only this machine may be reached, not " + said)
sys.addaudithook(watch)
"""


def python_path(version: str, folder: Path) -> str:
    """Return a PYTHONPATH with a version of kaggle, for children that can reach this machine only; `folder` is written to.

    What they tried to reach beyond it stands, line by line, in folder/elsewhere.txt.
    """
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "sitecustomize.py").write_text(ONLY_HERE.format(file=str(folder / "elsewhere.txt")))
    unpacked = ROOT / "build" / "kaggle" / version
    if (unpacked / "kaggle").is_dir():
        return f"{folder}:{unpacked}"
    if importlib.metadata.version("kaggle") == version:
        return str(folder)
    return pytest.skip(f"kaggle {version} is not in {unpacked}: make test-slow fetches it")
