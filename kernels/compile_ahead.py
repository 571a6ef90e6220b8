"""Compile the Triton kernels for any GPU, without one or its driver, and count what the machine code needs.

    python -m kit.kernels.compile_ahead [--archs 75,90] [--write budgets.json]

Prints one line per kernel, element type and architecture: registers, stack, local-memory instructions, instructions.
TRITON_INTERPRET must not be set: the decorator would return interpreted functions.
"""

import argparse
import itertools
import json
import re
import subprocess
import tempfile
from pathlib import Path

import triton
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource

from kit.kernels import view_triton

ARCHS = (75, 80, 86, 89, 90, 100, 120)
TOOLS = Path(triton.__file__).parent / "backends" / "nvidia" / "bin"
_TYPES = {"float32": "fp32", "float16": "fp16", "bfloat16": "bf16", "uint8": "u8"}

_FUSED = {  # the parts that are switched on
    "all": "WARP ELASTIC JITTER NOISE NORMALISE",
    "many photons": "WARP ELASTIC JITTER NOISE MANY NORMALISE",
    "no noise": "WARP ELASTIC JITTER NORMALISE",
    "affine only": "WARP JITTER NORMALISE",
    "exposure": "EXPOSE",
}
_NEEDED = {  # switch: the arguments that are None without it
    "WARP": ("kind", "affine"),
    "ELASTIC": ("lattice",),
    "JITTER": ("scale", "shift"),
    "EXPOSE": ("contrast",),
    "NOISE": ("noisy", "sample", "strength", "fine"),
    "MANY": ("coarse",),
    "NORMALISE": ("last",),
}
_SINGLE = {"channel jitter": "JITTER", "elastic warp": "WARP ELASTIC", "microscope noise": "NOISE", "normalise": "NORMALISE"}


def variants() -> dict[str, tuple]:
    """Return {name: (kernel, argument types, constants, warps)} of every kernel and element type that is launched."""
    found = {}
    for part, out in itertools.product(_FUSED, ("float32", "float16", "bfloat16")):
        found[f"view {part}, uint8 to {out}"] = _view(_FUSED[part], "uint8", out)
    for (part, switches), source in itertools.product(_SINGLE.items(), ("uint8", "float32")):
        found[f"{part}, {source} to float32"] = _view(switches, source, "float32")
    for source in ("uint8", "float32"):
        types = {"pixels": f"*{_TYPES[source]}", "gain": "*fp32", "out": "*fp32", "size": "i32"}
        found[f"clipped means of {source}"] = _entry(view_triton._clipped_means, "plane", types, {"BYTES": source == "uint8"})
    for out in ("float32", "float16", "bfloat16"):
        types = {"x": "*fp32", "out": f"*{_TYPES[out]}", "size": "i32", "floor": "fp32"}
        found[f"standardise to {out}"] = _entry(view_triton._standardise, "plane", types, {})
    for across in (True, False):
        types = {"x": "*fp32", "out": "*fp32", "taps": "*fp32", "solarise": "*i32", "C": "i32", "H": "i32", "W": "i32"}
        found[f"blur {'across' if across else 'down'}"] = _entry(view_triton._blur_axis, "plane", types, {"ACROSS": across})
    types = {"sample": "*i64", "out": "*i64", "count": "i32", "seed": "i64", "stream": "i32"}
    found["random words"] = _entry(view_triton._random_words, "plane", types, {})
    return found


def _view(on: str, source: str, out: str) -> tuple:
    noise = "NOISE" in on
    switches = {"BYTES": source == "uint8"} | {name: name in on.split() for name in _NEEDED}
    types = {"pixels": f"*{_TYPES[source]}", "out": f"*{_TYPES[out]}", "kind": "*i32", "affine": "*i32", "lattice": "*fp32"}
    types |= {
        "scale": "*fp32",
        "shift": "*fp32",
        "contrast": "*fp32",
        "noisy": "*i32",
        "sample": "*i64",
        "strength": "*fp32",
        "fine": "*i32",
    }
    types |= {"coarse": "*i32", "last": "*fp32", "seed": "i64", "stream": "i32", "coarse_stream": "i32", "C": "i32", "H": "i32"}
    types |= {"W": "i32", "Ly": "i32", "Lx": "i32", "per_spacing": "fp32"}
    absent = [name for switch, names in _NEEDED.items() if not switches[switch] for name in names]
    absent = [name for name in absent if not (switches["EXPOSE"] and name in ("scale", "shift"))]  # an exposure has them too
    kept = {name: kind for name, kind in types.items() if name not in absent}
    return _entry(view_triton._view, "view" if noise else "noiseless view", kept, switches | dict.fromkeys(absent))


def _entry(kernel: triton.JITFunction, launch: str, types: dict[str, str], constants: dict[str, bool | None]) -> tuple:
    block, warps = view_triton.LAUNCH[launch]
    return kernel, types, {**constants, "BLOCK": block}, warps


def measure(name: str, arch: int) -> dict[str, int]:
    """Compile one variant for sm_`arch` and return registers, stack, local (instructions), shared and instructions."""
    kernel, types, constants, warps = variants()[name]
    signature = types | dict.fromkeys(constants, "constexpr")
    source = ASTSource(fn=kernel, signature=signature, constexprs=constants, attrs={})
    compiled = triton.compile(source, target=GPUTarget("cuda", arch, 32), options={"num_warps": warps, **view_triton.OPTIONS})
    with tempfile.TemporaryDirectory() as folder:
        cubin = Path(folder) / "kernel.cubin"
        cubin.write_bytes(compiled.asm["cubin"])
        usage = _tool("cuobjdump", "-res-usage", cubin)
        listing = _tool("cuobjdump", "-sass", cubin)
    opcodes = re.findall(r"^\s+/\*[0-9a-f]{4,}\*/\s+(?:@!?U?P\d+\s+)?([A-Z][A-Z0-9_.]*)", listing, re.MULTILINE)
    return {
        "registers": _count("REG", usage),
        "stack": _count("STACK", usage),
        "local": sum(code.startswith(("LDL", "STL")) for code in opcodes),
        "shared": compiled.metadata.shared,
        "instructions": sum(code != "NOP" for code in opcodes),
    }


def _count(name: str, usage: str) -> int:
    found = re.search(rf"{name}:(\d+)", usage)
    assert found, f"cuobjdump names no {name}: {usage}"
    return int(found[1])


def _tool(name: str, *arguments: str | Path) -> str:
    done = subprocess.run([str(TOOLS / name), *map(str, arguments)], capture_output=True, text=True, check=True)
    return done.stdout + done.stderr


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--archs", default=",".join(map(str, ARCHS)))
    parser.add_argument("--only", default="", help="variants whose name contains this")
    parser.add_argument("--write", type=Path, help="write the table as JSON")
    options = parser.parse_args()
    table: dict[str, dict[str, dict[str, int]]] = {}
    for name in variants():
        if options.only in name:
            for arch in map(int, options.archs.split(",")):
                table.setdefault(name, {})[f"sm_{arch}"] = found = measure(name, arch)
                print(f"{name:40} sm_{arch:<4}", *(f"{key} {value:4}" for key, value in found.items()), flush=True)
    if options.write:
        lines = [f"  {json.dumps(name)}: {json.dumps(archs)}" for name, archs in table.items()]
        head = f'{{"triton": {json.dumps(triton.__version__)}, "kernels": {{'
        options.write.write_text(head + "\n" + ",\n".join(lines) + "\n}}\n")


if __name__ == "__main__":
    main()
