"""Which backend is chosen, and the reason that is given."""

import pytest

from kit.kernels import launch


@pytest.fixture
def machine(monkeypatch):
    """Pretend: which extensions are ready, and the GPU's compute capability."""

    def pretend(cpu="ready", cuda="ready", capability=(9, 0), interpret=None, wanted=None):
        monkeypatch.setattr(launch, "cpu_reason", lambda: cpu)
        monkeypatch.setattr(launch, "cuda_reason", lambda: cuda)
        monkeypatch.setattr(launch, "_capability", lambda device: capability)
        for key, value in (("TRITON_INTERPRET", interpret), ("KIT_BACKEND", wanted)):
            monkeypatch.setenv(key, value) if value else monkeypatch.delenv(key, raising=False)
        launch._choose.cache_clear()

    yield pretend
    launch._choose.cache_clear()


@pytest.mark.parametrize(
    ("given", "device", "backend", "reason"),
    [
        ({}, "cpu", "cpp", "_cpu"),
        ({"cpu": "not built"}, "cpu", "torch", "_cpu is not built"),
        ({"cpu": "not built", "interpret": "1"}, "cpu", "torch", "_cpu is not built"),  # the interpreter is for tests only
        ({}, "cuda:0", "triton", "9.0"),
        ({"capability": (8, 0)}, "cuda:0", "triton", "8.0"),
        ({"capability": (7, 5)}, "cuda:0", "cuda", "_cuda"),
        ({"capability": (7, 5), "cuda": "not built"}, "cuda:0", "triton", "7.5"),
        ({"capability": (6, 0), "cuda": "no code for this GPU: rebuild"}, "cuda:0", "torch", "6.0"),
        ({"wanted": "torch"}, "cpu", "torch", "KIT_BACKEND=torch"),
        ({"wanted": "cuda"}, "cuda:0", "cuda", "KIT_BACKEND=cuda"),
        ({"wanted": "triton", "interpret": "1"}, "cpu", "triton", "KIT_BACKEND=triton"),
    ],
)
def test_choice(machine, given, device, backend, reason):
    machine(**given)
    found = launch.choose("view", device)
    assert found.backend == backend
    assert reason in found.reason


@pytest.mark.parametrize(
    ("given", "device", "message"),
    [
        ({"wanted": "fast"}, "cpu", "KIT_BACKEND=fast"),
        ({"wanted": "triton"}, "cpu", "TRITON_INTERPRET"),
        ({"wanted": "cuda"}, "cpu", "GPU tensors only"),
        ({"wanted": "cpp", "cpu": "not built"}, "cpu", "not built"),
        ({"wanted": "cuda", "cuda": "driver too old: it supports CUDA 12.4"}, "cuda:0", "driver too old"),
    ],
)
def test_what_cannot_run_is_refused(machine, given, device, message):
    machine(**given)
    with pytest.raises(ValueError, match=message):
        launch.choose("view", device)


def test_a_backend_the_op_does_not_have_is_passed_over(machine):
    machine(wanted="cuda", capability=(7, 5))
    found = launch.choose("random_words", "cuda:0")
    assert found.backend == "triton"
    assert "no cuda version" in found.reason


def test_report_names_every_op(machine):
    machine()
    rows = launch.report()
    assert [op for op, _, _ in rows] == list(launch.OPS)
    assert all(backend in launch.BACKENDS and reason for _, backend, reason in rows)


def test_report_goes_on_after_a_refusal(machine):
    machine(wanted="cuda")
    rows = {op: (backend, reason) for op, backend, reason in launch.report()}
    assert rows["view"][0] == "refused"
    assert "KIT_BACKEND=cuda" in rows["view"][1]
    assert rows["random_words"][0] == "cpp"  # it has no cuda version
