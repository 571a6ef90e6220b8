"""From pixels to tokens: DINOv2's linear patches, the energies of a patch, both, or CellRep's patches of every channel.

B views, C channels, P view side in pixels, N = H W patches of a view, D embedding, E energies of a patch.
"""

import torch
from torch import Tensor, nn

from kit.config import ModelConfig
from kit.kernels.haar import haar_products
from kit.model.channel_mixer import ENCODER_SIDE, ChannelPatches

_LEAST = 1e-4  # added to an energy: of a channel that is flat in a patch


class PatchEmbed(nn.Module):
    """One linear map of a patch's pixels, as DINOv2."""

    def __init__(self, channels: int, dim: int, patch: int):
        super().__init__()
        self.proj = nn.Conv2d(channels, dim, patch, stride=patch)

    def forward(self, x_BCPP: Tensor) -> Tensor:
        return self.proj(x_BCPP).flatten(2).transpose(1, 2)


class EnergyStem(nn.Module):
    """The energies of a patch, which are not learnt, then one linear map to D: an untrained token already tells texture.

    The view is halved until a patch is one pixel. Each halving gives two sets of numbers of the detail that it loses: the log of
    each channel's mean square, and the correlation of every two channels. Each channel's mean comes last. Ours, after the first
    order of a wavelet scattering (Bruna and Mallat 2013), with Haar's details.
    """

    def __init__(self, channels: int, config: ModelConfig):
        super().__init__()
        self.scales = config.patch.bit_length() - 1
        self.pairs: Tensor
        self.register_buffer("pairs", torch.triu_indices(channels, channels, 1), persistent=False)
        self.linear = nn.Linear(energy_width(channels, self.scales), config.dim)

    def forward(self, x_BCPP: Tensor) -> Tensor:
        with torch.autocast(x_BCPP.device.type, enabled=False):
            energies_BEHW = energies(x_BCPP.to(torch.promote_types(x_BCPP.dtype, torch.float32)), self.scales, self.pairs)
        return self.linear(energies_BEHW.flatten(2).transpose(1, 2).to(self.linear.weight.dtype))


class PatchAndEnergy(nn.Module):
    """The sum of both, each with a linear map of its own: what energies tell at the start, and patterns that they do not hold."""

    def __init__(self, channels: int, config: ModelConfig):
        super().__init__()
        self.patch, self.energy = PatchEmbed(channels, config.dim, config.patch), EnergyStem(channels, config)

    def forward(self, x_BCPP: Tensor) -> Tensor:
        return self.patch(x_BCPP) + self.energy(x_BCPP)


def energy_width(channels: int, scales: int) -> int:
    """Return E, how many numbers describe a patch."""
    return channels * (scales + 1) + scales * channels * (channels - 1) // 2


def energies(x_BCPP: Tensor, scales: int, pairs: Tensor) -> Tensor:
    """Return the numbers of every patch of 2 ** scales pixels, [B, E, H, W]: finest scale first, the means last.

    Views have an SD of about 1, so the logarithms are shifted by 3 and divided by 1.5, and correlations doubled, to an SD near 1.
    """
    C, (one, other) = x_BCPP.shape[1], pairs
    found_BHWE = haar_products(x_BCPP, scales)
    detail_BHWSQ = found_BHWE[..., :-C].unflatten(-1, (scales, -1))  # Q: the channels' squares, then their pairs
    energy = detail_BHWSQ[..., :C].clamp_min(0)
    roots = torch.sqrt(energy[..., one] * energy[..., other])
    numbers = torch.cat(((torch.log(energy + _LEAST) + 3) / 1.5, 2 * detail_BHWSQ[..., C:] / (roots + _LEAST)), dim=-1)
    return torch.cat((numbers.flatten(-2), found_BHWE[..., -C:]), dim=-1).permute(0, 3, 1, 2)


def make_patch_embed(channels: int, config: ModelConfig) -> nn.Module:
    """Return what turns views [B, C, P, P] into tokens [B, N, D], by `model.stem`; [B, C, N, D] for the mixer."""
    if config.stem == "mixer":
        return ChannelPatches(config)
    if config.stem == "patch+energy":
        return PatchAndEnergy(channels, config)
    return EnergyStem(channels, config) if config.stem == "energy" else PatchEmbed(channels, config.dim, config.patch)


def stem_flops(config: ModelConfig, channels: int, side: int) -> float:
    """Return the FLOP of turning one view into tokens."""
    patches = (side // config.patch) ** 2
    linear = 2 * patches * channels * config.patch**2 * config.dim
    if config.stem == "patch":
        return linear
    if config.stem == "mixer":
        encoder = (side - ENCODER_SIDE + 1) ** 2 * ENCODER_SIDE**2 + config.dim
        return 2 * channels * (patches * config.patch**2 * config.dim + config.channel_filters * encoder)
    products = 4 / 3 * side**2 * channels * (channels + 1)  # of every pixel of every scale, and their sums
    energy = products + 2 * patches * energy_width(channels, config.patch.bit_length() - 1) * config.dim
    return energy + linear if config.stem == "patch+energy" else energy
