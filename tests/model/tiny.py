"""Small networks and configurations for the tests of the trainer, with weights that let every part matter."""

from dataclasses import replace

import torch

from kit.config import CropsConfig, LossConfig, ModelConfig, RunConfig, TrainConfig
from kit.model.dino import Network, seeded_network
from kit.model.distributed import ONE
from kit.model.learner import Learner, make_learner

CHANNELS = ("Mito", "AGP", "RNA")


def tiny_config(**changes) -> RunConfig:
    """A run of 16 px views, 4 x 4 patches, three channels; `crops`, `model`, `loss`, `train` lay values over their tables."""
    tables = {
        "crops": CropsConfig(global_side=16, local_side=16, second_site=True),
        "model": ModelConfig(dim=24, depth=2, heads=2, patch=4, position_side=16, layerscale=1.0, drop_path=0.0),
        "loss": LossConfig(prototypes=40, head_hidden=32, head_bottleneck=16, chunk_rows=7, local_aggregation=False),
        "train": TrainConfig(epochs=2.0, batch=6, lr=1e-3, warmup_epochs=0.5, layer_decay=0.8, clip=0.5),
    }
    tables = {name: replace(table, **changes.get(name, {})) for name, table in tables.items()}
    from kit.config import EmbedConfig

    return RunConfig(channels=CHANNELS, seed=changes.get("seed", 3), embed=EmbedConfig(side=16), **tables)


def stir(module: torch.nn.Module, seed: int) -> None:
    """Give every parameter a value at which it matters: gammas and norm weights near 1, the rest well away from 0."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, parameter in module.named_parameters():
            noise = torch.randn(parameter.shape, generator=generator, dtype=torch.float64)
            near_one = "gamma" in name or ("norm" in name and name.endswith("weight")) or name.endswith("weight_g")
            parameter.copy_(1 + 0.2 * noise if near_one else 0.2 * noise)


def stirred_network(config: RunConfig, seed: int = 5) -> Network:
    network = seeded_network(config.model, config.loss, config.inputs, seed)
    stir(network, seed)
    return network


def tiny_learner(config: RunConfig, *, dtype=torch.float64, steps: int = 8, group=ONE, stirred: bool = True) -> Learner:
    """A learner at its first step."""
    make = stirred_network if stirred else lambda c: seeded_network(c.model, c.loss, c.inputs, c.seed)
    return make_learner(config, make(config).to(dtype), make(config).to(dtype), steps=steps, steps_per_epoch=4, group=group)


def random_views(config: RunConfig, step: int, *, dtype=torch.float64, samples: int | None = None) -> dict[str, torch.Tensor]:
    """The views of a whole batch, float [B, C, P, P]; `local` sample-major."""
    generator = torch.Generator().manual_seed(1000 + step)
    B, C = samples or config.train.batch, len(config.channels)

    def draw(rows: int, side: int) -> torch.Tensor:
        return torch.randn(rows, C, side, side, generator=generator, dtype=torch.float64).to(dtype)

    views = {name: draw(B, config.crops.global_side) for name in ("v1", "w", "v2")}
    if config.crops.local_crops:
        views["local"] = draw(B * config.crops.local_crops, config.crops.local_side)
    return views


def as_numpy(module: torch.nn.Module) -> dict:
    return {name: value.detach().double().numpy() for name, value in module.state_dict().items()}


def as_double(module: torch.nn.Module) -> dict[str, torch.Tensor]:
    return {name: value.detach().double().clone() for name, value in module.state_dict().items()}


def assert_near(actual, expected, share: float, what: str = "") -> None:
    """Every entry within `share` of the largest entry of the expected tensor."""
    actual, expected = torch.as_tensor(actual).double(), torch.as_tensor(expected).double()
    assert actual.shape == expected.shape
    error = float((actual - expected).abs().max())
    assert error <= share * float(expected.abs().max()), (
        f"{what} off by {error:.2e}, largest entry {float(expected.abs().max()):.2e}"
    )
