"""Block masks: exact counts, DINOv2's statistics, and the same draw for every rank and micro-batch."""

import math
import random

import numpy as np
import pytest
import torch

from kit.model.distributed import Group
from kit.model.draws import draw_step
from kit.model.masks import block_mask, draw_masks
from tests.model.tiny import tiny_config, tiny_learner


def dinov2_mask(side: int, wanted: int, largest: float) -> np.ndarray:
    """DINOv2's generator read again, with Python's own random numbers."""
    mask = np.zeros((side, side), bool)
    count = 0
    while count < wanted:
        most, added = min(wanted - count, largest), 0
        for _ in range(10):
            area = random.uniform(4, most)
            aspect = math.exp(random.uniform(math.log(0.3), math.log(1 / 0.3)))
            h, w = round(math.sqrt(area * aspect)), round(math.sqrt(area / aspect))
            if w < side and h < side:
                top, left = random.randint(0, side - h), random.randint(0, side - w)
                new = h * w - mask[top : top + h, left : left + w].sum()
                if 0 < new <= most:
                    mask[top : top + h, left : left + w] = True
                    added = new
                    break
        if added == 0:
            break
        count += added
    return mask


@pytest.mark.parametrize(("side", "largest"), [(37, 666), (16, 128)])  # 518 and 224 px
def test_the_masks_have_dinov2s_statistics(side, largest):
    """Masked share, where it lies, and how blocky it is: means over many masks, within 4 standard errors of both."""
    random.seed(1)
    generator = np.random.default_rng(2)
    ours, theirs = [], []
    for wanted in np.linspace(0.1, 0.5, 300) * side * side:
        ours.append(block_mask(side, int(wanted), generator))
        theirs.append(dinov2_mask(side, int(wanted), largest))

    def measures(mask):
        inner = mask[side // 4 : -(side // 4), side // 4 : -(side // 4)].mean()
        edges = (mask[1:] != mask[:-1]).mean() + (mask[:, 1:] != mask[:, :-1]).mean()
        return mask.mean(), inner, edges

    a, b = np.array([measures(mask) for mask in ours]), np.array([measures(mask) for mask in theirs])
    paired = a[:, 0] - b[:, 0]  # the same number was wanted
    assert abs(paired.mean()) < 4 * paired.std() / math.sqrt(300) + 1e-3
    error = np.sqrt((a.var(0) + b.var(0)) / 300)
    assert (abs(a.mean(0) - b.mean(0)) < 4 * error).all()


def test_a_mask_never_has_more_than_was_wanted():
    generator = np.random.default_rng(0)
    for wanted in (0, 1, 3, 4, 17, 49):
        for _ in range(20):
            assert block_mask(7, wanted, generator).sum() <= wanted


def test_exactly_the_share_of_views_is_masked_and_the_ratios_span_their_range():
    masks = draw_masks(37, 129, share=0.5, ratio=(0.1, 0.5), seed=3, step=8)
    share = masks.mean(1)
    assert (share > 0).sum() == 64
    sorted_share = np.sort(share[share > 0])
    assert sorted_share[0] < 0.12
    assert sorted_share[-1] > 0.45
    assert abs(sorted_share.mean() - 0.3) < 0.03
    assert (draw_masks(37, 129, share=0.5, ratio=(0.1, 0.5), seed=3, step=8) == masks).all()
    assert (draw_masks(37, 129, share=0.5, ratio=(0.1, 0.5), seed=3, step=9) != masks).any()
    assert (draw_masks(37, 129, share=0.5, ratio=(0.1, 0.5), seed=4, step=8) != masks).any()


def test_ranks_take_their_part_of_one_draw():
    config = tiny_config(model={"drop_path": 0.3}, crops={"local_crops": 2})
    arrangement = tiny_learner(config).arrangement
    device = torch.device("cpu")
    whole = draw_step(config, arrangement, 6, step=4, group=Group(), device=device)
    parts = [draw_step(config, arrangement, 3, step=4, group=Group(rank, 2), device=device) for rank in range(2)]
    assert (np.concatenate([part.mask_IBN for part in parts], axis=1) == whole.mask_IBN).all()
    for block in range(config.model.depth):
        for branch in range(2):
            runs = np.concatenate([part.drop_global[block][branch] for part in parts], axis=1)
            assert (runs == whole.drop_global[block][branch]).all()
            assert runs.sum() == int(12 * 0.7)
            assert np.concatenate([part.drop_local[block][branch] for part in parts]).sum() == int(12 * 0.7)
    kept = whole.kept(slice(0, 6), local=False)[0][0]
    assert kept.scale == pytest.approx(12 / 8)
