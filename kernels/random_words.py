"""Random words for the parameters of views, on the best available backend. B batch; words are int64, 0 to 2**32 - 1."""

import torch
from torch import Tensor

from kit.kernels.extension import cpu_extension, loaded
from kit.kernels.launch import choose, require, require_tensor
from kit.kernels.philox import philox, require_seed, split_words


def random_words(sample_B: Tensor, count: int, *, seed: int, stream: int) -> Tensor:
    """Return int64 [B, count, 4], each a uniform 32-bit word.

    A view draws its parameters here, a few words a sample. There is no CUDA version: a GPU uses Triton, else PyTorch, where it
    costs a few hundred small operations. The noise of the pixels does not come from here: every kernel makes its own words.

    Args:
        sample_B: 64-bit ids, int64.
        count: how many blocks of four words for each sample, 1 to 2**31 - 1.
        seed: the key, 0 to 2**64 - 1.
        stream: fourth counter word (`kit.kernels.philox.stream_of`).

    Raises:
        ValueError: an argument is out of range or of the wrong kind.
    """
    require_tensor("sample_B", sample_B, dtypes=(torch.int64,), shape=(None,), device=sample_B.device)
    require(0 < count < 2**31, "count", count, "1 to 2**31 - 1")
    require_seed(seed)
    backend = choose("random_words", sample_B.device).backend
    if backend == "cpp":
        out = torch.empty(len(sample_B), count, 4, dtype=torch.int64)
        loaded(cpu_extension()).random_words(
            sample_B.data_ptr(), len(sample_B), count, seed, stream, out.data_ptr(), torch.get_num_threads()
        )
        return out
    if backend == "triton":
        from kit.kernels.view_triton import launch_random_words

        with torch.cuda.device_of(sample_B):
            return launch_random_words(sample_B, count, seed=seed, stream=stream)
    return random_words_reference(sample_B, count, seed=seed, stream=stream)


def random_words_reference(sample_B: Tensor, count: int, *, seed: int, stream: int) -> Tensor:
    """The same in plain PyTorch."""
    index = torch.arange(count, device=sample_B.device).expand(len(sample_B), count)
    low, high = split_words(sample_B)
    return torch.stack(philox(index, low[:, None], high[:, None], stream, seed=seed), -1)
