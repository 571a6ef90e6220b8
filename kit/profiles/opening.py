"""Open a backbone to embed with: a run's newest checkpoint, one checkpoint file, or published weights.

Or a baseline: the run's architecture with its initial random weights. Each of them raises UsageError if `channels` are given
that are not the run's and its network takes no others, or if the store's pixels are scaled differently from those that the
weights were trained on.
"""

import hashlib
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from kit.config import CropsConfig, EmbedConfig, RunConfig, StoreConfig
from kit.config.channels import by_channel, grouped
from kit.errors import UsageError
from kit.files import write_whole
from kit.model.channel_stats import channel_stats
from kit.model.checkpoint import load_backbone
from kit.model.licences import licence_of
from kit.model.official import file_channels, model_of, official_backbone, read_weights
from kit.model.precision import precision
from kit.model.vit import Vit, seeded_vit
from kit.profiles.backbone import Backbone
from kit.profiles.runs import run_config
from kit.recipe import config_to_dict, config_to_toml
from kit.words import nearest

if TYPE_CHECKING:
    from kit.images.store.work import Work


def open_run(work: "Work", run: str, channels: tuple[str, ...] = ()) -> Backbone:
    """Return the backbone of a run's newest checkpoint.

    Raises:
        UsageError: there is no such run.
        KitError: it has no whole checkpoint.
    """
    run_config(work, run)  # a missing run is reported as such
    network, config, *statistics = load_backbone(work.run_folder(run))
    return _backbone(work, run, network, *_for_channels(work, run, config, channels, *statistics))


def open_checkpoint(work: "Work", run: str, file: Path, channels: tuple[str, ...] = ()) -> Backbone:
    """Return the backbone of one checkpoint's file, of whichever run; the features will be called those of `run`.

    Raises:
        KitError: it is no whole checkpoint.
    """
    network, config, *statistics = load_backbone(file)
    return _backbone(work, run, network, *_for_channels(work, run, config, channels, *statistics))


def open_published(work: "Work", run: str, file: Path, channels: tuple[str, ...] = (), *, per_channel: bool = False) -> Backbone:
    """Return the backbone of a DINOv2 file that others published, its patch filters spread over the run's channels.

    With `per_channel` the filters stay as they are, and each channel is repeated to them.

    A missing run is created, with `channels`. Pixels are normalised by mean and sd of the whole store.

    Raises:
        KitError: the file has no backbone.
    """
    config = published_config(work, run, file, channels)
    tensors = read_weights(file)
    repeats = file_channels(tensors) if per_channel else 0
    network = official_backbone(file, repeats or len(config.channels))
    opened = _backbone(work, run, network, *_for_channels(work, run, config, channels)).per_channel(repeats)
    return replace(opened, facts={**opened.facts, "licence": licence_of(file, tensors)})


def open_random(work: "Work", run: str, channels: tuple[str, ...] = ()) -> Backbone:
    """Return the backbone of a run as it was before its first step: the baseline that shows what training adds.

    Raises:
        UsageError: there is no such run.
    """
    config = run_config(work, run)
    network = seeded_vit(config.model, config.inputs, config.seed).requires_grad_(False).eval()
    return _backbone(work, run, network, *_for_channels(work, run, config, channels), baseline="random")


def published_config(work: "Work", run: str, weights: Path, channels: tuple[str, ...]) -> RunConfig:
    """Return the configuration under which a published file's backbone embeds: the run's, or a new run's, with its network.

    A missing run is created: it has a run.toml and no checkpoints.

    Raises:
        UsageError: a new run without channels. KitError: no DINOv2 backbone in the file.
    """
    model = replace(model_of(read_weights(weights)), weights=str(weights))
    stored = work.run_folder(run) / "run.toml"
    if stored.is_file():
        return replace(run_config(work, run), model=model)
    if not channels:
        raise UsageError(f"{weights} is not a kit checkpoint and run {run} does not exist: give its --channels")
    work.channel_stats(channels)  # an absent channel is refused before anything is written
    global_side, local_side = (side // model.patch * model.patch for side in (518, 98))  # whole patches
    config = RunConfig(
        recipe="published", channels=channels, crops=CropsConfig(global_side=global_side, local_side=local_side), model=model,
        embed=EmbedConfig(side=global_side), store=work.settings,
    )  # fmt: skip
    write_whole(stored, config_to_toml(config))
    return config


def _for_channels(
    work: "Work", run: str, config: RunConfig, channels: tuple[str, ...], *of_run: Tensor
) -> tuple[tuple[str, ...], RunConfig, Tensor, Tensor]:
    """Return the channels that a network was trained on, its configuration for those it is to embed, and their mean and sd.

    Args:
        channels: to embed, where they are not the run's; for a network that takes any channels.
        of_run: mean and sd of the run's data; without them all are the store's, as those of channels that the run had not.

    Raises:
        UsageError: the network takes the channels that it was trained on, in their order, and no others.
    """
    trained_on = config.channels
    check_store(config.store, work)
    if channels and channels != trained_on:
        if not config.any_channels:
            raise UsageError(f"--channels {','.join(channels)}: run {run} takes {','.join(trained_on)}")
        if absent := [name for name in channels if name not in work.channels]:
            there = f"{nearest(absent[0], work.channels)}; it has {', '.join(work.channels)}"
            raise UsageError(f"{work.path} has no channel {absent[0]}{there}")
        config = replace(config, channels=channels, groups=grouped(channels, by_channel(work.groups)))
    if of_run and config.channels == trained_on:
        mean_C, sd_C = of_run
        return trained_on, config, mean_C, sd_C
    statistics = _statistics(work, config)
    for own_C, run_C in zip(statistics, of_run, strict=False):
        for place, name in enumerate(config.channels):
            if name in trained_on:
                own_C[place] = run_C[trained_on.index(name)]
    return trained_on, config, *statistics


def check_store(made: StoreConfig, work: "Work") -> None:
    """Check that the store's pixels are scaled like those that a run was trained on.

    Raises:
        UsageError: naming the first choice that differs.
    """
    for key in ("scale", "size", "illumination"):  # bits and codec change no pixel
        before, now = getattr(made, key), getattr(work.settings, key)
        if before != now:
            raise UsageError(
                f"the weights were trained on a store with {key} = {before}, {work.path} has {now}: ingest the plates with the "
                "same setting, or train on this store"
            )


def _statistics(work: "Work", config: RunConfig) -> tuple[Tensor, Tensor]:
    """Return mean and sd of the channels over the whole store, for a network that brings none, float64 [C]."""
    mean_C, sd_C = channel_stats(work, config)
    return torch.from_numpy(mean_C), torch.from_numpy(sd_C)


def _backbone(
    work: "Work", run: str, network: Vit, trained_on: tuple[str, ...], config: RunConfig, mean_C: Tensor, sd_C: Tensor, *,
    baseline: str | None = None,
) -> Backbone:  # fmt: skip
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    facts = {
        "baseline": baseline,
        "of_run": run,
        "weights": _digest(network),
        "channels": list(config.channels),
        "mean": mean_C.tolist(),
        "sd": sd_C.tolist(),
        "config": {table: config_to_dict(config)[table] for table in ("model", "views", "embed")},
        "precision": str(precision(config, device) or torch.float32).removeprefix("torch."),
    }
    if trained_on != config.channels:
        facts["trained_on"] = list(trained_on)
    return Backbone(work, network.to(device), config, mean_C.float().to(device), sd_C.float().to(device), facts)


def _digest(network: Vit) -> str:
    """Return the SHA-256 of the weights, by name."""
    digest = hashlib.sha256()
    for name, value in sorted(network.state_dict().items()):
        digest.update(name.encode())
        digest.update(value.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()
