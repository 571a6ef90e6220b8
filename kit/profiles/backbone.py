"""A frozen backbone that turns sites into vectors: z = [CLS ; mean patch token].

B batch, C channels, P side the site is resized to, D width of a token.
"""

import hashlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from kit.config import CropsConfig, EmbedConfig, RunConfig, StoreConfig
from kit.errors import UsageError
from kit.files import write_whole
from kit.model.checkpoint import is_checkpoint, load_backbone
from kit.model.official import model_of, official_backbone, read_weights
from kit.model.precision import precision
from kit.model.vectors import site_vectors
from kit.model.vit import Vit, seeded_vit
from kit.profiles.runs import run_config
from kit.profiles.table import PLATE, SITE, WELL
from kit.recipe import config_to_dict, config_to_toml

if TYPE_CHECKING:
    from kit.images.store.work import Work

_READERS = 2  # threads that unpack the next batch while this one is computed


@dataclass(frozen=True)
class Backbone:
    """A backbone in evaluation mode, the data it takes, and what features.json says of it."""

    work: "Work"
    network: Vit
    config: RunConfig
    mean_C: Tensor
    sd_C: Tensor
    facts: dict[str, Any]

    @property
    def channels(self) -> tuple[str, ...]:
        return self.config.channels

    @property
    def parts(self) -> dict[str, list[int]]:
        dim = self.config.model.dim
        return {"cls": [0, dim], "patch": [dim, 2 * dim]}

    def embed_sites(self, plate: str, sites: pd.DataFrame, bar) -> np.ndarray:
        """Return [CLS ; mean patch token] of the sites of one plate, float32 [N, 2 D].

        Every batch has the same shape (the last is filled up with its first site), so that a vector does not depend on
        how many sites the plate has.
        """
        config = self.config
        to_vectors = partial(
            site_vectors, self.network, mean_C=self.mean_C, sd_C=self.sd_C,
            side=config.embed.side, views=config.views, autocast=precision(config, self.mean_C.device),
        )  # fmt: skip
        vectors = []
        for site_BCHW, count in self._batches(plate, sites):
            vectors.append(to_vectors(site_BCHW)[:count].cpu().numpy())
            bar.update(count)
        return np.concatenate(vectors)

    def _batches(self, plate: str, sites: pd.DataFrame) -> Iterator[tuple[Tensor, int]]:
        """Yield batches of sites, uint8 [B, C, H, W], and how many of each are not filling; read one batch ahead."""
        size = self.config.embed.batch
        keys = list(zip(sites[PLATE], sites[WELL], sites[SITE], strict=True))
        groups = [keys[start : start + size] for start in range(0, len(keys), size)]
        with ThreadPoolExecutor(_READERS) as pool:
            ahead = [pool.submit(self._read, key) for key in groups[0]]
            for index, group in enumerate(groups):
                now, ahead = ahead, [pool.submit(self._read, key) for group in groups[index + 1 : index + 2] for key in group]
                images = [reading.result() for reading in now]
                images += [images[0]] * (size - len(group))
                yield torch.from_numpy(np.stack(images)), len(group)

    def _read(self, key: tuple[str, str, int]) -> np.ndarray:
        return self.work.read_site(*key, channels=self.channels)


def open_backbone(
    work: "Work", run: str, *, weights: Path | None = None, random: bool = False, channels: tuple[str, ...] = ()
) -> Backbone:
    """Return the backbone of a run's newest checkpoint, of a checkpoint or published file, or at initial random weights.

    Raises:
        KitError: there is no such run, no whole checkpoint, or no backbone in the file.
        UsageError: channels that are not the run's, or a store whose pixels were scaled otherwise than the run's.
    """
    stats = None
    if random:
        config = run_config(work, run)
        network = seeded_vit(config.model, len(config.channels), config.seed).requires_grad_(False).eval()
    elif weights is not None and not is_checkpoint(weights):
        config = published_config(work, run, weights, channels)
        network = official_backbone(weights, len(config.channels))
    else:
        if weights is None:
            run_config(work, run)  # a run that is not there is said to be so
        network, config, *stats = load_backbone(weights or work.run_folder(run))
    if channels and channels != config.channels:
        raise UsageError(f"--channels {','.join(channels)}: run {run} is of {','.join(config.channels)}")
    check_store(config.store, work)
    mean_C, sd_C = stats or (torch.from_numpy(values) for values in work.channel_stats(config.channels))
    facts = {
        "baseline": "random" if random else None,
        "of_run": run,
        "weights": _digest(network),
        "channels": list(config.channels),
        "mean": mean_C.tolist(),
        "sd": sd_C.tolist(),
        "config": {table: config_to_dict(config)[table] for table in ("model", "views", "embed")},
    }
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    facts["precision"] = str(precision(config, device) or torch.float32).removeprefix("torch.")
    return Backbone(work, network.to(device), config, mean_C.float().to(device), sd_C.float().to(device), facts)


def published_config(work: "Work", run: str, weights: Path, channels: tuple[str, ...]) -> RunConfig:
    """Return the configuration under which a published file's backbone embeds: the run's, or a new run's, with its network.

    A run that is not there yet is made: it has a run.toml and no checkpoints.

    Raises:
        UsageError: a new run without channels. KitError: no DINOv2 backbone in the file.
    """
    model = replace(model_of(read_weights(weights)), weights=str(weights))
    stored = work.run_folder(run) / "run.toml"
    if stored.is_file():
        return replace(run_config(work, run), model=model)
    if not channels:
        raise UsageError(f"{weights} is no checkpoint of kit's and there is no run {run}: say which --channels it is to see")
    work.channel_stats(channels)  # an absent channel is refused before anything is written
    whole = {name: side // model.patch * model.patch for name, side in (("global_side", 518), ("local_side", 98))}
    config = RunConfig(
        recipe="published", channels=channels, crops=CropsConfig(**whole), model=model,
        embed=EmbedConfig(side=whole["global_side"]), store=work.settings,
    )  # fmt: skip
    write_whole(stored, config_to_toml(config))
    return config


def check_store(made: StoreConfig, work: "Work") -> None:
    """See that the store's pixels are scaled as those that a run learnt from.

    Raises:
        UsageError: naming the first choice that differs.
    """
    for key in ("scale", "size", "illumination"):  # bits and codec change no pixel
        before, now = getattr(made, key), getattr(work.settings, key)
        if before != now:
            raise UsageError(
                f"the weights learnt from a store with {key} = {before}, {work.path} has {now}: ingest the plates alike, "
                "or train on this store"
            )


def _digest(network: Vit) -> str:
    """Return the SHA-256 of the weights, by name."""
    digest = hashlib.sha256()
    for name, value in sorted(network.state_dict().items()):
        digest.update(name.encode())
        digest.update(value.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()
