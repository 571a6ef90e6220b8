"""Which channels a network needs: its vectors of the same sites with one channel blank at a time.

B sites, C channels, P view side, V = 1 + C versions of a view, D width of a token.
"""

import torch
from torch import Tensor

from kit.model.vit import Vit


@torch.inference_mode()
def blanked_vectors(network: Vit, view_BCPP: Tensor, autocast: torch.dtype | None = None) -> Tensor:
    """Return [CLS ; mean patch token] of every site with all channels, then with each channel in turn blank, float32 [V, B, 2 D].

    A blank channel is 0 in every pixel: in a normalised view that is its mean, so that nothing is left to see in it.

    Args:
        network: in evaluation mode, on the views' device. view_BCPP: normalised. autocast: the dtype to compute in; None: theirs.
    """
    versions = [view_BCPP]
    for channel in range(view_BCPP.shape[1]):
        blank_BCPP = view_BCPP.clone()
        blank_BCPP[:, channel] = 0
        versions.append(blank_BCPP)
    found = []
    for version_BCPP in versions:
        with torch.autocast(view_BCPP.device.type, dtype=autocast, enabled=autocast is not None):
            tokens = network(version_BCPP)
        found.append(torch.cat([tokens.cls_BD.float(), tokens.patch_BND.float().mean(dim=1)], dim=1))
    return torch.stack(found)


def kept_similarity(vectors_VBF: Tensor) -> Tensor:
    """Return how alike each site stays without each channel, the mean cosine over sites, float64 [C].

    Every version is centred on its own mean over the sites first, as profiles are before they are compared: what counts is
    how sites differ. 1: the network does without the channel; 0: without it the sites differ in other ways. NaN for one site,
    and where all are alike.
    """
    centred_VBF = vectors_VBF.double() - vectors_VBF.double().mean(dim=1, keepdim=True)
    length_VB = centred_VBF.norm(dim=2)
    cosine_CB = (centred_VBF[1:] * centred_VBF[:1]).sum(dim=2) / (length_VB[1:] * length_VB[:1])
    return cosine_CB.clamp(-1, 1).nanmean(dim=1)
