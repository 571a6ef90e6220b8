"""The generator: published answers, bits of every backend, and what is made of the words."""

import numpy as np
import pytest
import torch
from scipy import stats

from kit.kernels import philox as rng
from kit.kernels.extension import cpu_extension, cpu_reason
from kit.kernels.random_words import random_words

# Known-answer vectors of Random123 for philox4x32-10: counter, key (low word, high word), answer.
VECTORS = [
    ("00000000 00000000 00000000 00000000", "00000000 00000000", "6627e8d5 e169c58d bc57ac4c 9b00dbd8"),
    ("ffffffff ffffffff ffffffff ffffffff", "ffffffff ffffffff", "408f276d 41c83b0e a20bc7c6 6d5451fd"),
    ("243f6a88 85a308d3 13198a2e 03707344", "a4093822 299f31d0", "d16cfe09 94fdcceb 5001e420 24126ea1"),
]


def words_of(text):
    return [int(word, 16) for word in text.split()]


@pytest.mark.parametrize(("counter", "key", "answer"), VECTORS)
def test_published_vectors(counter, key, answer):
    low, high = words_of(key)
    counter, seed = words_of(counter), low | high << 32
    found = rng.philox(*(torch.tensor([c]) for c in counter), seed=seed)
    assert [int(word) for word in found] == words_of(answer)
    assert [int(word) for word in rng.philox(*(torch.tensor([c]) for c in counter), seed=seed ^ 1)] != words_of(answer)


@pytest.mark.parametrize(("counter", "key", "answer"), VECTORS)
def test_published_vectors_compiled(counter, key, answer):
    if cpu_reason() != "ready":
        pytest.skip(f"kit.kernels._cpu is {cpu_reason()}")
    low, high = words_of(key)
    assert list(cpu_extension().philox(*words_of(counter), low | high << 32)) == words_of(answer)


def test_published_vectors_in_triton():
    triton = pytest.importorskip("triton", reason="Triton is for Linux only")
    from kit.kernels import view_triton

    if not view_triton.INTERPRETED:
        pytest.skip("needs TRITON_INTERPRET=1 from the start; on a GPU random_words is compared with torch")
    import triton.language as tl

    @triton.jit(do_not_specialize=["seed"])
    def one_block(counter, out, seed):
        lane = tl.arange(0, 1)
        c0, c1 = tl.load(counter + lane).to(tl.uint32), tl.load(counter + 1 + lane).to(tl.uint32)
        c2, c3 = tl.load(counter + 2 + lane).to(tl.uint32), tl.load(counter + 3 + lane).to(tl.uint32)
        words = tl.philox(seed, c0, c1, c2, c3)
        for k in tl.static_range(4):
            tl.store(out + k + lane, words[k].to(tl.int64))

    for counter, key, answer in VECTORS:
        low, high = words_of(key)
        out = torch.zeros(4, dtype=torch.int64)
        one_block[(1,)](torch.tensor(words_of(counter)), out, view_triton._signed(low | high << 32))
        assert out.tolist() == words_of(answer)


def test_counter_is_index_sample_stream():
    sample = 3 << 32 | 5
    words = random_words(torch.tensor([sample]), 3, seed=99, stream=77)
    assert words[0, 2].tolist() == [int(w) for w in rng.philox(torch.tensor([2]), 5, 3, 77, seed=99)]


def test_uniform_is_never_0_or_1_and_exact():
    ends = rng.uniform(torch.tensor([0, 511, 512, 2**32 - 1]))
    assert ends.tolist() == [2.0**-24, 2.0**-24, 3 * 2.0**-24, 1 - 2.0**-24]


def test_uniform_words_and_normals():
    words = random_words(torch.arange(50), 5000, seed=7, stream=1)
    for k in range(4):
        assert stats.kstest(rng.uniform(words[..., k]).flatten().numpy(), "uniform").pvalue > 1e-4
    pair = torch.stack(rng.normal_pair(words[..., 0], words[..., 1])).flatten(1).numpy()
    assert stats.kstest(pair[0], "norm").pvalue > 1e-4
    assert stats.kstest(pair[1], "norm").pvalue > 1e-4
    assert abs(np.corrcoef(pair)[0, 1]) < 5 / pair.shape[1] ** 0.5


def test_streams_do_not_meet():
    streams = {rng.stream_of(p, role=r, channel=c) for p in range(1, 5) for r in range(3) for c in range(8)}
    assert len(streams) == 4 * 3 * 8
    assert rng.stream_of(rng.NOISE_COARSE, role=127, channel=65535) < 2**31


@pytest.mark.parametrize("seed", [-1, 2**64, 1.5])
def test_seed_is_64_bits(seed):
    with pytest.raises(ValueError, match="seed"):
        random_words(torch.arange(2), 1, seed=seed, stream=0)


@pytest.mark.parametrize("sample_B", [torch.zeros(2), torch.zeros(2, 2, dtype=torch.int64), torch.arange(8)[::2]])
def test_samples_are_checked(sample_B):
    with pytest.raises(ValueError, match="sample_B"):
        random_words(sample_B, 1, seed=0, stream=0)
