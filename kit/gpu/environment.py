"""A Python that has kit and what kit needs, without a network: the machine's own packages, and wheels for the rest."""

import json
import os
import re
import subprocess
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kit.errors import KitError
from kit.wheels.image import canonical

# torch is looked for, not imported: that takes seconds
_READY = "import importlib.util as u, kit, kit.kernels.launch; assert u.find_spec('torch'); print(kit.__file__)"
_VERSIONS = "import json, importlib.metadata as m; print(json.dumps({d.name: d.version for d in m.distributions()}))"
_FOLDERS = "import json, sys; print(json.dumps([p for p in sys.path if p.rstrip('/').endswith('-packages')]))"
_WHEEL = re.compile(r"([A-Za-z0-9_.]+)-([^-]+)(-\d[^-]*)?-[^-]+-[^-]+-[^-]+\.whl")


@dataclass(frozen=True)
class Environment:
    """`python` has kit's checkout. `brought`: the wheels that were installed into it, name and version."""

    python: Path
    brought: tuple[str, ...] = ()


def prepare(python: Path, root: Path, folder: Path, wheels: Path) -> Environment:
    """Return a Python that imports this checkout's kit: `python` itself if it does, else a new environment in `folder`.

    The new one sees all that `python` has, and gets from `wheels` what kit needs and `python` lacks or has too old. Nothing
    is compiled; no network is used; `python` stays as it is.

    Raises:
        KitError: a step failed, and what it said.
    """
    if _runs(python, root):
        return Environment(python)
    own = folder / "bin" / "python"
    if not _runs(own, root):
        _call([python, "-m", "venv", "--without-pip", "--clear", folder])
        place = next((folder / "lib").glob("python*/site-packages"))
        lines = [f"import site; site.addsitedir({path!r})" for path in _json([python, "-c", _FOLDERS])]
        (place / "kit_machine.pth").write_text("\n".join(lines) + "\n")
    chosen = wanted_wheels(wheels, _json([own, "-c", _VERSIONS]), bounds(root))
    pip = [own, "-m", "pip", "install", "--quiet", "--no-index", "--no-deps", "--no-cache-dir", "--disable-pip-version-check"]
    if chosen:
        _call([*pip, *chosen])
    if not _runs(own, root):
        _call([*pip, "--no-build-isolation", "--editable", root], {"KIT_CPU_EXT": "0", "KIT_CUDA": "0"})
    return Environment(own, tuple(" ".join(_WHEEL.fullmatch(path.name).groups()[:2]) for path in chosen))  # type: ignore[union-attr]  # wanted_wheels took its names


def wanted_wheels(folder: Path, installed: Mapping[str, str], least: Mapping[str, str]) -> list[Path]:
    """Return the wheels in a folder whose package is not installed, or in a version below `least`; kit's own is none of them.

    Args:
        installed, least: versions by name.
    """
    there, needed = ({canonical(name): version for name, version in of.items()} for of in (installed, least))
    found = []
    for path in sorted(folder.glob("*.whl")):
        match = _WHEEL.fullmatch(path.name)
        name = canonical(match[1]) if match else ""
        if not name or name == "cellpaint-kit":
            continue
        if name not in there or (name in needed and release(there[name]) < release(needed[name])):
            found.append(path)
    return found


def bounds(root: Path) -> dict[str, str]:
    """Return the lower bounds of kit's dependencies and of what builds it: name -> version."""
    table = tomllib.loads((root / "pyproject.toml").read_text())
    words = [*table["project"]["dependencies"], *table["build-system"]["requires"]]
    matches = (re.match(r"([A-Za-z0-9._-]+)>=([0-9.]+)", word) for word in words)
    return {canonical(match[1]): match[2] for match in matches if match}


def release(version: str) -> tuple[int, ...]:
    """Return the numbers of a version, 2.11.0+cu130 -> (2, 11, 0)."""
    return tuple(int(part) for part in re.findall(r"\d+", version.partition("+")[0])[:4])


def missing(python: Path, packages: Iterable[str]) -> list[str]:
    """Return those of some import names that a Python does not find."""
    names = list(packages)
    code = f"import json, importlib.util as u; print(json.dumps([n for n in {names!r} if u.find_spec(n) is None]))"
    return _json([python, "-c", code])


def _runs(python: Path, root: Path) -> bool:
    """Whether a Python has torch and this checkout's kit with its kernels."""
    if not python.is_file():
        return False
    done = _run([python, "-c", _READY], {})
    return done.returncode == 0 and Path(done.stdout.strip()).resolve().parents[1] == root.resolve()


def _call(command: list, switches: Mapping[str, str] | None = None) -> str:
    done = _run(command, switches or {})
    if done.returncode:
        said = [line for line in (done.stderr or done.stdout).splitlines() if line.strip()]
        raise KitError(f"{' '.join(map(str, command[1:4]))} failed: {said[-1] if said else done.returncode}", tuple(said[-12:-1]))
    return done.stdout


def _json(command: list) -> Any:
    return json.loads(_call(command))


def _run(command: list, switches: Mapping[str, str]) -> subprocess.CompletedProcess:
    words = [str(word) for word in command]
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}  # else a checkout would pass for installed
    return subprocess.run(words, cwd="/", env={**kept, **switches}, capture_output=True, text=True, check=False)
