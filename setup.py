"""Package layout and the two compiled extensions. The package is complete without them; they make it fast.

kit.kernels._cpu   csrc/cpu/*.cpp with the C++ compiler
kit.kernels._cuda  csrc/cuda/*.cu with nvcc, bound by csrc/cuda/bind.cpp: no torch headers, CUDA runtime linked statically

Environment:
    KIT_CPU_EXT=auto|0|1   auto: a failed build warns and goes on; 1: it is an error; 0: do not try
    KIT_CUDA=auto|0|1      likewise; auto builds where nvcc is found
    KIT_CUDA_ARCHS=75,90   GPU architectures; default: those of WANTED_ARCHS that this nvcc knows
    CUDA_HOME, CUDA_PATH   the toolkit, where nvcc is not on PATH
    MAX_JOBS               compilers at work at once; default: the number of CPUs

Objects are kept under build/objects and compiled again only when a source, one of its headers or a flag has changed. Where
ninja is found it runs the compilers, else a few threads do.
"""

import contextlib
import hashlib
import importlib.util
import json
import logging
import os
import re
import shlex
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from setuptools import Extension, find_packages, setup
from setuptools.command.build_ext import build_ext
from setuptools.errors import BaseError, CCompilerError, CompileError

ROOT = Path(__file__).parent.resolve()
CXX_FLAGS = ["-O3", "-std=c++17", "-g0", "-Wall", "-pthread", "-fvisibility=hidden"]
CXX_FLAGS += ["-ffp-contract=off", "-fno-math-errno", "-fno-trapping-math"]  # same bits on every CPU, and loops that vectorise
NVCC_FLAGS = ["-O3", "-std=c++17", "-Xcompiler", "-fPIC,-fvisibility=hidden", "-Xptxas", "-v"]
WANTED_ARCHS = ("75", "80", "86", "89", "90", "100", "120")  # T4, A100, A10, L4, H100 and H200, B200, RTX 50


def switch(name: str) -> str:
    """Return the switch `name` from the environment: auto, 0 or 1."""
    value = os.environ.get(name, "auto")
    if value not in ("auto", "0", "1"):
        raise SystemExit(f"{name}={value}: need auto, 0 or 1")
    return value


def jobs() -> int:
    text = os.environ.get("MAX_JOBS", "")
    if text and not (text.isdigit() and int(text) > 0):
        raise SystemExit(f"MAX_JOBS={text}: need a whole number, at least 1")
    return int(text or os.cpu_count() or 1)


def pybind11_include() -> str:
    """Return pybind11's headers: its own package, or the copy that torch carries (an offline machine may have only that)."""
    if importlib.util.find_spec("pybind11"):
        import pybind11

        return pybind11.get_include()
    torch = importlib.util.find_spec("torch")  # found, not imported: importing it takes seconds
    for folder in torch.submodule_search_locations if torch else ():
        if (Path(folder) / "include" / "pybind11" / "pybind11.h").is_file():
            return str(Path(folder) / "include")
    raise CompileError("pybind11's headers are missing: pip install pybind11 (torch would do as well)")


def find_nvcc() -> str | None:
    """Return the nvcc of CUDA_HOME or CUDA_PATH if one is set, else that on PATH, else the usual place."""
    home = os.environ.get("CUDA_HOME") or os.environ.get("CUDA_PATH")
    nvcc = Path(home or "/usr/local/cuda") / "bin" / "nvcc"
    return (None if home else shutil.which("nvcc")) or (str(nvcc) if nvcc.is_file() else None)


class Toolkit:
    """The CUDA toolkit behind an nvcc, which may be a wrapper script: it is asked where its toolkit lies."""

    def __init__(self, nvcc: str):
        self.nvcc = nvcc
        dry = subprocess.run([nvcc, "-dryrun", "-x", "cu", os.devnull], capture_output=True, text=True, check=False)
        top = re.search(r"^#\$ _?TOP=(.*)$", dry.stdout + dry.stderr, re.MULTILINE)
        self.top = Path(top[1].strip()) if top else Path(nvcc).resolve().parents[1]
        self.include = self._find("cuda_runtime_api.h", "include", "targets/*/include")
        self.runtime = self._find("libcudart_static.a", "lib64", "lib", "targets/*/lib")

    def _find(self, name: str, *folders: str) -> Path:
        for folder in folders:
            for path in sorted(self.top.glob(f"{folder}/{name}")):
                return path
        raise CompileError(f"{name} is missing from the CUDA toolkit {self.top}")

    def arch_flags(self) -> list[str]:
        """Machine code for every wanted architecture that this nvcc knows, and PTX of the last for newer GPUs."""
        listing = subprocess.run([self.nvcc, "--list-gpu-code"], capture_output=True, text=True, check=False).stdout
        known = set(re.findall(r"sm_(\d+[af]?)", listing))
        asked = [arch.strip().replace(".", "") for arch in os.environ.get("KIT_CUDA_ARCHS", "").split(",") if arch.strip()]
        unknown = [arch for arch in asked if arch not in known]
        if unknown:
            raise CompileError(
                f"KIT_CUDA_ARCHS: {self.nvcc} does not know {', '.join(unknown)}; it knows {', '.join(sorted(known))}"
            )
        archs = asked or [arch for arch in WANTED_ARCHS if arch in known]
        flags = [f"-gencode=arch=compute_{arch},code=sm_{arch}" for arch in archs]
        return [*flags, f"-gencode=arch=compute_{archs[-1]},code=compute_{archs[-1]}"]


def is_stale(target: Path, source: Path) -> bool:
    """Whether `target` is missing or older than its source or one of the headers its dependency file names."""
    if not target.is_file():
        return True
    depfile = target.with_suffix(".d")
    named = re.findall(r"[^\s\\:]+", depfile.read_text().partition(":")[2]) if depfile.is_file() else []
    ours = [path for path in (ROOT / name for name in named) if ROOT / "csrc" in path.parents]
    made = target.stat().st_mtime
    return not depfile.is_file() or any(not path.is_file() or path.stat().st_mtime > made for path in [source, *ours])


@dataclass(frozen=True)
class Object:
    """One compiler call: all but its files, the source under the checkout, the object, and the ending of its log."""

    command: Sequence[str]
    source: str
    target: Path
    log: str

    def line(self) -> str:
        """Return the call for a shell: the object takes its name when it is whole, a failure prints what was said."""
        part, log, depfile = (shlex.quote(str(self.target.with_suffix(end))) for end in (".part", self.log, ".d"))
        call = f"{shlex.join(self.command)} -MMD -MF {depfile} -c {shlex.quote(self.source)} -o {part} > {log} 2>&1"
        return f"{call} && mv {part} {shlex.quote(str(self.target))} || {{ cat {log}; exit 1; }}"


def make_objects(stale: list[Object]) -> None:
    """Compile, several at a time: by ninja, or where there is none by threads."""
    for part in stale:
        part.target.parent.mkdir(parents=True, exist_ok=True)
        part.target.unlink(missing_ok=True)  # rather none than one that does not match its source
    if not stale:
        return
    if shutil.which("ninja"):
        results = [run_ninja(stale)]
    else:
        with ThreadPoolExecutor(jobs()) as pool:
            results = list(pool.map(lambda part: run_shell(["sh", "-c", part.line()]), stale))
    failed = next((done for done in results if done.returncode), None)
    if failed:
        raise CompileError(failed.stdout + failed.stderr)


def run_ninja(stale: list[Object]) -> subprocess.CompletedProcess:
    def name(path: object) -> str:
        return re.sub(r"([$ :])", r"$\1", str(path))

    text = "rule compile\n command = $line\n description = $in\n"
    for part in stale:
        line = part.line().replace("$", "$$")
        text += f"build {name(part.target)}: compile {name(part.source)}\n line = {line}\n"
    script = ROOT / "build" / "objects" / "build.ninja"
    script.write_text(f"builddir = {name(script.parent)}\n{text}")
    return run_shell(["ninja", "-f", str(script), "-j", str(jobs())])


def run_shell(command: list[str]) -> subprocess.CompletedProcess:
    return subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=False)


class BuildExtensions(build_ext):
    """Compiles into a kept object folder; nvcc for .cu files; a failure stops only a build that was told to be strict."""

    def run(self):
        jobs()  # a wrong MAX_JOBS is said also where nothing has to be compiled
        folder = ROOT / "build"
        folder.mkdir(exist_ok=True)
        for name in {"kit.kernels._cpu", "kit.kernels._cuda"} - {ext.name for ext in self.extensions}:
            # a module that is left out this time must not lie there from another time
            place = self._inplace_file(name) if self.inplace else Path(self.build_lib) / self.get_ext_filename(name)
            place.unlink(missing_ok=True)
        with one_build_at_a_time(folder / "lock"):
            super().run()

    def build_extension(self, ext):
        try:
            parts = [*self._compile(ext), *self._compile_cuda(ext)]
            make_objects([part for part in parts if is_stale(part.target, ROOT / part.source)])
            objects = [str(part.target) for part in parts]
            target = Path(self.get_ext_fullpath(ext.name))
            target.parent.mkdir(parents=True, exist_ok=True)
            self.compiler.link_shared_object(
                objects, str(target), extra_postargs=["-pthread", *ext.extra_link_args], target_lang="c++"
            )
        except (BaseError, CCompilerError) as error:
            if not ext.optional:
                raise
            Path(self.get_ext_fullpath(ext.name)).unlink(missing_ok=True)
            self._inplace_file(ext.name).unlink(missing_ok=True)  # rather none than one that does not match its sources
            logging.warning("%s was not built (%s); kit works without it, slower", ext.name, error)

    def _inplace_file(self, name: str) -> Path:
        return ROOT / "kernels" / Path(self.get_ext_filename(name)).name

    def _objects_folder(self, *key: object) -> Path:
        digest = hashlib.sha256(json.dumps([str(part) for part in key]).encode()).hexdigest()[:12]
        folder = ROOT / "build" / "objects" / f"{sysconfig.get_platform()}-{sys.implementation.cache_tag}-{digest}"
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def _compile(self, ext) -> list[Object]:
        include = [*ext.include_dirs, pybind11_include()]
        version = (Path(include[-1]) / "pybind11" / "detail" / "common.h").read_text()
        compiler = getattr(self.compiler, "compiler_so_cxx", None) or self.compiler.compiler_so
        folder = self._objects_folder(CXX_FLAGS, compiler, re.findall(r"#define PYBIND11_VERSION_.*", version))
        flags = [*(f"-I{path}" for path in [*include, *self.compiler.include_dirs]), *CXX_FLAGS]
        return [Object((*compiler, *flags), source, folder / Path(source).with_suffix(".o"), ".log") for source in ext.sources]

    def _compile_cuda(self, ext) -> list[Object]:
        toolkit = getattr(ext, "toolkit", None)
        if toolkit is None:
            return []
        flags = [*NVCC_FLAGS, "-Icsrc/common", *toolkit.arch_flags()]
        version = subprocess.run([toolkit.nvcc, "--version"], capture_output=True, text=True, check=False).stdout
        folder = self._objects_folder(flags, version)
        command = (toolkit.nvcc, *flags, f"--threads={-(-jobs() // len(ext.cuda_sources))}")
        # the log holds registers and spills of every kernel
        return [Object(command, source, folder / f"{source}.o", ".ptxas.txt") for source in ext.cuda_sources]


@contextlib.contextmanager
def one_build_at_a_time(path: Path):
    """Hold a lock file: two builds in one tree would write the same objects."""
    try:
        import fcntl
    except ImportError:  # not a POSIX system
        yield
        return
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def sources(pattern: str) -> list[str]:
    return sorted(path.relative_to(ROOT).as_posix() for path in ROOT.glob(pattern))


def cuda_extension(strict: bool) -> Extension | None:
    nvcc = find_nvcc()
    if nvcc is None:
        if strict:
            raise SystemExit("KIT_CUDA=1, but no nvcc: put it on PATH or set CUDA_HOME")
        return None
    try:
        toolkit = Toolkit(nvcc)
    except (BaseError, CCompilerError) as error:
        if strict:
            raise
        logging.warning("kit.kernels._cuda was not built (%s); kit works without it", error)
        return None
    ext = Extension("kit.kernels._cuda", sources("csrc/cuda/*.cpp"), optional=not strict)
    ext.include_dirs = ["csrc/common", str(toolkit.include.parent)]
    ext.extra_link_args = [str(toolkit.runtime), "-ldl", "-lrt"]
    ext.toolkit, ext.cuda_sources = toolkit, sources("csrc/cuda/*.cu")
    return ext


def extensions() -> list[Extension]:
    found = []
    if switch("KIT_CPU_EXT") != "0":
        optional = switch("KIT_CPU_EXT") != "1"
        found.append(Extension("kit.kernels._cpu", sources("csrc/cpu/*.cpp"), include_dirs=["csrc/common"], optional=optional))
    if switch("KIT_CUDA") != "0":
        found.append(cuda_extension(strict=switch("KIT_CUDA") == "1"))
    return [ext for ext in found if ext is not None]


if __name__ == "__main__":
    setup(
        packages=[*find_packages(include=["kit", "kit.*"]), "kit.kernels"],
        package_dir={"kit": "kit", "kit.kernels": "kernels"},
        package_data={"kit": ["recipes/*.toml", "report/*.css", "report/*.j2", "report/*.js", "wheels/*.txt"]},
        ext_modules=extensions(),
        cmdclass={"build_ext": BuildExtensions},
    )
