"""What a head is shown of an image: random crops with flips to train, the middle to score.

B images, C channels, P side of a crop.
"""

import numpy as np
import torch
from torch import Tensor

from kit.kernels.normalise import Normalise, normalise_reference

EPS = 1e-7  # of the published code


def self_normalise(crop_BCPP: Tensor) -> Tensor:
    """Return (x - mean) / (sd + 1e-7) of each channel of each crop, as views.normalise = crop does in training."""
    return normalise_reference(crop_BCPP, Normalise(floor=EPS))


def random_crops(images_BCHW: Tensor, side: int, rng: np.random.Generator) -> Tensor:
    """Return one crop of each image at a random place, mirrored left-right and upside down by chance, .5 each: [B, C, P, P]."""
    height, width = images_BCHW.shape[-2:]
    y_B, x_B = (rng.integers(0, size - side + 1, len(images_BCHW)) for size in (height, width))
    crops = []
    for image_CHW, y, x, *flips in zip(images_BCHW, y_B, x_B, *rng.random((2, len(images_BCHW))) < 0.5, strict=True):
        crop_CPP = image_CHW[:, y : y + side, x : x + side]
        crops.append(torch.flip(crop_CPP, [axis for axis, flipped in zip((-1, -2), flips, strict=True) if flipped]))
    return torch.stack(crops)


def centre_crops(images_BCHW: Tensor, side: int) -> Tensor:
    """Return the middle of each image, [B, C, P, P]; of an odd margin the larger part is right and below."""
    y, x = ((size - side) // 2 for size in images_BCHW.shape[-2:])
    return images_BCHW[..., y : y + side, x : x + side]
