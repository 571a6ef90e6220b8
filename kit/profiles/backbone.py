"""A frozen backbone that turns sites into vectors.

B batch, C channels, P side the site is resized to, D width of a token.
"""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor
from tqdm import tqdm

from kit.config import RunConfig
from kit.images.crops.preparation import Preparation
from kit.model.precision import precision
from kit.model.vectors import channel_vectors, site_vectors
from kit.model.vit import Vit
from kit.profiles.table import PLATE, SITE, WELL
from kit.profiles.tiling import Tiling

if TYPE_CHECKING:
    from kit.images.store.work import Work

_READERS = 2  # threads that unpack the next batch while this one is computed


@dataclass(frozen=True)
class Backbone:
    """A backbone in evaluation mode, the data it takes, what features.json says of it, and what it is shown of a site."""

    work: "Work"
    network: Vit
    config: RunConfig
    mean_C: Tensor
    sd_C: Tensor
    facts: dict[str, Any]
    tiling: Tiling = field(default_factory=Tiling)
    repeats: int = 0  # if not 0: every channel by itself, repeated so often; the vectors of all are concatenated

    @property
    def channels(self) -> tuple[str, ...]:
        return self.config.channels

    @property
    def parts(self) -> dict[str, list[int]]:
        dim = self.config.model.dim * len(self.channels) if self.repeats else self.config.width
        return {"cls": [0, dim], "patch": [dim, 2 * dim], "patch_sd": [2 * dim, 3 * dim]}

    @property
    def suffix(self) -> str:
        """What follows the name of the run: the channels, where they are not those it was trained on, and how it sees a site."""
        others = ("", *self.channels) if "trained_on" in self.facts else ()
        return "-".join(others) + ("-per-channel" if self.repeats else "") + self.tiling.suffix

    def tiled(self, tiling: Tiling) -> "Backbone":
        """Return the same backbone, to be shown these views of a site."""
        return replace(self, tiling=tiling, facts={**self.facts, **tiling.facts})

    def per_channel(self, repeats: int) -> "Backbone":
        """Return the same backbone, to be shown each channel by itself, `repeats` times; 0: all together."""
        return replace(self, repeats=repeats, facts={**self.facts, "per_channel": repeats}) if repeats else self

    def embed_sites(self, plate: str, sites: pd.DataFrame, bar: tqdm) -> np.ndarray:
        """Return `site_vectors` of the sites of one plate, the mean over the views of each, float32 [N, 3 D].

        Of a backbone per channel, each part holds its D numbers of every channel in turn: [N, 3 C D].

        Every batch has the same shape (the last is filled up with its first site), so that a vector does not depend on
        how many sites the plate has.
        """
        vectors = []
        for site_BCHW, count in self._batches(plate, sites):
            vectors.append(self.vectors(site_BCHW)[:count])
            bar.update(count)
        return np.concatenate(vectors)

    def vectors(self, image_BCHW: Tensor) -> np.ndarray:
        """Return `site_vectors` of a batch of images, uint8 [B, C, H, W]: the mean over the views of each, float32 [B, 3 D]."""
        config = self.config
        to_vectors = partial(
            channel_vectors if self.repeats else site_vectors, self.network, mean_C=self.mean_C, sd_C=self.sd_C,
            side=config.embed.side, crop=config.embed.crop, views=config.views, autocast=precision(config, self.mean_C.device),
        )  # fmt: skip
        of_views = [to_vectors(view_BCHW) for view_BCHW in self.tiling.views(image_BCHW)]
        mean_BD = of_views[0] if len(of_views) == 1 else torch.stack(of_views).mean(dim=0)
        return mean_BD.cpu().numpy()

    def _batches(self, plate: str, sites: pd.DataFrame) -> Iterator[tuple[Tensor, int]]:
        """Yield batches of sites, uint8 [B, C, H, W], and how many of each are not filling; read one batch ahead."""
        size = self.config.embed.batch
        keys = list(zip(sites[PLATE], sites[WELL], sites[SITE], strict=True))
        groups = [keys[start : start + size] for start in range(0, len(keys), size)]
        with ThreadPoolExecutor(_READERS) as pool:
            ahead = [pool.submit(self.read, key) for key in groups[0]]
            for index, group in enumerate(groups):
                now, ahead = ahead, [pool.submit(self.read, key) for group in groups[index + 1 : index + 2] for key in group]
                images = [reading.result() for reading in now]
                images += [images[0]] * (size - len(group))
                yield torch.from_numpy(np.stack(images)), len(group)

    def read(self, key: tuple[str, str, int]) -> np.ndarray:
        """Return a site as the network is shown it, before it is resized: uint8 [C, H, W] of its channels."""
        return Preparation.of_run(self.config)(self.work.read_site(*key, channels=self.channels))
