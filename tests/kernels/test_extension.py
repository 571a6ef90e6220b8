"""The compiled modules are found or their absence is explained; the build compiles only what has changed."""

import importlib.util
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from kit.kernels.extension import cpu_reason, explain
from tests.compiled import unless_blocked

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(
    ("driver", "count", "code", "words"),
    [
        (12080, 1, 0, "ready"),
        (0, 0, 35, "no driver"),
        (12080, 0, 35, "driver too old: it supports CUDA 12.8, built for 13.0"),
        (13000, 0, 100, "no GPU"),
        (13000, 0, 0, "no GPU"),
        (13000, 1, 209, "no code for this GPU"),
        (13000, 1, 999, "CUDA error 999: unknown error"),
    ],
)
def test_every_way_a_gpu_can_be_missing_has_its_own_words(driver, count, code, words):
    assert explain(driver, 13000, count, code, "unknown error").startswith(words)


def run(code: str, **environ: str) -> str:
    return subprocess.run(
        [sys.executable, "-c", code], env={**os.environ, **environ}, capture_output=True, text=True, check=True, cwd=ROOT
    ).stdout.strip()


@unless_blocked
def test_the_compiled_module_is_there_unless_it_is_blocked():
    """What needs it skips without it, for a wish or for a broken build: here the broken build fails."""
    assert cpu_reason() == "ready"


def test_both_modules_can_be_blocked():
    code = "from kit.kernels import extension as e; print(e.cpu_extension(), e.cpu_reason(), e.cuda_extension(), e.cuda_reason())"
    assert run(code, KIT_NO_EXT="1") == "None blocked by KIT_NO_EXT=1 None blocked by KIT_NO_EXT=1"


def test_a_module_for_another_interpreter_says_that_it_does_not_load(tmp_path):
    code = f"""
import sys
import kit.kernels
kit.kernels.__path__.insert(0, {str(tmp_path)!r})
from kit.kernels import extension
print(extension.cpu_reason())
"""
    suffix = importlib.machinery.EXTENSION_SUFFIXES[0]
    (tmp_path / f"_cpu{suffix}").write_bytes(b"not a library")
    assert run(code, KIT_NO_EXT="0").startswith("built, but does not load: ")


def test_a_module_of_another_version_is_set_aside(tmp_path):
    """Its functions take other arguments: after an update without a build, ingest ended with a TypeError."""
    code = f"""
import sys
import kit.kernels
kit.kernels.__path__.insert(0, {str(tmp_path)!r})
from kit.kernels import extension
print(extension.cpu_extension(), extension.cpu_reason())
"""
    (tmp_path / "_cpu.py").write_text("interface = 1")
    reason = "None built from other sources than this version of kit: build it again (make install, or pip install -e .)"
    assert run(code, KIT_NO_EXT="0") == reason


@pytest.fixture(scope="module")
def build():
    """setup.py as a module."""
    spec = importlib.util.spec_from_file_location("kit_setup", ROOT / "setup.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_an_object_is_stale_when_its_source_or_a_header_is_newer(build, tmp_path, monkeypatch):
    monkeypatch.setattr(build, "ROOT", tmp_path)
    source, header, target = tmp_path / "csrc" / "a.cpp", tmp_path / "csrc" / "common" / "a.h", tmp_path / "a.o"
    header.parent.mkdir(parents=True)
    for path in (source, header):
        path.write_text("")
    assert build.is_stale(target, source)  # never compiled
    target.write_text("")
    assert build.is_stale(target, source)  # compiled, but by what is not known
    target.with_suffix(".d").write_text("a.o: csrc/a.cpp \\\n csrc/common/a.h /usr/include/stdio.h\n")
    os.utime(target, (time.time() + 5,) * 2)
    assert not build.is_stale(target, source)
    for path in (source, header):
        os.utime(path, (time.time() + 9,) * 2)
        assert build.is_stale(target, source)
        os.utime(path, (time.time(),) * 2)
        assert not build.is_stale(target, source)
    header.unlink()
    assert build.is_stale(target, source)


def test_switches_are_checked(build, monkeypatch):
    monkeypatch.setenv("KIT_CUDA", "maybe")
    with pytest.raises(SystemExit, match="KIT_CUDA=maybe: need auto, 0 or 1"):
        build.switch("KIT_CUDA")
    for value, expected in (("3", 3), ("", os.cpu_count())):
        monkeypatch.setenv("MAX_JOBS", value)
        assert build.jobs() == expected
    monkeypatch.setenv("MAX_JOBS", "0")
    with pytest.raises(SystemExit, match="MAX_JOBS=0"):
        build.jobs()


def test_headers_come_from_torch_where_pybind11_is_missing(build, monkeypatch, tmp_path):
    (tmp_path / "include" / "pybind11").mkdir(parents=True)
    (tmp_path / "include" / "pybind11" / "pybind11.h").touch()

    class Spec:
        submodule_search_locations = (str(tmp_path),)

    monkeypatch.setattr(build.importlib.util, "find_spec", lambda name: Spec() if name == "torch" else None)
    assert build.pybind11_include() == str(tmp_path / "include")
    monkeypatch.setattr(build.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(build.CompileError, match="pip install pybind11"):
        build.pybind11_include()
