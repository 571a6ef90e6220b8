"""Layout, attention and compilation change no number but for rounding, and what is not to be had is named."""

import pytest
import torch

import kit.model.choices
from kit.errors import UsageError
from kit.model.blocks import Attention
from kit.model.checkpoint import learner_tensors, put_tensors
from kit.model.choices import require_attention
from kit.model.step import learn
from tests.model.tiny import random_views, tiny_config, tiny_learner

CPU = torch.device("cpu")
LOCAL = {"crops": {"second_site": False, "local_crops": 2, "local_side": 8}, "model": {"drop_path": 0.3}}


def run(steps: int, *, resume_at: int = 0, **train) -> tuple[list[float], object]:
    """Return the losses of a few steps, and the learner; `resume_at`: it goes on from its own tensors there."""
    config = tiny_config(**LOCAL, train=train)
    learner = tiny_learner(config, dtype=torch.float32)
    losses = []
    for step in range(steps):
        if step and step == resume_at:
            tensors = learner_tensors(learner)
            learner = tiny_learner(config, dtype=torch.float32)
            put_tensors(learner, tensors)
        losses.append(float(learn(learner, random_views(config, step, dtype=torch.float32), step).parts["loss"]))
    return losses, learner


@pytest.mark.parametrize("way", [{"channels_last": True}, {"attention": "math"}, {"attention": "flash"}])
def test_another_way_is_the_same_run(way):
    expected, _ = run(4)
    found, learner = run(4, **way)
    assert found == pytest.approx(expected, rel=1e-5)
    assert found[3] != pytest.approx(found[0], rel=1e-2)
    assert run(4, resume_at=2, **way)[0] == pytest.approx(found, rel=1e-6)
    for network in (learner.student, learner.teacher):
        weight = network.backbone.patch_embed.proj.weight
        assert weight.is_contiguous(memory_format=torch.channels_last) == way.get("channels_last", False)
        backends = {module.backend for module in network.modules() if isinstance(module, Attention)}
        assert backends == {way.get("attention", "auto")}


@pytest.mark.parametrize(("parts", "names"), [
    ("blocks", {"backbone.blocks.0", "backbone.blocks.1"}),
    ("networks", {"backbone", "dino_head", "ibot_head"}),
])  # fmt: skip
def test_what_is_compiled(parts, names, monkeypatch):
    compiled = []
    monkeypatch.setattr(torch.nn.Module, "compile", lambda module: compiled.append(module))
    config = tiny_config(loss={"separate_ibot_head": True}, train={"compile": True, "compile_parts": parts})
    learner = tiny_learner(config)
    for network in (learner.student, learner.teacher):
        assert {name for name, module in network.named_modules() if module in compiled} == names
    assert len(compiled) == 2 * len(names)


@pytest.mark.slow
def test_networks_compiled_as_wholes_take_the_eager_steps(monkeypatch):
    """Traced as torch.compile does it; how the code is then made is not ours."""
    expected, _ = run(3)

    def trace(module):
        module._compiled_call_impl = torch.compile(module._call_impl, backend="eager")

    monkeypatch.setattr(torch.nn.Module, "compile", trace)
    torch.compiler.reset()
    assert run(3, compile=True, compile_parts="networks", attention="math")[0] == pytest.approx(expected, rel=1e-5)
    assert torch._dynamo.utils.counters["stats"]["unique_graphs"] > 0
    torch.compiler.reset()


def test_an_attention_that_is_not_to_be_had():
    for name in ("auto", "math", "flash"):
        require_attention(name, CPU, None, 64)
    with pytest.raises(UsageError, match=r"train.attention = cudnn: torch .* has no such attention for bfloat16 on cpu here; "):
        require_attention("cudnn", CPU, torch.bfloat16, 64)
    assert kit.model.choices.BACKENDS.keys() == {"flash", "cudnn", "efficient", "math"}
