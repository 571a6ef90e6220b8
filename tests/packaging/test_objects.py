"""How setup.py compiles: with ninja and without, only what is stale, and failures told."""

import importlib.util
import shutil
from pathlib import Path

import pytest
from setuptools.errors import CompileError

ROOT = Path(__file__).parents[2]
COMPILER = shutil.which("cc")
pytestmark = pytest.mark.skipif(COMPILER is None, reason="no C compiler")


@pytest.fixture(params=["ninja", "threads"])
def build(request, tmp_path, monkeypatch):
    """setup.py as a module, in a checkout of its own whose path has a space and a dollar sign."""
    if request.param == "ninja" and shutil.which("ninja") is None:
        pytest.skip("no ninja")
    spec = importlib.util.spec_from_file_location("kit_setup", ROOT / "setup.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    root = tmp_path / "a $checkout"
    (root / "csrc").mkdir(parents=True)
    (root / "build" / "objects").mkdir(parents=True)
    monkeypatch.setattr(module, "ROOT", root)
    if request.param == "threads":
        monkeypatch.setattr(module.shutil, "which", lambda name: None)
    return module


def part(build, name: str, text: str):
    (build.ROOT / "csrc" / name).write_text(text)
    return build.Object((COMPILER, "-Wall"), f"csrc/{name}", build.ROOT / "build" / "objects" / "x" / f"{name}.o", ".log")


def test_objects_are_made_and_know_their_headers(build):
    (build.ROOT / "csrc" / "n.h").write_text("#define N 3\n")
    parts = [part(build, "a.c", '#include "n.h"\nint a(void) { return N; }\n'), part(build, "b.c", "int b(void) { return 2; }\n")]
    assert all(build.is_stale(p.target, build.ROOT / p.source) for p in parts)
    build.make_objects(parts)
    assert [build.is_stale(p.target, build.ROOT / p.source) for p in parts] == [False, False]
    before = parts[0].target.read_bytes()
    (build.ROOT / "csrc" / "n.h").write_text("#define N 77\n")
    late = parts[0].target.stat().st_mtime + 5
    build.os.utime(build.ROOT / "csrc" / "n.h", (late, late))
    assert [build.is_stale(p.target, build.ROOT / p.source) for p in parts] == [True, False]
    build.make_objects(parts[:1])
    assert parts[0].target.read_bytes() != before


def test_a_failure_says_what_the_compiler_said_and_leaves_no_object(build):
    bad = part(build, "bad.c", "int f(void) { return nonsense; }\n")
    bad.target.parent.mkdir()
    bad.target.write_bytes(b"of another time")
    with pytest.raises(CompileError, match="nonsense"):
        build.make_objects([bad])
    assert not bad.target.exists()
