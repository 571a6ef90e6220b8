"""Imports point one way along the walk, and what must work without torch does not import it."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
# Each layer may import itself and those before it.
LAYERS = ["ground", "kernels", "images", "model", "profiles", "challenge", "top"]
GROUND = {"kit", "kit.errors", "kit.config", "kit.recipe", "kit.files", "kit.progress", "kit.words"}


def layer(module: str) -> str:
    parts = module.split(".")
    if len(parts) > 1 and parts[1] in LAYERS:
        return parts[1]
    return "ground" if module in GROUND else "top"


def sources() -> list[tuple[str, Path]]:
    found = [("kit." + str(path.relative_to(ROOT / "kit"))[:-3].replace("/", "."), path) for path in (ROOT / "kit").rglob("*.py")]
    found += [("kit.kernels." + path.stem, path) for path in (ROOT / "kernels").glob("*.py")]
    return [(name.removesuffix(".__init__"), path) for name, path in found]


def imports(path: Path) -> list[str]:
    names = []
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names += [f"{node.module}.{alias.name}" for alias in node.names]
    return [name for name in names if name.split(".")[0] == "kit"]


def known(name: str, modules: set[str]) -> str:
    """`kit.config.RunConfig` -> `kit.config`: the longest prefix that is a module."""
    while name not in modules:
        name = name.rpartition(".")[0]
    return name


def test_imports_point_upstream():
    modules = {name for name, _ in sources()}
    wrong = []
    for name, path in sources():
        if name == "kit":
            continue  # its lazy attributes are the front door
        for target in imports(path):
            target = known(target, modules)
            if LAYERS.index(layer(target)) > LAYERS.index(layer(name)):
                wrong.append(f"{name} imports {target}")
            if layer(name) == "kernels" and layer(target) != "kernels":
                wrong.append(f"{name} imports {target}: kernels know nothing of the rest")
    assert not wrong, "\n".join(wrong)


def test_the_check_can_fail():
    assert LAYERS.index(layer("kit.challenge.score")) > LAYERS.index(layer("kit.images.store.work"))
    assert layer("kit.cli.main") == "top"
    assert layer("kit.errors") == "ground"


WITHOUT_TORCH = ["kit", "kit.cli.main", "kit.images.store.work", "kit.images.ingest.run", "kit.profiles.profile", "kit.challenge.export",
                 "kit.challenge.check", "kit.challenge.score", "kit.challenge.submit", "kit.doctor"]  # fmt: skip


@pytest.mark.parametrize("module", WITHOUT_TORCH)
def test_works_without_torch(module):
    code = f"import sys; sys.modules['torch'] = None; sys.modules['triton'] = None; import {module}"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_help_is_quick_and_imports_nothing_heavy():
    code = "import sys, kit.cli.main; print([m for m in ('torch', 'pandas', 'matplotlib', 'sklearn') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
