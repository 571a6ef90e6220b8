"""The high pass of a run's sites, the same for training, embedding and whatever else shows them. C channels, H W site pixels."""

from collections.abc import Sequence

import numpy as np


def high_pass_site(site_CHW: np.ndarray, side_C: Sequence[int]) -> np.ndarray:
    """Take what is smoother than a square of `side_C` pixels from the channels of a site, uint8, in place; return the site.

    0 leaves a channel as it is, and no sides at all leave every channel.
    """
    if any(side_C):
        import torch  # here: sites are read without it

        from kit.kernels.high_pass import high_pass

        for image_HW, side in zip(site_CHW, side_C, strict=True):
            if side:
                image_HW[:] = high_pass(torch.from_numpy(np.ascontiguousarray(image_HW))[None], side, threads=1)[0].numpy()
    return site_CHW
