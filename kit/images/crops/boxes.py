"""The part of a site that a crop shows: random boxes, mirrors and quarter turns. N crops."""

import numpy as np

from kit.config import CropsConfig
from kit.images.crops.groups import GROUPS, LOCAL
from kit.streams import Stream, random_words

TRIES = 10  # boxes drawn before giving up on one that fits, as DINOv2
WORDS = 2 * TRIES + 4  # random words of one crop


def draw_boxes(
    words_NK: np.ndarray, height: int, width: int, area: tuple[float, float], aspect: tuple[float, float]
) -> np.ndarray:
    """Return boxes (top, left, height, width) in pixels, int64 [N, 4], inside a site of `height` x `width` pixels.

    The share of the site is uniform in `area`, the logarithm of width over height uniform in `aspect`. The first of ten
    draws that fits is taken; if none does, the largest centred box whose aspect is allowed.

    Source: random resized crop of DINOv2 (arXiv:2304.07193), as torchvision defines it.
    """
    unit_NK = uniform(words_NK)
    area_NT = height * width * (area[0] + (area[1] - area[0]) * unit_NK[:, 0 : 2 * TRIES : 2])
    low, high = np.log(aspect[0]), np.log(aspect[1])
    ratio_NT = np.exp(low + (high - low) * unit_NK[:, 1 : 2 * TRIES : 2])
    wide_NT = np.rint(np.sqrt(area_NT * ratio_NT)).astype(np.int64)
    tall_NT = np.rint(np.sqrt(area_NT / ratio_NT)).astype(np.int64)
    fits_NT = (wide_NT >= 1) & (wide_NT <= width) & (tall_NT >= 1) & (tall_NT <= height)
    row_N, try_N = np.arange(len(words_NK)), fits_NT.argmax(axis=1)
    fits_N = fits_NT[row_N, try_N]
    tall_N = np.where(fits_N, tall_NT[row_N, try_N], min(height, max(1, round(width / aspect[0]))))
    wide_N = np.where(fits_N, wide_NT[row_N, try_N], min(width, max(1, round(height * aspect[1]))))
    top_N = np.where(fits_N, np.floor(unit_NK[:, -4] * (height - tall_N + 1)), (height - tall_N) // 2).astype(np.int64)
    left_N = np.where(fits_N, np.floor(unit_NK[:, -3] * (width - wide_N + 1)), (width - wide_N) // 2).astype(np.int64)
    return np.stack([top_N, left_N, tall_N, wide_N], axis=1)


def uniform(words: np.ndarray) -> np.ndarray:
    """Return uniform float64 in [0, 1) from the upper 53 bits of uint64 words."""
    return (words >> np.uint64(11)).astype(np.float64) * 2.0**-53


def draw_crops(
    config: CropsConfig, group: str, copy: int, batch: int, size: tuple[int, int], seed: int, epoch: int, step: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return (boxes [B, 4], mirrored [B], quarter turns [B]) of one crop of every sample of the global batch.

    Args:
        group: a name of groups.py: v1, w, v2 or local.
        copy: which of the local crops; 0 for the others.
        size: height and width of what they are drawn in, see frames.py: a site, or the square in it; pixels.
    """
    words_BK = random_words(batch * WORDS, seed, Stream.BOXES, epoch, step, GROUPS[group].stream + copy).reshape(batch, WORDS)
    area = config.local_area if group == LOCAL else config.global_area
    box_B4 = draw_boxes(words_BK, *size, area, config.global_aspect)
    flip_B = (words_BK[:, -2] >> np.uint64(63)).astype(bool) & config.flips
    turn_B = (words_BK[:, -1] >> np.uint64(62)).astype(np.int64) * config.quarter_turns
    if config.flips_up_down:  # a mirror upside down is one left-right and half a turn
        over_B = (words_BK[:, -2] >> np.uint64(62) & np.uint64(1)).astype(bool)
        flip_B, turn_B = flip_B ^ over_B, (turn_B + 2 * over_B) % 4
    return box_B4, flip_B, turn_B
