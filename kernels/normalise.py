"""The last step of a view: standardise by dataset statistics or by each plane's own. B batch, C channels, H W pixels."""

from dataclasses import dataclass

import torch
from torch import Tensor

from kit.kernels.launch import require


@dataclass(frozen=True)
class Normalise:
    """out = v * scale + shift with dataset statistics, or each plane standardised by its own."""

    scale: tuple[float, ...] = ()  # per channel, 1 / sd
    shift: tuple[float, ...] = ()  # per channel, -mean / sd
    floor: float | None = None  # not None: (v - mean) / (sd + floor), mean and sd (divided by H W) of the view's own channel


def normalise_reference(x_BCHW: Tensor, normalise: Normalise | None) -> Tensor:
    """The same in plain PyTorch."""
    if normalise is None:
        return x_BCHW
    if normalise.floor is not None:
        sd, mean = torch.std_mean(x_BCHW.double(), dim=(2, 3), keepdim=True, correction=0)
        return (x_BCHW - mean.float()) * (1 / (sd + normalise.floor)).float()
    scale, shift = (torch.tensor(values, device=x_BCHW.device)[:, None, None] for values in (normalise.scale, normalise.shift))
    return x_BCHW * scale + shift


def check_normalise(pixels_BCHW: Tensor, normalise: Normalise) -> None:
    """Raise a ValueError unless the numbers fit the pixels."""
    if normalise.floor is not None:
        require(normalise.floor >= 0, "normalise.floor", normalise.floor, "0 or more")
        return
    for name, values in (("scale", normalise.scale), ("shift", normalise.shift)):
        need = f"one value for each of {pixels_BCHW.shape[1]} channels"
        require(len(values) == pixels_BCHW.shape[1], f"normalise.{name}", f"of length {len(values)}", need)
