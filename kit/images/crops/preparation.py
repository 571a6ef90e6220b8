"""What is done to a run's whole sites before crops are cut, the same for training, embedding and whatever else shows them.

C channels, H W site pixels.
"""

from dataclasses import dataclass
from typing import Self

import numpy as np

from kit.config import RunConfig, ViewsConfig
from kit.images.crops.equalise import clahe, clip_levels

WHOLE_RANGE = (0.0, 100.0)


@dataclass(frozen=True)
class Preparation:
    """In this order, and channel by channel: high pass, clipping, CLAHE. Each of them can be none.

    Args:
        high_pass_C: the side of each channel's high pass, pixels of a site; 0, or nothing at all: none.
        clip: the percentiles that become 0 and 255.
        clahe: limit and tiles, see `equalise.clahe`; None: none.
    """

    high_pass_C: tuple[int, ...] = ()
    clip: tuple[float, float] = WHOLE_RANGE
    clahe: tuple[float, int] | None = None

    @classmethod
    def of(cls, views: ViewsConfig, channel_groups: tuple[str, ...]) -> Self:
        """Return what table [views] says for channels of these groups."""
        sides = tuple(views.high_pass_of(group) for group in channel_groups)
        return cls(sides, views.clip_percentiles, (views.clahe_limit, views.clahe_tiles) if views.clahe else None)

    @classmethod
    def of_run(cls, config: RunConfig) -> Self:
        """Return that of a run's channels."""
        return cls.of(config.views, config.channel_groups)

    @property
    def equalises(self) -> bool:
        """Whether it changes every channel."""
        return self.clip != WHOLE_RANGE or self.clahe is not None

    def changed(self, channels: int) -> list[int]:
        """Return which of the channels it changes."""
        return [c for c in range(channels) if self.equalises or any(self.high_pass_C[c : c + 1])]

    def only(self, places: list[int]) -> "Preparation":
        """Return that of some of the channels."""
        return Preparation(tuple(self.high_pass_C[c] for c in places) if self.high_pass_C else (), self.clip, self.clahe)

    def __call__(self, site_CHW: np.ndarray) -> np.ndarray:
        """Change a site, uint8, in place; return it."""
        if any(self.high_pass_C):
            _high_pass(site_CHW, self.high_pass_C)
        if self.equalises:
            for image_HW in site_CHW:
                if self.clip != WHOLE_RANGE:
                    image_HW[:] = clip_levels(image_HW, *self.clip)
                if self.clahe is not None:
                    limit, tiles = self.clahe
                    image_HW[:] = clahe(image_HW, limit=limit, tiles=tiles)
        return site_CHW


AS_STORED = Preparation()


def _high_pass(site_CHW: np.ndarray, side_C: tuple[int, ...]) -> None:
    """Take what is smoother than a square of `side_C` pixels from the channels of a site; 0 leaves a channel as it is."""
    import torch  # here: sites are read without it

    from kit.kernels.high_pass import high_pass

    for image_HW, side in zip(site_CHW, side_C, strict=True):
        if side:
            image_HW[:] = high_pass(torch.from_numpy(np.ascontiguousarray(image_HW))[None], side, threads=1)[0].numpy()
