"""What patches look like to a network: their tokens on three principal components, as colours; background left out.

B sites, C channels, P view side, N patches of a site (row-major), D width of a token.
"""

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from kit.model.vit import Vit

COLOURS = 3  # red, green, blue
_ENDS = (2, 98)  # percentiles of a component that become 0 and 1


@torch.inference_mode()
def patch_tokens(network: Vit, view_BCPP: Tensor, autocast: torch.dtype | None = None) -> Tensor:
    """Return the patch tokens of normalised views, float32 [B, N, D]; arguments as `blanking.blanked_vectors`."""
    with torch.autocast(view_BCPP.device.type, dtype=autocast, enabled=autocast is not None):
        return network(view_BCPP).patch_BND.float()


def foreground(view_BCPP: Tensor, patch: int) -> np.ndarray:
    """Return which patches hold something, bool [B, N]: those with more contrast than Otsu's threshold over all sites.

    Where all patches have the same, all are foreground.
    """
    from skimage.filters import threshold_otsu

    contrast_BN = contrast(view_BCPP, patch)
    if contrast_BN.min() == contrast_BN.max():
        return np.ones(contrast_BN.shape, dtype=bool)
    return contrast_BN > threshold_otsu(contrast_BN)


def contrast(view_BCPP: Tensor, patch: int) -> np.ndarray:
    """Return the contrast of each patch, float [B, N]: cells have it in fluorescence and in brightfield.

    The log of the standard deviation of its pixels, mean over channels in units of each channel's median.
    """
    blocks = F.unfold(view_BCPP.float().flatten(0, 1)[:, None], patch, stride=patch)  # [B C, patch squared, N]
    sd_BCN = blocks.std(dim=1, correction=0).view(*view_BCPP.shape[:2], -1)
    median_C = sd_BCN.transpose(0, 1).flatten(1).median(dim=1).values.clamp(min=1e-6)
    return (sd_BCN / median_C[:, None]).mean(dim=1).clamp(min=1e-6).log().cpu().numpy()


def component_colours(patch_BND: Tensor, foreground_BN: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return each patch's colour, float32 [B, N, 3] from 0 to 1, NaN on background, and the components' shares of variance [3].

    The components are those of the foreground patches of all sites together, so that a colour means the same in each of them.
    """
    token_ND = patch_BND.detach().cpu().double().numpy()[foreground_BN]
    colour_BN3 = np.full((*foreground_BN.shape, COLOURS), np.nan, dtype=np.float32)
    share_3 = np.zeros(COLOURS)
    if len(token_ND) < 2:
        return colour_BN3, share_3
    centred_ND = token_ND - token_ND.mean(axis=0)
    _, strength_D, axes_DD = np.linalg.svd(centred_ND, full_matrices=False)
    kept = min(COLOURS, len(axes_DD))
    axes_DD = axes_DD * np.sign(axes_DD.sum(axis=1, keepdims=True) + 1e-300)  # a sign that does not depend on the solver
    points_NK = centred_ND @ axes_DD[:kept].T
    low_K, high_K = np.percentile(points_NK, _ENDS, axis=0)
    colours_N3 = np.full((len(points_NK), COLOURS), 0.5)
    colours_N3[:, :kept] = np.clip((points_NK - low_K) / np.maximum(high_K - low_K, 1e-12), 0, 1)
    colour_BN3[foreground_BN] = colours_N3
    share_3[:kept] = (strength_D**2)[:kept] / max(float((strength_D**2).sum()), 1e-300)
    return colour_BN3, share_3
