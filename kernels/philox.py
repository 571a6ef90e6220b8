"""Random words from a counter: Philox4x32-10 (Salmon et al., SC 2011), the one generator of all backends.

counter = (index, sample low word, sample high word, stream), key = the 64-bit seed. There is no state:
a word depends only on its counter, so results do not depend on block, batch split, thread or device.
B batch. Words are held in int64, 0 to 2**32 - 1: torch lacks many uint32 operations.
"""

import torch
from torch import Tensor

from kit.kernels.launch import require

# What a stream is drawn for, bits 16-23 of the stream word; bits 0-15 are the channel, bits 24-31 the role of the view.
PARAMETERS, LATTICE, NOISE, NOISE_COARSE, CHANNEL_ORDER, EXPOSURE = 1, 2, 3, 4, 5, 6

_WORD = 0xFFFFFFFF
_MULTIPLIERS = (0xD2511F53, 0xCD9E8D57)
_WEYL = (0x9E3779B9, 0xBB67AE85)


def stream_of(purpose: int, *, role: int = 0, channel: int = 0) -> int:
    """Return the fourth counter word. `purpose` is one of the constants above; `role` 0-127; `channel` 0-65535."""
    return role << 24 | purpose << 16 | channel


def philox(
    c0: Tensor | int, c1: Tensor | int, c2: Tensor | int, c3: Tensor | int, *, seed: int, rounds: int = 10
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return the four words of Philox4x32 for counters given as int64 tensors or ints that broadcast together."""
    device = next((value.device for value in (c0, c1, c2, c3) if isinstance(value, Tensor)), None)
    counter = torch.broadcast_tensors(*(torch.as_tensor(c, device=device) for c in (c0, c1, c2, c3)))
    return _rounds(*counter, seed=seed, rounds=rounds)


def _rounds(c0: Tensor, c1: Tensor, c2: Tensor, c3: Tensor, *, seed: int, rounds: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    key0, key1 = seed & _WORD, seed >> 32 & _WORD
    for _ in range(rounds):
        high0, low0 = _multiply(c0, _MULTIPLIERS[0])
        high1, low1 = _multiply(c2, _MULTIPLIERS[1])
        c0, c1, c2, c3 = high1 ^ c1 ^ key0, low1, high0 ^ c3 ^ key1, low0
        key0, key1 = key0 + _WEYL[0] & _WORD, key1 + _WEYL[1] & _WORD
    return c0, c1, c2, c3


def uniform(word: Tensor) -> Tensor:
    """Return float32 uniforms in (0, 1), never 0 or 1: 23 bits of each word and a half, exact in float32."""
    return ((word >> 9).float() + 0.5) * 2.0**-23


def normal_pair(word_a: Tensor, word_b: Tensor) -> tuple[Tensor, Tensor]:
    """Return two independent standard normals by Box and Muller's formula, float64; none beyond 5.8."""
    radius = (-2 * torch.log(uniform(word_a).double())).sqrt()
    turn = 2 * torch.pi * uniform(word_b).double()
    return radius * torch.sin(turn), radius * torch.cos(turn)


def split_words(value: Tensor) -> tuple[Tensor, Tensor]:
    """Return the low and the high 32 bits of int64 values."""
    return value & _WORD, value >> 32 & _WORD


def require_seed(seed: int) -> None:
    """Raise a ValueError unless the seed is a 64-bit key."""
    require(isinstance(seed, int) and 0 <= seed < 2**64, "seed", seed, "an integer, 0 to 2**64 - 1")


def _multiply(a: Tensor, b: int) -> tuple[Tensor, Tensor]:
    product = a * b  # wraps as two's complement: the low 64 bits are right
    return product >> 32 & _WORD, product & _WORD
