"""The tile op: the compiled twins against the reference bit for bit, the reference against float64 arithmetic and torch."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from kit.kernels.extension import cpu_extension
from kit.kernels.tile import filter_weights, tile, tile_reference

needs_cpp = pytest.mark.skipif(cpu_extension() is None, reason="kit.kernels._cpu is not built or blocked")


def made_sites(S=2, C=3, H=40, W=50, seed=0):
    return torch.randint(0, 256, (S, C, H, W), dtype=torch.uint8, generator=torch.Generator().manual_seed(seed))


def made_boxes(B, S, H, W, seed):
    """Boxes of every size, among them the whole site, single pixels, and each corner."""
    rng = np.random.default_rng(seed)
    tall, wide = rng.integers(1, H + 1, B), rng.integers(1, W + 1, B)
    top, left = rng.integers(0, H - tall + 1), rng.integers(0, W - wide + 1)
    box = np.stack([top, left, tall, wide], axis=1)
    box[:3] = (0, 0, H, W), (H - 1, W - 1, 1, 1), (0, W - 1, H, 1)
    site, flip, turn = rng.integers(0, S, B), rng.random(B) < 0.5, rng.integers(0, 4, B)
    return tuple(torch.from_numpy(array) for array in (site, box, flip, turn))


def float_resample(image_HW, side):
    """The definition in float64: triangle weights of width max(1, scale) about each output pixel's centre, normalised."""
    for axis in (0, 1):
        length = image_HW.shape[axis]
        scale = length / side
        centre = (np.arange(side) + 0.5) * scale
        weight = np.maximum(0, 1 - np.abs(np.arange(length) + 0.5 - centre[:, None]) / max(1, scale))
        weight /= weight.sum(axis=1, keepdims=True)
        image_HW = np.moveaxis(np.tensordot(weight, image_HW, axes=(1, axis)), 0, axis)
    return image_HW


@needs_cpp
@pytest.mark.parametrize("level", [0, 1, 2], ids=["plain", "avx2", "avx512"])
@pytest.mark.parametrize(
    ("H", "W", "side"), [(40, 50, 16), (65, 71, 33), (17, 16, 40), (15, 90, 1), (1, 1, 7), (300, 41, 9), (90, 140, 70)]
)
def test_cpp_equals_reference_bit_for_bit(H, W, side, level):
    sites = made_sites(H=H, W=W)
    site, box, flip, turn = made_boxes(24, 2, H, W, seed=side)
    expected, expected_sums = tile_reference(sites, site, box, flip, turn, side=side)
    table = torch.cat([site[:, None], box, flip[:, None].long(), turn[:, None]], dim=1).int()
    found, sums = torch.empty_like(expected), torch.empty_like(expected_sums)
    shape = sites.shape[1:]
    cpu_extension().tile(
        sites.data_ptr(), *shape, table.data_ptr(), 24, side, found.data_ptr(), sums.data_ptr(), threads=3, level=level
    )
    assert torch.equal(found, expected)
    assert torch.equal(sums, expected_sums)


def test_the_public_op_equals_its_reference():
    sites = made_sites()
    args = made_boxes(20, 2, 40, 50, seed=5)
    for found, expected in zip(tile(sites, *args, side=24, threads=2), tile_reference(sites, *args, side=24), strict=True):
        assert torch.equal(found, expected)


@pytest.mark.parametrize(("h", "w", "side"), [(40, 50, 20), (37, 50, 13), (9, 11, 32), (40, 50, 40), (40, 3, 1)])
def test_reference_is_the_rounded_float_filter(h, w, side):
    sites = made_sites()
    box = torch.tensor([[40 - h, 50 - w, h, w]])
    found = tile_reference(sites, torch.tensor([1]), box, torch.tensor([False]), torch.tensor([0]), side=side)[0]
    for channel in range(3):
        exact = float_resample(sites[1, channel, 40 - h :, 50 - w :].numpy().astype(float), side)
        error = np.abs(found[0, channel].numpy() - exact)
        assert error.max() < 0.5 + 0.02  # half a grey level of rounding, and 14-bit weights


@pytest.mark.parametrize(("h", "w", "side"), [(40, 50, 20), (33, 41, 13), (20, 24, 32)])
def test_reference_agrees_with_torch_antialias(h, w, side):
    sites = made_sites()
    found = tile_reference(sites, torch.tensor([0]), torch.tensor([[3, 2, h, w]]), [False], [0], side=side)[0]
    theirs = F.interpolate(sites[:1, :, 3 : 3 + h, 2 : 2 + w].float(), (side, side), mode="bilinear", antialias=True)
    assert (found - theirs).abs().max() < 0.53


def test_a_box_of_the_crops_size_is_copied():
    sites = made_sites()
    found, sums = tile(sites, torch.tensor([1]), torch.tensor([[7, 9, 21, 21]]), side=21)
    assert torch.equal(found[0], sites[1, :, 7:28, 9:30])
    assert torch.equal(sums[0], sites[1, :, 7:28, 9:30].sum((1, 2), dtype=torch.int64))


@pytest.mark.parametrize("flip", [False, True])
@pytest.mark.parametrize("turn", [0, 1, 2, 3])
def test_mirror_comes_first_then_counter_clockwise_turns(flip, turn):
    sites = made_sites()
    box = torch.tensor([[4, 6, 30, 18]])
    upright, sums = tile(sites, torch.tensor([0]), box, side=11)
    found, turned_sums = tile(sites, torch.tensor([0]), box, torch.tensor([flip]), torch.tensor([turn]), side=11)
    expected = np.rot90(upright[0].numpy()[:, :, :: -1 if flip else 1], turn, axes=(1, 2))
    assert np.array_equal(found[0].numpy(), expected)
    assert torch.equal(turned_sums, sums)


@pytest.mark.parametrize("value", [0, 1, 128, 255])
def test_a_constant_stays_constant(value):
    sites = torch.full((1, 1, 37, 53), value, dtype=torch.uint8)
    found, sums = tile(sites, torch.tensor([0, 0]), torch.tensor([[0, 0, 37, 53], [5, 5, 3, 2]]), side=19)
    assert (found == value).all()
    assert (sums == value * 19 * 19).all()


@pytest.mark.parametrize(("length", "side"), [(1, 1), (1, 9), (9, 1), (1080, 518), (518, 1080), (97, 96)])
def test_weights_add_up_to_one(length, side):
    pixel_PK, weight_PK = filter_weights(length, side)
    assert (weight_PK.sum(1) == 2**14).all()
    assert weight_PK.min() >= 0
    assert pixel_PK.min() >= 0
    assert pixel_PK.max() < length


def test_threads_do_not_change_a_bit():
    sites = made_sites()
    args = made_boxes(30, 2, 40, 50, seed=1)
    one, many = (tile(sites, *args, side=17, threads=threads) for threads in (1, 5))
    assert torch.equal(one[0], many[0])
    assert torch.equal(one[1], many[1])


def test_crops_go_where_they_are_told():
    sites, out = made_sites(), torch.zeros(4, 3, 8, 8, dtype=torch.uint8)
    box = torch.tensor([[0, 0, 8, 8]])
    tile(sites, torch.tensor([1]), box, side=8, out_BCPP=out[2:3])
    assert torch.equal(out[2], sites[1, :, :8, :8])
    assert out[[0, 1, 3]].sum() == 0


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"sites_SCHW": made_sites().transpose(2, 3)}, "not contiguous"),
        ({"sites_SCHW": made_sites()[:, :, ::2]}, "not contiguous"),
        ({"sites_SCHW": made_sites().float()}, "uint8"),
        ({"sites_SCHW": made_sites()[0]}, "shape"),
        ({"site_B": torch.tensor([2])}, r"site is \[2\]"),
        ({"site_B": torch.tensor([-1])}, "site"),
        ({"box_B4": torch.tensor([[0, 0, 41, 5]])}, "inside 40 x 50"),
        ({"box_B4": torch.tensor([[0, 46, 5, 5]])}, "inside 40 x 50"),
        ({"box_B4": torch.tensor([[-1, 0, 5, 5]])}, "inside"),
        ({"box_B4": torch.tensor([[0, 0, 0, 5]])}, "inside"),
        ({"turn_B": torch.tensor([4])}, "quarter turns"),
        ({"flip_B": torch.tensor([1])}, "bool"),
        ({"side": 0}, "side"),
        ({"out_BCPP": torch.zeros(1, 3, 8, 16, dtype=torch.uint8)[..., ::2]}, "out is not contiguous"),
    ],
)
def test_bad_input_is_refused_by_name(change, words):
    args = {"sites_SCHW": made_sites(), "site_B": torch.tensor([0]), "box_B4": torch.tensor([[0, 0, 5, 5]]), "side": 8}
    with pytest.raises(ValueError, match=words):
        tile(**{**args, **change})


def test_no_crops_give_empty_tensors():
    pixels, sums = tile(made_sites(), torch.empty(0, dtype=torch.int64), torch.empty(0, 4, dtype=torch.int64), side=8)
    assert pixels.shape == (0, 3, 8, 8)
    assert sums.shape == (0, 3)
