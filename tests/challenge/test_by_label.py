"""Accuracy label by label, and the demo's picture of it."""

import numpy as np
import pytest
from PIL import Image

from kit.challenge.by_label import ByLabel
from kit.challenge.score import score
from kit.demo_figure import draw_by_compound

from .conftest import make_table


def test_the_shares_of_the_labels_are_those_of_their_wells(metadata):
    found = score(make_table(), metadata, seeds=2, sections=(ByLabel(),))
    shares = found["by_label"]
    assert len(shares) == found["n_classes"]
    assert all(0 <= share <= 1 for share in shares.values())
    recalls = [result["balanced_accuracy"] for result in found["directions"].values()]  # the mean recall over labels
    assert np.mean(list(shares.values())) == pytest.approx(np.mean(recalls))
    assert np.std(list(shares.values())) > 0
    assert list(shares) == sorted(shares)


def test_the_picture_has_a_bar_for_every_compound_and_set(tmp_path):
    sets = {"network": {"a": 1.0, "b": 0.25}, "texture": {"a": 0.5, "b": 0.0}}
    draw_by_compound(sets, tmp_path / "p.png", chance=0.1, title="Made plates")
    picture = np.asarray(Image.open(tmp_path / "p.png").convert("RGB"))
    blue, orange = ((picture == colour).all(axis=2).sum(axis=1) for colour in ((0, 114, 178), (230, 159, 0)))
    longest = blue.max()
    rows = np.flatnonzero(blue > 0.2 * longest)
    assert blue[rows[0] : rows[0] + 5].min() > 0.9 * longest  # the compound that the network knows best is on top
    assert 0.45 * longest < orange.max() < 0.55 * longest
    assert not list(tmp_path.glob(".*.part"))
