"""Builds from a copy of the checkout: editable and wheel, isolated and not, with and without nvcc, without pybind11, without a
compiler. The copy takes the checkout's objects along and keeps its own between the cases; with pybind11's headers from torch
every C++ source is compiled anew."""

import os
import re
import shutil
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SITE = Path(sysconfig.get_paths()["purelib"])
NVCC = shutil.which("nvcc") or shutil.which("/usr/local/cuda/bin/nvcc")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(600),
    pytest.mark.skipif(shutil.which("c++") is None, reason="no C++ compiler"),
]
needs_nvcc = pytest.mark.skipif(NVCC is None, reason="no nvcc")
REPORT = "from kit.kernels import extension as e; import kit; print(e.cpu_reason(), '|', e.cuda_reason(), '|', kit.__file__)"


@pytest.fixture(scope="module")
def checkout(tmp_path_factory):
    """A copy of the files a commit would hold."""
    if shutil.which("git") is None:
        pytest.skip("no git to say which files belong to the checkout")
    copy = tmp_path_factory.mktemp("checkout")
    listed = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    if listed.returncode:
        pytest.skip("not a git checkout")
    for name in listed.stdout.splitlines():
        if (ROOT / name).is_file() and not name.startswith(("notebooks/", "submissions/", "tests/")):
            (copy / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, copy / name)
    if (ROOT / "build" / "objects").is_dir():
        shutil.copytree(ROOT / "build" / "objects", copy / "build" / "objects")
    return copy


@pytest.fixture
def environment(tmp_path):
    """Make an environment that sees this one's packages, but not this checkout; `without` names packages to hide."""

    def make(*without: str) -> Path:
        packages = tmp_path / "packages"
        packages.mkdir()
        for entry in SITE.iterdir():
            if not entry.name.startswith(("kit-", "__editable__", *without)):
                (packages / entry.name).symlink_to(entry)
        venv = tmp_path / "venv"
        subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(venv)], check=True)
        python = venv / "bin" / "python"
        where = "import sysconfig; print(sysconfig.get_paths()['purelib'])"
        own = Path(subprocess.run([python, "-c", where], capture_output=True, text=True, check=True).stdout.strip())
        (own / "packages.pth").write_text(f"{packages}\n")
        return python

    return make


def pip(python: Path, *arguments: str, cwd: Path, **switches: str) -> subprocess.CompletedProcess:
    command = [sys.executable, "-m", "pip", "--python", str(python), "-q", *arguments]
    environ = {**os.environ, "KIT_CUDA": "0", **switches}
    return subprocess.run(command, cwd=cwd, env=environ, capture_output=True, text=True, check=False)


def report(python: Path, cwd: Path) -> list[str]:
    """Return what kit.kernels says of _cpu and _cuda, and where kit lies, seen from another folder."""
    environ = {key: value for key, value in os.environ.items() if key != "KIT_NO_EXT"}
    done = subprocess.run([python, "-c", REPORT], cwd=cwd, env=environ, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip().split(" | ")


def install(python, checkout, tmp_path, kind, *, isolated, **switches) -> list[str]:
    """Install the checkout as `kind`, editable or wheel, and return the report of the installed package."""
    flags = ["--no-deps"] if isolated else ["--no-deps", "--no-build-isolation"]
    if kind == "editable":
        done = pip(python, "install", *flags, "-e", str(checkout), cwd=tmp_path, **switches)
    else:
        done = pip(python, "wheel", *flags, "-w", str(tmp_path), str(checkout), cwd=tmp_path, **switches)
        if done.returncode == 0:
            (wheel,) = tmp_path.glob("cellpaint_kit-*.whl")
            done = pip(python, "install", "--no-deps", str(wheel), cwd=tmp_path)
    if isolated and done.returncode and re.search(r"No matching distribution|Could not find a version|connection", done.stderr):
        pytest.skip("pip cannot fetch setuptools and pybind11 for an isolated build here")
    assert done.returncode == 0, done.stderr
    return report(python, tmp_path)


@needs_nvcc
def test_editable_with_nvcc_compiles_every_architecture_without_spills(checkout, environment, tmp_path):
    cpu, cuda, place = install(environment(), checkout, tmp_path, "editable", isolated=False, KIT_CUDA="1")
    assert cpu == "ready"
    assert not cuda.startswith(("not built", "built, but")), cuda
    assert Path(place).is_relative_to(checkout)
    sources = [path.name for path in (ROOT / "csrc" / "cuda").glob("*.cu")]
    for source in sources:
        logs = list(checkout.glob(f"build/objects/*/csrc/cuda/{source}.ptxas.txt"))  # one a set of flags
        text = max(logs, key=lambda path: (len(set(re.findall(r"sm_\d+", path.read_text()))), path.stat().st_mtime)).read_text()
        kernels = re.findall(r"Compiling entry function '(\w+)' for 'sm_(\w+)'", text)
        assert len({arch for _, arch in kernels}) >= 5, f"{source}: {kernels}"
        frames = re.findall(r"(\d+) bytes stack frame, (\d+) bytes spill stores, (\d+) bytes spill loads", text)
        assert len(frames) >= len(kernels)
        assert set(frames) == {("0", "0", "0")}, f"{source} spills: {text}"
    library = next((checkout / "kernels").glob("_cuda*.so"))
    assert b"libcudart.so" not in library.read_bytes()  # the runtime is linked in


def test_editable_without_nvcc(checkout, environment, tmp_path):
    switches = {"KIT_CUDA": "auto", "CUDA_HOME": "/nonexistent"}
    cpu, cuda, place = install(environment(), checkout, tmp_path, "editable", isolated=False, **switches)
    assert (cpu, cuda) == ("ready", "not built")
    assert Path(place).is_relative_to(checkout)


@pytest.mark.parametrize("nvcc", [pytest.param(True, marks=needs_nvcc), False], ids=["nvcc", "plain"])
def test_wheel(checkout, environment, tmp_path, nvcc):
    python = environment()
    cpu, cuda, place = install(python, checkout, tmp_path, "wheel", isolated=False, KIT_CUDA="1" if nvcc else "0")
    assert cpu == "ready"
    assert (cuda != "not built") == nvcc
    assert Path(place).is_relative_to(python.parents[1])
    names = zipfile.ZipFile(next(tmp_path.glob("cellpaint_kit-*.whl"))).namelist()
    assert any(name.startswith("kit/kernels/_cpu") for name in names)
    assert any(name.startswith("kit/kernels/_cuda") for name in names) == nvcc
    assert "kit/recipes/demo.toml" in names
    assert {"kit/report/page.html.j2", "kit/report/page.css"} <= set(names)
    assert not [name for name in names if name.endswith((".cpp", ".cu", ".h"))]


@pytest.mark.parametrize("kind", ["editable", "wheel"])
def test_isolated_build(checkout, environment, tmp_path, kind):
    nvcc = NVCC is not None and kind == "wheel"
    cpu, cuda, _ = install(environment(), checkout, tmp_path, kind, isolated=True, KIT_CUDA="1" if nvcc else "0")
    assert cpu == "ready"
    assert (cuda != "not built") == nvcc


def test_torch_brings_the_headers_where_pybind11_is_missing(checkout, environment, tmp_path):
    assert (SITE / "torch" / "include" / "pybind11").is_dir()
    python = environment("pybind11")
    hidden = subprocess.run([python, "-c", "import pybind11"], capture_output=True, check=False)
    assert hidden.returncode != 0
    assert install(python, checkout, tmp_path, "wheel", isolated=False, KIT_CPU_EXT="1")[0] == "ready"


def test_without_headers_or_compiler_kit_installs_without_its_modules(checkout, environment, tmp_path):
    python = environment("pybind11", "torch")
    assert install(python, checkout, tmp_path, "editable", isolated=False)[:2] == ["not built", "not built"]
    broken = {"CXX": "/nonexistent/c++", "CC": "/nonexistent/cc"}
    assert install(python, checkout, tmp_path, "editable", isolated=False, **broken)[0] == "not built"
    done = pip(python, "install", "--no-deps", "--no-build-isolation", "-e", str(checkout), cwd=tmp_path, KIT_CPU_EXT="1")
    assert done.returncode != 0
    assert "pybind11's headers are missing" in done.stderr


def test_switches_that_cannot_be_met_are_errors(checkout, environment, tmp_path):
    python = environment()
    for switches, words in [
        ({"KIT_CUDA": "1", "CUDA_HOME": "/nonexistent"}, "KIT_CUDA=1, but no nvcc"),
        ({"KIT_CUDA": "yes"}, "KIT_CUDA=yes: need auto, 0 or 1"),
        ({"MAX_JOBS": "none"}, "MAX_JOBS=none: need a whole number"),
    ]:
        done = pip(python, "install", "--no-deps", "--no-build-isolation", "-e", str(checkout), cwd=tmp_path, **switches)
        assert done.returncode != 0
        assert words in done.stdout + done.stderr
    if NVCC:
        switches = {"KIT_CUDA": "1", "KIT_CUDA_ARCHS": "13"}
        done = pip(python, "install", "--no-deps", "--no-build-isolation", "-e", str(checkout), cwd=tmp_path, **switches)
        assert done.returncode != 0
        assert "does not know 13" in done.stdout + done.stderr
