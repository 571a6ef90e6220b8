"""Compile kit's two extensions in the checkout, the CUDA one for the cards that are here alone.

    python -m kit.gpu.build --seconds 90 --json FILE

Without a card and without KIT_CUDA_ARCHS the CUDA extension is left out: it takes minutes for every architecture.
"""

import os
import subprocess
import sys
import time
from pathlib import Path

from kit.gpu.machine import capabilities, tool
from kit.gpu.notes import Options

ROOT = Path(__file__).parents[2]
REPORT = "from kit.kernels.extension import cpu_reason, cuda_reason; print(cpu_reason()); print(cuda_reason())"


def switches() -> dict[str, str]:
    """Return setup.py's switches for this machine."""
    archs = os.environ.get("KIT_CUDA_ARCHS", "") or capabilities()
    if not archs or tool("nvcc") is None:
        return {"KIT_CUDA": "0"}
    return {"KIT_CUDA": "auto", "KIT_CUDA_ARCHS": archs}


def main() -> int:
    given = Options("kit.gpu.build", __doc__.partition("\n")[0])
    told = switches()
    start = time.monotonic()
    command = [sys.executable, "setup.py", "--quiet", "build_ext", "--inplace"]
    try:
        code = subprocess.run(command, cwd=ROOT, env={**os.environ, **told}, check=False, timeout=given.left).returncode
    except subprocess.TimeoutExpired:
        code = 1
        given.notes.line("cut: the compilers had not ended; the next build goes on from what they have made")
    said = subprocess.run([sys.executable, "-c", REPORT], capture_output=True, text=True, check=False, cwd="/")
    cpu, cuda = (*said.stdout.splitlines(), "", "")[:2]
    archs = told.get("KIT_CUDA_ARCHS", "")
    given.notes.put(seconds=time.monotonic() - start, cpu=cpu, cuda=cuda, archs=archs)
    given.notes.line(f"_cpu: {cpu or said.stderr.strip()[-200:]}")
    lacking = "no nvcc" if tool("nvcc") is None else "neither card nor KIT_CUDA_ARCHS"
    given.notes.line(f"_cuda: {cuda}, " + (f"for sm_{archs}" if archs else f"left out, as there is {lacking}"))
    no_card = not capabilities() and cuda.startswith("no ")
    return code or int(cpu != "ready" or (bool(archs) and cuda != "ready" and not no_card))


if __name__ == "__main__":
    sys.exit(main())
