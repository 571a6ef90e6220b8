"""What the network of a run looks at: which channel it needs, and what it makes of the patches of a site.

B sites, C channels, P view side, N patches of a site, V versions of a view.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch

from kit.errors import KitError
from kit.images.crops.whole_sites import whole_sites
from kit.model.blanking import blanked_vectors, kept_similarity
from kit.model.cost import forward_flops
from kit.model.knn import LABEL, WELL, choose_wells, neighbour_accuracy
from kit.model.patch_maps import component_colours, contrast, foreground, patch_tokens
from kit.model.patch_matches import Matches, match_patches
from kit.model.precision import precision
from kit.model.views import normalise_site
from kit.profiles.backbone import Backbone

Key = tuple[str, str, int]  # plate, well, site
FEWEST, MOST = 16, 48  # sites that are looked at
FLOP = {"cpu": 4e11, "cuda": 2e14}  # what it may cost: some seconds
SCORED = 40  # sites from which on the accuracy says something


@dataclass(frozen=True, kw_only=True, slots=True)
class ChannelUse:
    """What each channel is to a network.

    similarity_C: how alike sites stay without it, see `blanking.kept_similarity`. accuracy, accuracy_C: of k-NN over the wells,
    one site of each, on other plates, with all channels and without each; None where too few sites could be looked at. chance:
    of these. sites, plates: how many. side: of the view, pixels; below the run's own, the middle of the site was looked at.
    """

    channels: tuple[str, ...]
    similarity_C: np.ndarray
    accuracy: float | None
    accuracy_C: np.ndarray | None
    chance: float
    sites: int
    plates: int
    side: int


@dataclass(frozen=True, kw_only=True, slots=True)
class PatchMaps:
    """What the network makes of the patches of sites.

    colour_BRR3: each patch by row and column, 0 to 1, NaN on background. share_3: of the variance that each colour shows. query:
    the foreground patch of the first site that has most contrast. matches: of the first site with each, itself too.
    """

    keys: tuple[Key, ...]
    colour_BRR3: np.ndarray
    share_3: np.ndarray
    query: int
    matches: tuple[Matches, ...]


def channel_use(backbone: Backbone, *, flop: float | None = None) -> ChannelUse:
    """Blank one channel at a time at wells of the treatments that are on most plates, the same wells at each call.

    flop: what it may cost; None: FLOP. A large network sees only the middle of each site, at the magnification it is used to.

    Raises:
        KitError: no treatment is on two plates; the network sees a composite.
    """
    device, config = backbone.mean_C.device, backbone.config
    if config.views.composite != "none":
        raise KitError("the network sees one picture of all channels (views.composite): none can be blanked alone")
    versions = 1 + len(backbone.channels)
    side, sites = _affordable(backbone, (flop or FLOP[device.type]) / versions)
    plates = backbone.work.plates
    some = [
        plates[i] for i in np.unique(np.linspace(0, len(plates) - 1, min(len(plates), max(2, sites // 4))).round().astype(int))
    ]
    knn_wells = max(2, sites // len(some))
    chosen = choose_wells(backbone.work.only(some), replace(config, train=replace(config.train, knn_wells=knn_wells)))
    if chosen is None:
        raise KitError(f"no treatment is on two plates of {backbone.work.path} with the channels {', '.join(backbone.channels)}")
    rows = chosen.wells.reset_index(drop=True)  # the first site of each well
    vectors = []
    for start in range(0, len(rows), config.embed.batch):
        part = rows.iloc[start : start + config.embed.batch]
        view_BCPP = _views(backbone, list(part[[*WELL, "Metadata_Site"]].itertuples(index=False, name=None)), side)
        vectors.append(blanked_vectors(backbone.network, view_BCPP, precision(config, device)).cpu())
    vectors_VBF = torch.cat(vectors, dim=1)
    plate_B, label_B = rows["Metadata_Plate"].to_numpy(), rows[LABEL].to_numpy()
    said = (
        [neighbour_accuracy(vectors_BF.double().numpy(), plate_B, label_B) for vectors_BF in vectors_VBF]
        if len(rows) >= SCORED
        else []
    )
    return ChannelUse(
        channels=backbone.channels,
        similarity_C=kept_similarity(vectors_VBF).numpy(),
        accuracy=said[0] if said else None,
        accuracy_C=np.array(said[1:]) if said else None,
        chance=1 / rows[LABEL].nunique(),
        sites=len(rows),
        plates=rows["Metadata_Plate"].nunique(),
        side=side,
    )


def patch_maps(backbone: Backbone, keys: Sequence[Key]) -> PatchMaps:
    """Return the patches of sites as colours, which mean the same on each of them, and those of the first that others have."""
    config, patch = backbone.config, backbone.config.model.patch
    side = config.embed.side
    view_BCPP = _views(backbone, list(keys), side)
    tokens = [patch_tokens(backbone.network, one[None], precision(config, view_BCPP.device)) for one in view_BCPP]
    first_ND, foreground_BN = tokens[0][0], foreground(view_BCPP, patch)
    colour_BN3, share_3 = component_colours(torch.cat(tokens), foreground_BN)
    return PatchMaps(
        keys=tuple(keys),
        colour_BRR3=colour_BN3.reshape(len(keys), side // patch, side // patch, 3),
        share_3=share_3,
        query=int(np.where(foreground_BN[0], contrast(view_BCPP, patch)[0], -np.inf).argmax()),
        matches=tuple(
            match_patches(first_ND, other_1ND[0], foreground_BN[0], other_N)
            for other_1ND, other_N in zip(tokens, foreground_BN, strict=True)
        ),
    )


def _affordable(backbone: Backbone, flop: float) -> tuple[int, int]:
    """Return the side of the view and how many sites the operations allow: smaller views before fewer than FEWEST sites."""
    model, side, channels = backbone.config.model, backbone.config.embed.side, len(backbone.channels)
    while side > 4 * model.patch and FEWEST * forward_flops(model, channels, side) > flop:
        side -= model.patch
    return side, int(np.clip(flop // forward_flops(model, channels, side), FEWEST, MOST))


def _views(backbone: Backbone, keys: Sequence[Key], side: int) -> torch.Tensor:
    """Return the middle of each site, normalised, at the magnification of whole sites: float32 [B, C, side, side]."""
    site_BCHW = torch.from_numpy(np.stack([backbone.read(key) for key in keys]))
    whole = backbone.config.embed.side
    start = (whole - side) // 2
    whole_BCPP = whole_sites(site_BCHW, whole, crop=backbone.config.embed.crop)
    cut_BCPP = whole_BCPP[:, :, start : start + side, start : start + side].contiguous()
    device = backbone.mean_C.device
    return normalise_site(cut_BCPP.to(device), backbone.config.views, backbone.mean_C, backbone.sd_C)
