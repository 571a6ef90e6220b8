"""The boxes of crops: their law, and what happens where none fits."""

import numpy as np

from kit.images.crops_boxes import WORDS, draw_boxes
from kit.images.crops_sampling import random_words


def test_boxes_follow_their_law():
    words = random_words(40_000 * WORDS, 1, 2).reshape(-1, WORDS)
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
    words = random_words(50 * WORDS, 1, 2).reshape(-1, WORDS)
    box = draw_boxes(words, 100, 30, (0.9, 1.0), (0.75, 4 / 3))
    assert (box == [30, 0, 40, 30]).all()
