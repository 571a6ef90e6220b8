"""The granularity of each channel of a site, as a few features. C channels, H W pixels."""

import itertools

import numpy as np

FULL_SIDE = 256  # pixels, on the shorter side: below twice that, every pixel counts
_ENDS = (0, 1, 2, 4, 8, 16)  # erosions; octaves, as neighbouring ones go together
GRAINS = tuple(f"granularity {'-'.join(map(str, dict.fromkeys((a + 1, b))))} root share" for a, b in itertools.pairwise(_ENDS))


def grain_step(height: int, width: int) -> int:
    """Return every how many pixels one is taken: four for sites of 1080 pixels, which is CellProfiler's subsampling."""
    return max(1, min(height, width) // FULL_SIDE)


def site_grains(site_CHW: np.ndarray, step: int) -> np.ndarray:
    """Return GRAINS of each channel, float32 [C * 5]: zeros where it has one value.

    Each is the square root of the share of a channel's light, less its background, that some of the 16 erosions take: the
    first, the second, 3 and 4, 5 to 8, 9 to 16; see `kernels.granularity`. Shares are skewed to the right; their roots less so.

    Args:
        site_CHW: uint8 levels.
        step: pixels, see `grain_step`.
    """
    import torch

    from kit.kernels.granularity import granularity

    left_CL = granularity(torch.from_numpy(site_CHW), step, threads=1).numpy()
    taken_C5 = -np.diff(left_CL[:, _ENDS], axis=1)
    return np.sqrt(taken_C5 / np.maximum(left_CL[:, :1], 1)).astype(np.float32).ravel()
