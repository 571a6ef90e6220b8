"""Made-up pictures with something to learn: each well has its own two wavelengths, angle and contrast in each channel."""

import math

import torch

from kit.config import CropsConfig, LossConfig, ModelConfig, RunConfig, TrainConfig


def draw_views(
    names, *, seed: int, step: int, batch: int, side: int, channels: int = 2, wells: int = 64
) -> dict[str, torch.Tensor]:
    """Return views [B, C, P, P] of different wells; one name is one view of each well, moved, turned over and noisy."""
    generator = torch.Generator().manual_seed(seed * 100_003 + step)
    traits = torch.rand(wells, channels, 4, generator=torch.Generator().manual_seed(seed))
    well_B = torch.randperm(wells, generator=generator)[:batch]
    place = torch.arange(side, dtype=torch.float32)
    views = {}
    for name in names:
        wavelength = 4 + 12 * traits[well_B, :, 0]
        angle = math.pi * traits[well_B, :, 1] + 0.1 * torch.randn(batch, 1, generator=generator)
        phase = 2 * math.pi * torch.rand(batch, channels, 2, generator=generator)
        y, x = place[:, None], place[None, :]
        along = angle.cos()[..., None, None] * x + angle.sin()[..., None, None] * y
        across = angle.cos()[..., None, None] * y - angle.sin()[..., None, None] * x
        first = torch.sin(2 * math.pi * along / wavelength[..., None, None] + phase[..., 0, None, None])
        second = torch.sin(math.pi * across / (4 + 12 * traits[well_B, :, 2])[..., None, None] + phase[..., 1, None, None])
        strength = traits[well_B, :, 3, None, None]
        picture = first * strength + second * (1 - strength)
        views[name] = picture + 0.3 * torch.randn(picture.shape, generator=generator)
    return views


def picture_config(
    *, seed: int, steps: int = 500, batch: int = 16, side: int = 28, model=None, loss=None, train=None
) -> RunConfig:
    """A small run on such pictures."""
    model = {
        "dim": 32,
        "depth": 2,
        "heads": 2,
        "patch": 7,
        "position_side": side,
        "ffn": "mlp",
        "layerscale": 1.0,
        "drop_path": 0.0,
    } | (model or {})
    loss = {
        "prototypes": 64, "head_hidden": 64, "head_bottleneck": 16, "head_batchnorm": True, "separate_ibot_head": True,
        "masked_view": "shared", "symmetric": True, "teacher_temperature": (0.04, 0.04), "koleo_weight": 0.02,
    } | (loss or {})  # fmt: skip
    train = {
        "max_steps": steps, "batch": batch, "lr": 3e-3, "lr_end": 6e-5, "warmup_steps": steps // 10, "ema": (0.99, 0.99),
        "weight_decay": (0.04, 0.1), "patch_embed_lr": 1.0, "freeze_last_layer_epochs": 0.0,
    } | (train or {})  # fmt: skip
    return RunConfig(
        channels=("Mito", "AGP"),
        seed=seed,
        crops=CropsConfig(global_side=side, local_side=side),
        model=ModelConfig(**model),
        loss=LossConfig(**loss),
        train=TrainConfig(**train),
    )
