"""A small network that ignores its second channel."""

from dataclasses import replace
from typing import TYPE_CHECKING

import torch

from kit.config import ViewsConfig
from kit.model.vit import seeded_vit
from kit.profiles.backbone import Backbone
from tests.model.tiny import stir, tiny_config

if TYPE_CHECKING:
    from kit.images.store.work import Work


def blind_backbone(work: "Work") -> Backbone:
    config = replace(tiny_config(), views=ViewsConfig(normalise="dataset"))
    network = seeded_vit(config.model, 3, 1).requires_grad_(False).eval()
    stir(network, 2)
    for weight in network.patch_embed.parameters():
        if weight.ndim == 4:
            weight[:, 1] = 0
    return Backbone(work, network, config, torch.full((3,), 0.5), torch.full((3,), 0.3), {})
