"""Fill a folder with kit, its source, and the wheels of all that a machine without a network lacks."""

import json
import os
import re
import shutil
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from kit.errors import UsageError
from kit.files import write_whole
from kit.version import __version__
from kit.wheels.image import NOTHING, Image, canonical
from kit.wheels.resolving import Machine, check_pip, fetch, lacking
from kit.wheels.source import build_requirements, builder, check_checkout
from kit.words import count

DATASET = "kit-wheels"  # the data set's name on Kaggle, by which the notebooks look for it
METADATA = "dataset-metadata.json"
_ANY = "99999"  # a version that is new enough for anybody
_OURS = re.compile(r".*\.whl|.*\.tar\.gz|dataset-metadata\.json")


@dataclass(frozen=True)
class WheelsSummary:
    """What a folder of wheels holds."""

    folder: Path
    machine: Machine
    packages: dict[str, str]  # name -> version: what the machine lacks
    build: dict[str, str]  # likewise: what compiling kit there takes
    binary: bool
    without: Sequence[str] = ()  # packages that were not wanted, though kit names them

    def text(self) -> str:
        files = list(self.folder.iterdir())
        size = sum(file.stat().st_size for file in files) / 1e6
        image = self.machine.image
        lines = [
            f"{self.folder}: {count(len(files), 'file')}, {size:.0f} MB, for Python {self.machine.python} on Linux, x86_64, "
            f"glibc 2.{image.glibc} or newer",
            f"kit        {__version__}: {'compiled' if self.binary else 'pure Python'}, and its source, which "
            f"{_list(self.build)} compile there",
        ]
        new = {name: version for name, version in self.packages.items() if name not in image.packages}
        newer = [
            f"{name} {version} for {image.packages[name]}" for name, version in self.packages.items() if name in image.packages
        ]
        lines.append(f"with it    {_list(new)}" if new else "with it    nothing: the machine has all that kit needs")
        if newer:
            lines.append(f"newer      {', '.join(newer)}: kit needs a newer one than the machine's")
        if image.packages:
            held = ", ".join(f"{name} {image.packages[name]}" for name in ("torch", "triton", "numpy") if name in image.packages)
            date = f", a list of {image.date}" if image.date else ""
            lines.append(
                f"left out   what is installed there ({count(len(image.packages), 'package')}{date}): {held or 'not torch'}"
            )
        if self.without:
            lines.append(f"without    {', '.join(self.without)}: what needs them does not run there, and pip wants --no-deps")
        deps = "--no-deps " if self.without else ""
        lines.append(f"install    pip install --no-index {deps}--find-links {self.folder} cellpaint-kit")
        lines.append(
            f"On Kaggle it is the data set {DATASET}, for which notebooks look: kit kaggle push --dataset wheels {self.folder}"
        )
        return "\n".join(lines)


def _list(packages: dict[str, str]) -> str:
    return ", ".join(f"{name} {version}" for name, version in packages.items())


def make_wheels(out: Path, *, python: str = "", image: Image = NOTHING, binary: bool = False,
                without: Sequence[str] = ()) -> WheelsSummary:  # fmt: skip
    """Write kit's wheel and source, the wheels of what a machine lacks, and dataset-metadata.json into a folder.

    Args:
        out: a new or empty folder, or one that this wrote: wheels in it that are not needed any more go.
        python: the machine's version, 3.12; default: the image's, or 3.12.
        image: what is installed there and is left out; by default nothing is.
        binary: kit's wheel has its modules compiled, by this Python.
        without: packages that are left out all the same, and what they alone need: a run on a GPU needs no polars.

    Raises:
        UsageError: another Python than the image's or, compiled, than this one; the folder holds other files.
        KitError: not a checkout; something cannot be had or built.
    """
    python = _python(python, image)
    if binary and python != "{}.{}".format(*sys.version_info):
        raise UsageError(f"--binary compiles for the Python that runs kit, {sys.version_info[0]}.{sys.version_info[1]}, "
                         f"not for {python}: run it there, or leave it out")  # fmt: skip
    _check_folder(out)
    check_checkout()
    check_pip()
    machine = Machine(python, image)
    pretended = {canonical(name): _ANY for name in without}
    wanting = Machine(python, replace(image, packages={**pretended, **image.packages}))
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{out.name}.", suffix=".part", dir=out.parent) as name:
        stage = Path(name)
        build = lacking(Machine(python, NOTHING), build_requirements())
        fetch(machine, build, stage)
        with builder(sorted(stage.glob("*.whl"))) as building:
            building.source(stage)
            wheel = building.binary_wheel(stage, image.glibc) if binary else building.wheel(stage)
        packages = lacking(wanting, [str(wheel)])
        packages.pop("cellpaint-kit")
        fetch(machine, {name: version for name, version in packages.items() if build.get(name) != version}, stage)
        _move(stage, out)
    if not (out / METADATA).is_file():
        write_whole(out / METADATA, dataset_metadata())
    return WheelsSummary(out, machine, packages, build, binary, tuple(without))


def dataset_metadata() -> str:
    """Return what the kaggle command line needs to make a data set of the folder; OWNER is to be replaced where it is unknown."""
    owner = os.environ.get("KAGGLE_USERNAME") or "OWNER"
    said = {"title": "kit wheels", "id": f"{owner}/{DATASET}", "licenses": [{"name": "other"}]}  # of many packages, each its own
    return json.dumps(said, indent=2) + "\n"


def _python(python: str, image: Image) -> str:
    chosen = python or image.python or "3.12"
    found = re.fullmatch(r"3\.(\d{1,2})", chosen)
    if found is None or int(found[1]) < 11:
        raise UsageError(f"--python {chosen}: need a version such as 3.12, 3.11 or newer")
    if image.python and chosen != image.python:
        raise UsageError(
            f"--python {chosen}, but the image has Python {image.python}: leave out --python, or give another --image"
        )
    return chosen


def _check_folder(out: Path) -> None:
    if out.exists() and not out.is_dir():
        raise UsageError(f"{out} is a file: name a folder")
    foreign = sorted(path.name for path in out.iterdir() if not _OURS.fullmatch(path.name)) if out.is_dir() else []
    if foreign:
        raise UsageError(f"{out} holds {foreign[0]}, which kit wheels did not write: name a new or an empty folder")


def _move(stage: Path, out: Path) -> None:
    """Put the files of `stage` in place of those in `out`."""
    out.mkdir(exist_ok=True)
    names = {path.name for path in stage.iterdir()}
    for path in out.iterdir():
        if path.name not in names and path.name != METADATA:
            path.unlink()
    for path in stage.iterdir():
        path.chmod(0o644)
        shutil.move(path, out / path.name)


def source_of(folder: Path) -> Path:
    """Return kit's source in a folder of wheels: the archive, or the folder that Kaggle makes of it when a data set is uploaded.

    Raises:
        UsageError: there is none.
    """
    for path in sorted(folder.rglob("cellpaint_kit-*.tar.gz")):
        if path.is_file():
            return path
    for path in sorted(folder.rglob("setup.py")):
        if (path.parent / "csrc").is_dir() and (path.parent / "PKG-INFO").is_file():
            return path.parent
    raise UsageError(f"{folder} holds no source of kit (cellpaint_kit-{__version__}.tar.gz): make it with kit wheels {DATASET}")
