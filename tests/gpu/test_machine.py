"""The tools of a CUDA toolkit are found where they lie."""

from kit.gpu import build, machine


def test_a_toolkit_that_is_not_on_the_path_is_found(tmp_path, monkeypatch):
    """Else the CUDA extension is left out on a machine that could build it."""
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("CUDA_HOME", str(tmp_path / "cuda"))
    monkeypatch.setenv("KIT_CUDA_ARCHS", "90")
    assert machine.tool("nvcc") is None
    assert build.switches() == {"KIT_CUDA": "0"}
    nvcc = tmp_path / "cuda" / "bin" / "nvcc"
    nvcc.parent.mkdir(parents=True)
    nvcc.write_text("#!/bin/sh\n")
    nvcc.chmod(0o755)
    assert machine.tool("nvcc") == str(nvcc)
    assert build.switches() == {"KIT_CUDA": "auto", "KIT_CUDA_ARCHS": "90"}
