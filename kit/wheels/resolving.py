"""Ask pip what another machine lacks, and fetch it."""

import importlib.util
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from kit.errors import KitError
from kit.wheels.image import NOTHING, Image, canonical

TESTED = Path(__file__).parents[2] / "constraints" / "newest.txt"
NEVER_REPLACED = ("torch", "triton", "numpy")  # what else is installed there was built against them


@dataclass(frozen=True)
class Machine:
    """The machine that the wheels are for: Linux on x86_64."""

    python: str  # 3.12
    image: Image

    @property
    def tags(self) -> list[str]:
        """pip's words for the wheels that fit."""
        platforms = [f"manylinux_2_{minor}_x86_64" for minor in range(self.image.glibc, 4, -1)]
        platforms += ["manylinux2014_x86_64", "manylinux2010_x86_64", "manylinux1_x86_64"]
        words = ["--only-binary", ":all:", "--implementation", "cp", "--python-version", self.python]
        return words + [word for platform in platforms for word in ("--platform", platform)]


def lacking(machine: Machine, wanted: Iterable[str]) -> dict[str, str]:
    """Return the packages, name -> version, that pip would install there for `wanted`.

    The machine's torch, triton and numpy stay. What it lacks altogether comes in no newer version than the tests have run with.

    Raises:
        KitError: what is wanted cannot be had for this machine, or not beside what it has.
    """
    with tempfile.TemporaryDirectory() as folder:
        report, held = Path(folder) / "report.json", Path(folder) / "held.txt"
        held.write_text("\n".join(_held(machine.image)))
        words = ["install", "--dry-run", "--report", str(report), "--constraint", str(held), *machine.tags, *wanted]
        _run(words, machine)
        items = json.loads(report.read_text())["install"]
    return {canonical(item["metadata"]["name"]): item["metadata"]["version"] for item in items}


def _held(image: Image) -> list[str]:
    """Return pip's constraints."""
    stay = [f"{name}=={image.packages[name]}" for name in NEVER_REPLACED if name in image.packages]
    run = [line for line in TESTED.read_text().splitlines() if "==" in line] if TESTED.is_file() else []
    return stay + [line.replace("==", "<=", 1) for line in run if canonical(line.partition("==")[0]) not in image.packages]


def fetch(machine: Machine, packages: dict[str, str], folder: Path) -> None:
    """Put the wheels of these versions into a folder.

    Raises:
        KitError: one cannot be had.
    """
    pinned = [f"{name}=={version}" for name, version in packages.items()]
    if pinned:
        words = ["download", "--no-deps", "--dest", str(folder), *machine.tags, *pinned]
        _run(words, Machine(machine.python, NOTHING), shown=True)


def check_pip() -> None:
    """Check that this Python has pip.

    Raises:
        KitError: it has none.
    """
    if importlib.util.find_spec("pip") is None:
        raise KitError("kit wheels needs pip, and this Python has none: python -m ensurepip")


def _run(words: list[str], machine: Machine, *, shown: bool = False) -> None:
    """Run pip as on that machine; `shown`: its progress goes to stderr."""
    check_pip()
    loud = shown and not os.environ.get("KIT_QUIET")
    with tempfile.TemporaryDirectory() as installed:
        _pretend(machine.image, Path(installed))
        told = json.dumps({"installed": installed, "python": machine.python})
        script = Path(__file__).with_name("pip_elsewhere.py")
        command = [sys.executable, str(script), told, "--no-input", *words]
        done = subprocess.run(
            command if loud else [*command, "--quiet"],
            stdout=sys.stderr if loud else subprocess.PIPE,
            stderr=subprocess.PIPE,
            stdin=subprocess.DEVNULL,
            text=True,
            env={**os.environ, "PIP_BREAK_SYSTEM_PACKAGES": "1", "PIP_DISABLE_PIP_VERSION_CHECK": "1"},
            check=False,
        )
    if done.returncode:
        said = [line.removeprefix("ERROR: ").strip() for line in done.stderr.splitlines() if line.startswith("ERROR: ")]
        raise KitError(f"pip cannot get what kit needs for Python {machine.python}: {'; '.join(said) or done.stderr[-500:]}")


def _pretend(image: Image, folder: Path) -> None:
    """Write what makes pip take the image's packages for installed."""
    for name, version in image.packages.items():
        place = folder / f"{name.replace('-', '_')}-{version}.dist-info"
        place.mkdir()
        (place / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
