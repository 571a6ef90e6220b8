"""Shot noise, dark current and read noise of a camera, from a counter. B batch, C channels, H W pixels."""

from dataclasses import dataclass

import torch
from torch import Tensor

from kit.kernels.launch import require, require_tensor
from kit.kernels.philox import NOISE, NOISE_COARSE, philox, require_seed, split_words, stream_of, uniform
from kit.kernels.poisson import LAMBDA_FINE, LAMBDA_MOST, poisson_counts


@dataclass(frozen=True)
class Noise:
    """Strength of the noise per channel, and the counter it is drawn from."""

    on_B: Tensor  # int32, 1: this image gets noise
    sample_B: Tensor  # int64 ids
    shot: tuple[float, ...]  # per channel; 0: this channel gets no noise at all, else 1/320 or more
    dark: tuple[float, ...]
    read: tuple[float, ...]
    seed: int = 0
    role: int = 0  # of the view, 0 to 127: a sample's two views draw different noise

    @property
    def rate_C(self) -> tuple[float, ...]:
        """Mean photon count at intensity 1, per channel; 0 for a channel without noise."""
        return tuple(1 / shot if shot else 0.0 for shot in self.shot)

    @property
    def many_photons(self) -> bool:
        """Whether counts above 10 are possible, so that the coarse table is needed too."""
        return max(self.rate_C) > LAMBDA_FINE


def add_noise_reference(x_BCHW: Tensor, noise: Noise) -> Tensor:
    """The same in plain PyTorch, for intensities float32. One image at a time: its words fit the cache."""
    out = x_BCHW.clone()
    for i in noise.on_B.nonzero()[:, 0].tolist():
        for channel, rate in enumerate(noise.rate_C):
            if rate > 0:
                out[i, channel] = _noisy(x_BCHW[i, channel], noise.sample_B[i], noise, channel)
    return out


def _noisy(x_HW: Tensor, sample: Tensor, noise: Noise, channel: int) -> Tensor:
    index = torch.arange(x_HW.numel(), device=x_HW.device)
    low, high = split_words(sample)
    stream = stream_of(NOISE, role=noise.role, channel=channel)
    w0, w1, w2, w3 = philox(index, low, high, stream, seed=noise.seed)
    coarse = None
    if noise.many_photons:
        stream = stream_of(NOISE_COARSE, role=noise.role, channel=channel)
        coarse = philox(index, low, high, stream, seed=noise.seed)[0]
    x = torch.where(x_HW > 0, x_HW.clamp(max=1), 0).flatten()
    count = poisson_counts(x * noise.rate_C[channel], (w0, w1), coarse)
    read = (-2 * torch.log(uniform(w2))).sqrt() * torch.sin(2 * torch.pi * uniform(w3))
    noisy = count * noise.shot[channel] + noise.dark[channel] + read * noise.read[channel]
    return noisy.clamp(0, 1).view(x_HW.shape)


def check_noise(pixels_BCHW: Tensor, noise: Noise) -> None:
    """Raise a ValueError unless the noise fits the pixels."""
    batch, channels = pixels_BCHW.shape[:2]
    device = pixels_BCHW.device
    require_tensor("noise.on_B", noise.on_B, dtypes=(torch.int32,), shape=(batch,), device=device)
    require_tensor("noise.sample_B", noise.sample_B, dtypes=(torch.int64,), shape=(batch,), device=device)
    require(0 <= noise.role < 128, "noise.role", noise.role, "0 to 127")
    require_seed(noise.seed)
    for name, values in (("shot", noise.shot), ("dark", noise.dark), ("read", noise.read)):
        require(
            len(values) == channels, f"noise.{name}", f"of length {len(values)}", f"one value for each of {channels} channels"
        )
        require(all(0 <= value < float("inf") for value in values), f"noise.{name}", values, "finite, 0 or more")
    least = 1 / LAMBDA_MOST
    require(all(s == 0 or s >= least for s in noise.shot), "noise.shot", noise.shot,
            f"0, or at least {least} (the Poisson tables reach a mean count of {LAMBDA_MOST:.0f})")  # fmt: skip
