"""Channels that one of the two networks does not see: CellRep, section 5, which found both ways to hurt.

B samples of this rank, L local crops, C channels, k channels that are left.
"""

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor

from kit.config import RunConfig
from kit.model.distributed import Group
from kit.model.transfer import upload
from kit.streams import Stream, generator


def drop_channels(
    views: Mapping[str, Tensor], config: RunConfig, who: str, samples: int, *, step: int, group: Group
) -> Mapping[str, Tensor]:
    """Return the views of a step as `who`, teacher or student, sees them: [B, k, P, P] where loss.drop_channels names it.

    k is drawn from 1 to C for a step, which k for every image (the same in all its views); ours: the paper says no more than
    that channels were dropped. `views` of local crops are sample-major.
    """
    if config.loss.drop_channels != who:
        return views
    random = generator(config.seed, Stream.DROP_CHANNELS, step)
    total, channels = samples * group.world, len(config.channels)
    left = int(random.integers(1, channels, endpoint=True))
    kept_Bk = np.sort(np.argsort(random.random((total, channels)), axis=1)[:, :left], axis=1)
    kept_Bk = kept_Bk[group.rank * samples : (group.rank + 1) * samples]
    return {name: _take(view_RCPP, upload(kept_Bk, view_RCPP.device)) for name, view_RCPP in views.items()}


def _take(view_RCPP: Tensor, kept_Bk: Tensor) -> Tensor:
    kept_Rk = kept_Bk.repeat_interleave(len(view_RCPP) // len(kept_Bk), dim=0)
    return view_RCPP[torch.arange(len(view_RCPP), device=view_RCPP.device)[:, None], kept_Rk]
