"""The licence of published weights: what a file says, or what the release whose shape it has was published under."""

from pathlib import Path

from safetensors import safe_open
from torch import Tensor

from kit.model.official import file_channels, model_of

APACHE, FAIR = "Apache-2.0", "FAIR Noncommercial Research License: for research only"
UNKNOWN = "the file names none; ask its source before you share what you make with it"

# Source: facebookresearch/dinov2, its README and hub; of a release: channels, width, depth, patch and side of the positions, px
RELEASES = {
    (3, 384, 12, 14, 518): ("DINOv2's ViT-S/14", APACHE),
    (3, 768, 12, 14, 518): ("DINOv2's ViT-B/14", APACHE),
    (3, 1024, 24, 14, 518): ("DINOv2's ViT-L/14", APACHE),
    (3, 1536, 40, 14, 518): ("DINOv2's ViT-g/14", APACHE),
    (4, 1024, 24, 16, 224): ("Cell-DINO's ViT-L/16 of the HPA", FAIR),
    (4, 1024, 24, 14, 518): ("Cell-DINO's ViT-L/14 of the HPA", FAIR),
    (5, 384, 12, 8, 128): ("Cell-DINO's ViT-S/8 of Cell Painting", FAIR),
    (1, 1024, 24, 16, 224): ("Cell-DINO's channel-adaptive ViT-L/16", FAIR),
}


def licence_of(path: Path, tensors: dict[str, Tensor]) -> str:
    """Return the licence of a published file in words.

    A shape proves no origin, as weights that others trained further keep it: the words say so.

    Args:
        tensors: of the file, as `official.read_weights` gives them; only their shapes count.
    """
    if said := _said(path):
        return f"{said}, as the file says"
    model = model_of(tensors)
    shape = (file_channels(tensors), model.dim, model.depth, model.patch, model.position_side)
    if shape not in RELEASES:
        return UNKNOWN
    release, licence = RELEASES[shape]
    return f"{licence}, if this is {release}, whose shape it has"


def _said(path: Path) -> str:
    """Return what a .safetensors file says under license or licence, or ""; torch's files have no place for it."""
    if path.suffix != ".safetensors":
        return ""
    with safe_open(path, framework="pt") as file:
        about = file.metadata() or {}
    return " ".join((about.get("license") or about.get("licence") or "").split())
