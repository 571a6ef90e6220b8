"""What each halving of an image loses, patch by patch: mean products of the Haar details of every two channels.

B views, C channels, P view side in pixels, H W patches of a view, E numbers of a patch.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from kit.kernels.extension import cpu_extension, loaded
from kit.kernels.launch import choose, require


def haar_products(x_BCPP: Tensor, scales: int) -> Tensor:
    """Return the mean products of every two channels' details in every patch of 2 ** scales pixels, [B, H, W, E].

    A view is halved `scales` times; a detail is a pixel less the mean of its 2 x 2 pixels. Finest scale first, and of each the
    squares of the C channels, then the pairs in the order of triu_indices; the means of the C channels come last.

    Args:
        x_BCPP: float; the sides are multiples of 2 ** scales.

    Raises:
        ValueError: a side that is not.
    """
    B, C, height, width = x_BCPP.shape
    side = 2**scales
    require(height % side == width % side == 0, "a view", f"of {height} x {width} pixels", f"multiples of {side}")
    plain = x_BCPP.dtype != torch.float32 or (x_BCPP.requires_grad and torch.is_grad_enabled()) or torch.compiler.is_compiling()
    if plain or choose("haar_products", x_BCPP.device).backend == "torch":
        return haar_products_reference(x_BCPP, scales)
    out_BHWE = x_BCPP.new_empty(B, height // side, width // side, scales * C * (C + 1) // 2 + C)
    x_BCPP = x_BCPP.contiguous()
    loaded(cpu_extension()).haar_products(
        x_BCPP.data_ptr(), B, C, height, width, scales, out_BHWE.data_ptr(), torch.get_num_threads()
    )
    return out_BHWE


def haar_products_reference(x_BCPP: Tensor, scales: int) -> Tensor:
    """The definition of `haar_products`, in plain torch: the products that averaging over 2 x 2 pixels takes away."""
    C = x_BCPP.shape[1]
    one, other = torch.triu_indices(C, C, 1, device=x_BCPP.device)
    found = []
    now = _products(x_BCPP, scales)
    for scale in range(scales):
        x_BCPP = F.avg_pool2d(x_BCPP, 2)
        coarser = _products(x_BCPP, scales - scale - 1)
        detail, now = now - coarser, coarser
        found += [detail.diagonal(dim1=-2, dim2=-1), detail[..., one, other]]
    return torch.cat((*found, x_BCPP.permute(0, 2, 3, 1)), dim=-1)


def _products(x_BCPP: Tensor, left: int) -> Tensor:
    """Return the mean products of every two channels in patches of 2 ** left pixels, [B, H, W, C, C]."""
    side = 2**left
    patches_BHWCp = x_BCPP.unfold(2, side, side).unfold(3, side, side).permute(0, 2, 3, 1, 4, 5).flatten(4)
    return patches_BHWCp @ patches_BHWCp.transpose(-1, -2) / side**2
