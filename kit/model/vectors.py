"""Whole sites -> vectors: the papers' z = [CLS ; mean patch token], and the spread of patch tokens beside it.

B batch, C channels, H W site pixels, D width of a token.
"""

from typing import Any

import torch
from torch import Tensor

from kit.config import ViewsConfig
from kit.images.crops.whole_sites import whole_sites
from kit.model.views import normalise_site
from kit.model.vit import Vit


@torch.inference_mode()
def site_vectors(
    network: Vit,
    site_BCHW: Tensor,
    *,
    mean_C: Tensor,
    sd_C: Tensor,
    side: int,
    crop: int = 0,
    views: ViewsConfig,
    autocast: torch.dtype | None = None,
) -> Tensor:
    """Return [CLS ; mean patch token ; SD of patch tokens] of whole sites, float32 [B, 3 D], on the device of `mean_C`.

    The first 2 D are z of SSLProfiler 1; the SD (over the N patches, column by column) is ours: a mean hides whether few
    cells differ much or all a little.

    Args:
        network: in evaluation mode, on the same device.
        site_BCHW: levels, uint8; they are resized to `side` x `side` pixels and normalised as `views` says.
        crop: if not 0, of each site only the square of this side at its centre, pixels.
        mean_C, sd_C: of the data, in intensities 0 to 1.
        autocast: the dtype to compute in; None: that of the weights.
    """
    device = mean_C.device
    view_BCPP = normalise_site(whole_sites(site_BCHW, side, crop=crop).to(device), views, mean_C, sd_C)
    with torch.autocast(device.type, dtype=autocast, enabled=autocast is not None):
        tokens = network(view_BCPP)
    patch_BND = tokens.patch_BND.float()
    return torch.cat([tokens.cls_BD.float(), patch_BND.mean(dim=1), patch_BND.std(dim=1, correction=0)], dim=1)


def channel_vectors(network: Vit, site_BCHW: Tensor, *, mean_C: Tensor, sd_C: Tensor, **how: Any) -> Tensor:
    """Return `site_vectors` of every channel by itself, repeated to the channels of the network: float32 [B, 3 C D].

    [CLS of channel 1 ... CLS of channel C ; the mean patch tokens likewise ; their SDs]. Arguments as `site_vectors`.

    Source: Cell-DINO, section Baselines, for DINOv2's own network on any number of channels.
    """
    of_channel = [
        site_vectors(
            network, site_BCHW[:, c : c + 1].expand(-1, network.channels, -1, -1).contiguous(),
            mean_C=mean_C[c].expand(network.channels), sd_C=sd_C[c].expand(network.channels), **how,
        )
        for c in range(site_BCHW.shape[1])
    ]  # fmt: skip
    return torch.stack(of_channel, 1).unflatten(-1, (3, -1)).transpose(1, 2).flatten(1)
