"""The rooms of the house: imports point one way along the walk, without circles, and what must work without torch does."""

import ast
import graphlib
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
# A room may import itself and those named, and what these may import. source and store know nothing of each other.
ROOMS = {
    "ground": [],
    "kernels": [],
    "images": ["ground", "kernels"],  # names and metadata: everybody's vocabulary
    "images.source": ["images"],
    "images.store": ["images"],
    "images.phantom": ["images"],
    "images.ingest": ["images.source", "images.store"],
    "images.cells": ["images.store"],
    "images.crops": ["images.cells"],
    "model": ["images.crops"],
    "profiles": ["model"],
    "challenge": ["profiles", "images.ingest"],
    "kaggle": ["challenge"],
    "trials": ["front", "probes", "images.phantom"],
    "bench": ["front", "images.phantom"],
    "report": ["front"],
    "top": ["trials", "bench", "kaggle", "report"],  # demo, doctor
    "cli": ["top", "wheels"],
    "wheels": ["ground"],
    "gpu": ["bench", "trials", "wheels"],  # called by scripts/gpu.sh alone
    "notebook": ["profiles", "images.ingest"],  # called by notebooks/ alone
    "companions": ["challenge"],
    "measures": ["companions"],
    "probes": ["measures"],
    "front": ["measures"],  # kit itself: its lazy attributes, and the sections that kit.score makes
}
ALIASES = {
    "kit.images.zarr_codecs": "images.store",  # a name that users of other readers import
    "kit.sections": "front",
}
GROUND = {"version", "errors", "words", "files", "progress", "ranges", "config", "coerce", "recipe", "streams", "neighbours"}


def room(module: str) -> str:
    parts = module.split(".")[1:]
    if module in ALIASES:
        return ALIASES[module]
    if not parts:
        return "front"
    for name in (".".join(parts[:2]), parts[0]):
        if name in ROOMS:
            return name
    return "ground" if parts[0] in GROUND else "top"


def may_import(name: str) -> set[str]:
    return {name}.union(*(may_import(other) for other in ROOMS[name]))


def sources() -> dict[str, Path]:
    found = {"kit." + str(path.relative_to(ROOT / "kit"))[:-3].replace("/", "."): path for path in (ROOT / "kit").rglob("*.py")}
    found |= {"kit.kernels." + path.stem: path for path in (ROOT / "kernels").glob("*.py")}
    return {name.removesuffix(".__init__"): path for name, path in found.items()}


def imports(path: Path) -> list[str]:
    """Every import of kit, those inside functions and under TYPE_CHECKING too."""
    names = []
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names += [f"{node.module}.{alias.name}" for alias in node.names]
    return [name for name in names if name.split(".")[0] == "kit"]


def known(name: str, modules: dict[str, Path]) -> str:
    """`kit.config.RunConfig` -> `kit.config`: the longest prefix that is a module."""
    while name not in modules:
        name = name.rpartition(".")[0]
    return name


def import_graph() -> dict[str, set[str]]:
    modules = sources()
    return {name: {known(target, modules) for target in imports(path)} for name, path in modules.items()}


def test_imports_point_upstream():
    wrong = [
        f"{name} imports {target}"
        for name, targets in import_graph().items()
        for target in targets
        if room(target) not in may_import(room(name))
    ]
    assert not wrong, "\n".join(wrong)


def test_the_check_can_fail():
    assert room("kit.images.store.work") not in may_import(room("kit.images.source.tiff"))
    assert room("kit.challenge.score") not in may_import(room("kit.images.store.work"))
    assert room("kit.config") not in may_import(room("kit.kernels.view"))
    assert (room("kit.cli.main"), room("kit.errors"), room("kit.demo"), room("kit")) == ("cli", "ground", "top", "front")


def test_no_circles():
    tuple(graphlib.TopologicalSorter(import_graph()).static_order())  # raises CycleError, naming the circle


LINES_OF_A_FILE, LINES_OF_A_FUNCTION = 300, 60  # the most; 40 is the aim for a function


def long_ones(name: str, text: str) -> list[str]:
    """A file and its functions that are too long to read at one go."""
    functions = [node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
    sizes = [(f"{name}.{node.name}", node.end_lineno - node.lineno + 1) for node in functions]
    found = [f"{function}: {lines} lines" for function, lines in sizes if lines > LINES_OF_A_FUNCTION]
    return found + ([f"{name}: {lines} lines"] if (lines := len(text.splitlines())) > LINES_OF_A_FILE else [])


def test_files_and_functions_are_small():
    found = [line for name, path in sources().items() for line in long_ones(name, path.read_text())]
    assert not found, "\n".join(found)


def test_a_long_file_or_function_is_named():
    inside = "    def long():\n" + "        x = 0\n" * 59  # 60 lines: a method counts as well
    assert long_ones("kit.room", "class A:\n" + inside) == []
    assert long_ones("kit.room", "class A:\n" + inside + "        x = 0\n") == ["kit.room.long: 61 lines"]
    assert long_ones("kit.room", "async def slow():\n" + "    x = 0\n" * 60) == ["kit.room.slow: 61 lines"]
    assert long_ones("kit.room", "x = 0\n" * 300) == []
    assert long_ones("kit.room", "x = 0\n" * 301) == ["kit.room: 301 lines"]


WITHOUT_TORCH = ["kit", "kit.cli.main", "kit.images.store.work", "kit.images.ingest.run", "kit.profiles.profile", "kit.doctor",
                 "kit.challenge.export", "kit.challenge.check", "kit.challenge.score", "kit.kaggle.submit"]  # fmt: skip


@pytest.mark.parametrize("module", WITHOUT_TORCH)
def test_works_without_torch(module):
    code = f"import sys; sys.modules['torch'] = None; sys.modules['triton'] = None; import {module}"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_help_is_quick_and_imports_nothing_heavy():
    code = "import sys, kit.cli.main; print([m for m in ('torch', 'pandas', 'sklearn', 'pydantic') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
