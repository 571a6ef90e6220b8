"""A step on a device reads nothing back and copies nothing up but through `upload`, which does not wait.

torch's `meta` device stands in for a GPU: it refuses tensors of two devices in one operation, as a GPU does, and has no values
to read. The kernels are left out: they check where their tensors are, and that is kept.
"""

import contextlib

import pytest
import torch
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

import kit.kernels.elastic_warp
import kit.kernels.view
import kit.model.channel_drop
import kit.model.composite
import kit.model.dino
import kit.model.draws
import kit.model.exposure_draws
import kit.model.learner
import kit.model.optim
import kit.model.views
from kit.kernels.blur import taps
from kit.model import transfer
from kit.model.dino import seeded_network
from kit.model.learner import make_learner
from kit.model.step import learn
from kit.model.views import make_view
from kit.recipe import load_recipe
from tests.model.tiny import random_views, tiny_config

META = torch.device("meta")
ASKS = ("_local_scalar_dense", "nonzero", "unique", "equal", "is_nonzero")


class WatchMade(TorchFunctionMode):
    """Counts tensors made on the device from Python's numbers: copies that the other mode does not see."""

    def __init__(self, watch):
        self.watch = watch

    def __torch_function__(self, func, types, args=(), kwargs=None):
        out = func(*args, **(kwargs or {}))
        made = func in (torch.tensor, torch.as_tensor, torch.Tensor.new_tensor)
        self.watch.copied += made and out.device == META and not isinstance(args[-1], torch.Tensor)
        return out


class Watch(TorchDispatchMode):
    """Lists what makes a host wait: values asked for, and copies from the CPU to the device."""

    def __init__(self):
        super().__init__()
        self.asked: list[str] = []
        self.copied = 0
        self.made = WatchMade(self)

    def __enter__(self):
        self.made.__enter__()
        return super().__enter__()

    def __exit__(self, *error):
        super().__exit__(*error)
        self.made.__exit__(*error)

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        out = func(*args, **(kwargs or {}))
        name = func.__name__.partition(".")[0]
        if name in ASKS:
            self.asked.append(name)
        on_cpu = any(isinstance(arg, torch.Tensor) and arg.device.type == "cpu" for arg in args)
        self.copied += name in ("_to_copy", "copy_") and on_cpu and out.device == META
        return out


@pytest.fixture
def uploads(monkeypatch):
    """Counts what goes up without waiting."""
    count = []

    def upload(values, device):
        count.append(device)
        return transfer.upload(values, device)

    drawing = (kit.model.draws, kit.model.exposure_draws, kit.model.views)
    for module in (kit.model.channel_drop, kit.model.composite, kit.model.dino, *drawing):
        monkeypatch.setattr(module, "upload", upload)
    return count


def checked_view(pixels, *, warp=None, jitter=None, exposure=None, noise=None, normalise=None, dtype=torch.float32):
    kit.kernels.view._check(pixels, warp, jitter, exposure, noise, normalise, dtype)
    return torch.empty(pixels.shape, dtype=dtype, device=pixels.device)


def checked_blur(x, sigma_B, solarise_B):
    assert x.device == taps(sigma_B).device == solarise_B.device
    return x


@pytest.mark.parametrize(
    "settings",
    [
        [],
        ["views.noise_unit=sd"],
        ["views.style=dinov2"],
        ["views.style=cell-dino", "views.normalise=crop", "views.cell_dino_rescale=AGP"],
        ["views.normalise=crop"],
        ["views.composite=wheel", "views.normalise=crop", "views.normalise_floor_unit=level"],
    ],
)
def test_the_crops_of_a_gpu_become_views_there(settings, monkeypatch, uploads):
    monkeypatch.setenv("KIT_BACKEND", "torch")
    for module in (kit.model.views, kit.model.exposure_draws, kit.kernels.elastic_warp):
        monkeypatch.setattr(module, "random_words", lambda ids, count, **_: ids.new_empty(len(ids), count, 4))
    monkeypatch.setattr(kit.model.views, "view", checked_view)
    monkeypatch.setattr(kit.model.views, "blur", checked_blur)
    config = load_recipe("sslprofiler-local", settings, channels=("Mito", "AGP", "RNA")).views
    pixels, sums = torch.empty(2, 3, 64, 64, dtype=torch.uint8, device=META), torch.empty(2, 3, dtype=torch.int64, device=META)
    facts = {
        "seed": 1,
        "role": "second",
        "channel_groups": ("fluorescence",) * 3,
        "channels": ("Mito", "AGP", "RNA"),
        "mean_C": (0.5,) * 3,
        "sd_C": (0.2,) * 3,
    }
    make_view(pixels, sums, torch.arange(2), config, **facts)  # the first makes tables that later ones find
    uploads.clear()
    with Watch() as watch:
        made = make_view(pixels, sums, torch.arange(2), config, **facts)
    assert made.device == META
    assert watch.asked == []
    assert watch.copied == len(uploads) > 0


class PlainAdamW(torch.optim.AdamW):
    """AdamW for the device that has no fused one, without the values it would ask for."""

    def step(self, closure=None):
        """Nothing: there are no values."""


CASES = {
    "dinov2": {"crops": {"second_site": False, "local_crops": 2, "local_side": 8}, "model": {"drop_path": 0.3}},
    "centring": {"crops": {"second_site": False}, "loss": {"targets": "centring"}, "train": {"micro_batches": 2}},
    "local aggregation": {"loss": {"local_aggregation": True, "masked_view": "own", "head_batchnorm": True}},
}


@pytest.mark.parametrize("case", CASES)
def test_a_step_waits_for_nothing(case, monkeypatch, uploads):
    monkeypatch.setattr(
        kit.model.learner, "make_optimiser",
        lambda modules, config: PlainAdamW(kit.model.optim.parameter_groups(modules, config), lr=0.0),
    )  # fmt: skip
    monkeypatch.setattr(torch, "autocast", lambda *_, **__: contextlib.nullcontext())  # knows no such device
    config = tiny_config(**CASES[case])
    networks = [seeded_network(config.model, config.loss, 3, 0).to(META) for _ in range(2)]
    learner = make_learner(config, *networks, steps=8, steps_per_epoch=4)
    views = {name: view.to(META) for name, view in random_views(config, 0, dtype=torch.float32).items()}
    uploads.clear()
    with Watch() as watch:
        report = learn(learner, views, 0)
    assert watch.asked == []
    assert watch.copied == len(uploads) > 0
    assert report.flags.shape == (2,)
    assert {tensor.device for tensor in (report.flags, *report.parts.values(), *report.norms.values())} == {META}


def test_the_watch_sees_what_waits():
    x = torch.zeros(3, device=META)
    with Watch() as watch:
        torch.tensor([1.0, 2.0], device=META)
        with pytest.raises(RuntimeError):
            float(x.sum())
        bool(torch.zeros(()))
    assert watch.copied == 1
    assert watch.asked == ["_local_scalar_dense"]
