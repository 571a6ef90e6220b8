"""A bag of channels: every channel a sample of its own, for a network of one. B samples, L crops of a sample, C channels, P side.

Source: DINOv2's channel-adaptive recipe (its cell_dino folder), "bag of channels".
"""

from collections.abc import Mapping

from torch import Tensor


def one_channel_samples(views: Mapping[str, Tensor], samples: int) -> dict[str, Tensor]:
    """Return the views of B samples [B * L, C, P, P] as those of B * C samples [B * C * L, 1, P, P], sample-major."""
    return {name: _split(view_RCPP, samples) for name, view_RCPP in views.items()}


def _split(view_RCPP: Tensor, samples: int) -> Tensor:
    return view_RCPP.unflatten(0, (samples, -1)).transpose(1, 2).flatten(0, 2)[:, None]
