"""Whole sites -> vectors: the papers' z = [CLS ; mean patch token], and the spread of patch tokens beside it.

B batch, C channels, H W site pixels, D width of a token.
"""

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
    views: ViewsConfig,
    autocast: torch.dtype | None = None,
) -> Tensor:
    """Return [CLS ; mean patch token ; SD of patch tokens] of whole sites, float32 [B, 3 D], on the device of `mean_C`.

    The first 2 D are z of SSLProfiler 1; the SD (over the N patches, column by column) is ours: a mean hides whether few
    cells differ much or all a little.

    Args:
        network: in evaluation mode, on the same device.
        site_BCHW: levels, uint8; they are resized to `side` x `side` pixels and normalised as `views` says.
        mean_C, sd_C: of the data, in intensities 0 to 1.
        autocast: the dtype to compute in; None: that of the weights.
    """
    device = mean_C.device
    view_BCPP = normalise_site(whole_sites(site_BCHW, side).to(device), views, mean_C, sd_C)
    with torch.autocast(device.type, dtype=autocast, enabled=autocast is not None):
        tokens = network(view_BCPP)
    patch_BND = tokens.patch_BND.float()
    return torch.cat([tokens.cls_BD.float(), patch_BND.mean(dim=1), patch_BND.std(dim=1, correction=0)], dim=1)
