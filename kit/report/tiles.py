"""The middle of a site in camera counts, shown on a scale that others share. C channels, P side in pixels."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from kit.images.store.work import Work

SIDE = 256  # pixels
_COLOURS = {"magenta": (1, 0, 1), "yellow": (1, 1, 0), "cyan": (0, 1, 1)}  # told apart by the colour-blind, unlike red and green
_USUAL = (("AGP", "magenta"), ("ER", "yellow"), ("DNA", "cyan"))


@dataclass(frozen=True, slots=True)
class Window:
    """The counts of each channel that are black and white, float [C]."""

    low_C: np.ndarray
    high_C: np.ndarray


@dataclass(frozen=True, slots=True)
class Tile:
    """counts_CPP: float32."""

    channels: tuple[str, ...]
    counts_CPP: np.ndarray

    @property
    def side(self) -> int:
        """P."""
        return self.counts_CPP.shape[1]

    def shown(self, window: Window) -> list[np.ndarray]:
        """Return the mixture of `mixed` and each channel in grey, uint8 [P, P, 3]."""
        low, high = (ends[:, None, None] for ends in (window.low_C, window.high_C))
        level_CPP = np.clip((self.counts_CPP - low) / (high - low), 0, 1)
        mix_PP3 = np.zeros((*level_CPP.shape[1:], 3))
        for name, colour in mixed(self.channels):
            mix_PP3 += level_CPP[self.channels.index(name)][..., None] * np.array(_COLOURS.get(colour, (1, 1, 1)))
        greys = [np.repeat(level_PP[..., None], 3, axis=2) for level_PP in level_CPP]
        return [np.round(255 * np.clip(view, 0, 1)).astype(np.uint8) for view in (mix_PP3, *greys)]


def mixed(channels: Sequence[str]) -> list[tuple[str, str]]:
    """Return (channel, colour) of those that are mixed: AGP, ER and DNA, else the first three; one alone is grey."""
    if len(channels) == 1:
        return [(channels[0], "grey")]
    if all(name in channels for name, _ in _USUAL):
        return list(_USUAL)
    return list(zip(channels[:3], _COLOURS, strict=False))


def read_tile(work: "Work", plate: str, well: str, site: int, channels: Sequence[str]) -> Tile:
    """Return the middle of a site; errors as `Work.read_site`."""
    levels_CHW = work.read_site(plate, well, site, channels)
    height, width = levels_CHW.shape[1:]
    side = min(SIDE, height, width)
    top, left = (height - side) // 2, (width - side) // 2
    sites = work.sites
    row = sites[(sites["Metadata_Plate"] == plate) & (sites["Metadata_Well"] == well) & (sites["Metadata_Site"] == site)].iloc[0]
    black_C = np.array([float(row[f"{channel}_black"]) for channel in channels], dtype=np.float32)
    white_C = np.array([float(row[f"{channel}_white"]) for channel in channels], dtype=np.float32)
    share_CPP = levels_CHW[:, top : top + side, left : left + side].astype(np.float32) / 255
    return Tile(tuple(channels), black_C[:, None, None] + share_CPP * (white_C - black_C)[:, None, None])


def windows(tiles: Sequence[Tile]) -> Window:
    """Return the scale that goes from percentile 1 to 99.9 of the tiles' counts, channel by channel."""
    counts_CN = np.concatenate([tile.counts_CPP.reshape(len(tile.channels), -1) for tile in tiles], axis=1)
    low_C, high_C = np.percentile(counts_CN, [1, 99.9], axis=1)
    return Window(low_C, np.maximum(high_C, low_C + 1))
