"""The boxes of crops: their law, and what happens where none fits."""

import itertools

import numpy as np
import torch

from kit.config import CropsConfig
from kit.images.crops.boxes import WORDS, draw_boxes, draw_crops
from kit.kernels.tile import tile
from kit.streams import Stream, random_words


def test_boxes_follow_their_law():
    words = random_words(40_000 * WORDS, 1, Stream.BOXES).reshape(-1, WORDS)
    top, left, tall, wide = draw_boxes(words, 540, 540, (0.1, 0.4), (0.75, 4 / 3)).T
    assert min(top.min(), left.min()) == 0
    assert (top + tall).max() <= 540
    assert (left + wide).max() <= 540
    share, ratio = tall * wide / 540**2, np.log(wide / tall)
    assert abs(share.mean() - 0.25) < 5 * 0.3 / np.sqrt(12 * 40_000)
    assert abs(ratio.mean()) < 5 * 2 * np.log(4 / 3) / np.sqrt(12 * 40_000)
    assert np.allclose(np.quantile(share, [0.25, 0.5, 0.75]), [0.175, 0.25, 0.325], atol=0.004)
    assert np.allclose(np.quantile(top / (540 - tall), [0.25, 0.75]), [0.25, 0.75], atol=0.02)


def test_boxes_that_never_fit_fall_back_to_the_largest_allowed():
    words = random_words(50 * WORDS, 1, Stream.BOXES).reshape(-1, WORDS)
    box = draw_boxes(words, 100, 30, (0.9, 1.0), (0.75, 4 / 3))
    assert (box == [30, 0, 40, 30]).all()


def test_mirrors_and_quarter_turns_come_equally_often_or_not_at_all():
    _, flip, turn = draw_crops(CropsConfig(), "v1", 0, 20_000, (100, 100), 1, 2, 3)
    assert abs(flip.mean() - 0.5) < 5 * 0.5 / np.sqrt(20_000)
    assert np.abs(np.bincount(turn, minlength=4) / 20_000 - 0.25).max() < 5 * 0.433 / np.sqrt(20_000)
    upright = CropsConfig(flips=False, quarter_turns=False)
    same_box, flip, turn = draw_crops(upright, "v1", 0, 50, (100, 100), 1, 2, 3)
    assert not flip.any()
    assert not turn.any()
    assert np.array_equal(same_box, draw_crops(CropsConfig(), "v1", 0, 50, (100, 100), 1, 2, 3)[0])


def test_mirrors_upside_down_are_independent_and_move_no_other_draw():
    plain, both = CropsConfig(quarter_turns=False), CropsConfig(quarter_turns=False, flips_up_down=True)
    box, flip, _ = draw_crops(plain, "v1", 0, 20_000, (100, 100), 1, 2, 3)
    same_box, mirrored, turn = draw_crops(both, "v1", 0, 20_000, (100, 100), 1, 2, 3)
    assert np.array_equal(same_box, box)
    assert set(np.unique(turn)) == {0, 2}
    over = turn == 2  # tile mirrors left-right, then turns: half a turn and a mirror is one upside down
    assert np.array_equal(mirrored ^ over, flip)
    share = np.bincount(2 * flip + over, minlength=4) / 20_000
    assert np.abs(share - 0.25).max() < 5 * 0.433 / np.sqrt(20_000)
    alone = draw_crops(CropsConfig(flips=False, quarter_turns=False, flips_up_down=True), "v1", 0, 20_000, (100, 100), 1, 2, 3)
    assert np.array_equal(alone[1], over)
    site = torch.arange(12, dtype=torch.uint8).view(1, 1, 3, 4)[..., :3].contiguous()
    for left_right, upside_down in itertools.product((False, True), repeat=2):
        tiled = tile(
            site, torch.zeros(1, dtype=torch.int64), torch.tensor([[0, 0, 3, 3]]), torch.tensor([left_right ^ upside_down]),
            torch.tensor([2 * upside_down]), side=3,
        )[0]  # fmt: skip
        expected = site.numpy()[0, 0, :: -1 if upside_down else 1, :: -1 if left_right else 1]
        assert np.array_equal(tiled[0, 0].numpy(), expected)
    turned = draw_crops(CropsConfig(flips_up_down=True), "v1", 0, 20_000, (100, 100), 1, 2, 3)[2]
    assert np.abs(np.bincount(turned, minlength=4) / 20_000 - 0.25).max() < 5 * 0.433 / np.sqrt(20_000)


def test_every_view_of_a_sample_has_its_own_box():
    views = [("v1", 0), ("w", 0), ("v2", 0), ("local", 0), ("local", 1)]
    boxes = [draw_crops(CropsConfig(), name, copy, 8, (100, 100), 1, 2, 3)[0] for name, copy in views]
    assert len({box.tobytes() for box in boxes}) == len(views)
