"""The cells of a site against made sites whose nuclei are known, and bodies worked by hand."""

import functools
from types import SimpleNamespace

import numpy as np
import pytest
from scipy.optimize import linear_sum_assignment
from scipy.spatial.distance import cdist

from kit.errors import UsageError
from kit.images.cells.bodies import body_columns, label_bodies
from kit.images.cells.find import Finder, finder
from kit.images.phantom.config import A549_LIKE, U2OS_LIKE
from tests.images.made_nuclei import DNA, ER, made_site


@functools.cache
def site_of(scale, number, line):
    return made_site(scale, number, line, (DNA, ER))


def matched(found_N2, true_N2, reach: float) -> int:
    """How many pairs of a found and a true place, each used once, are within `reach` pixels."""
    away = cdist(found_N2, true_N2)
    pairs = linear_sum_assignment(np.minimum(away, 10 * reach))
    return int((away[pairs] <= reach).sum())


@pytest.mark.parametrize(("scale", "square", "sites"), [(1.0, 1, 3), (2.0, 2, 1)])
def test_nearly_every_made_nucleus_is_found_and_nothing_else(scale, square, sites):
    right = found = true = 0
    for number in range(sites):
        for line in (U2OS_LIKE, A549_LIKE):
            site_CHW, scene = site_of(scale, number, line)
            cells = Finder("DNA", "ER", square)(site_CHW)
            y, x, radius = scene.nucleus_N3.T
            side = site_CHW.shape[-1]
            whole = (np.minimum(y, x) > radius) & (np.maximum(y, x) < side - radius)
            reach = np.median(radius) / 2
            right += matched(cells[["y", "x"]], scene.nucleus_N3[whole, :2], reach)
            found, true = found + len(cells), true + int(whole.sum())
            assert (cells["body_area_px"] >= cells["area_px"]).all()
    assert right >= 0.95 * true  # recall
    assert right >= 0.97 * found  # precision


def test_squares_change_the_unit_and_not_the_place():
    site_CHW, _ = site_of(2.0, 0, U2OS_LIKE)
    fine, coarse = (Finder("DNA", "ER", square)(site_CHW) for square in (1, 2))
    away = cdist(fine[["y", "x"]], coarse[["y", "x"]])
    near = away.argmin(axis=1)
    same = away.min(axis=1) < 4
    assert same.mean() > 0.9
    for name, rtol in (("y", 0.02), ("x", 0.02), ("area_px", 0.1), ("diameter_px", 0.05), ("body_area_px", 0.15)):
        ratio = coarse[name].to_numpy()[near[same]] / fine[name].to_numpy()[same]
        assert np.median(ratio) == pytest.approx(1, abs=rtol), name


def test_touching_bodies_part_where_the_stain_is_dark():
    y, x = np.mgrid[:60, :80]
    nuclei = np.zeros((60, 80), np.int32)
    nuclei[np.hypot(y - 30, x - 20) < 5], nuclei[np.hypot(y - 30, x - 60) < 5] = 1, 2
    stain = np.where(np.hypot(y - 30, x - 40) < 36, 60 + np.abs(x - 44), 10)  # one blob, darkest along x = 44
    stain[2:6, 70:78] = 200  # bright, and no nucleus reaches it
    body = label_bodies(stain, nuclei)
    assert [body[30, 42], body[30, 46], body[4, 74], body[0, 0]] == [1, 2, 0, 0]
    columns = body_columns(body, np.array([30.0, 30.0]), np.array([20.0, 60.0]))
    np.testing.assert_array_equal(columns["body_area_px"], [(body == 1).sum(), (body == 2).sum()])
    np.testing.assert_allclose(columns["body_x"], [x[body == number].mean() for number in (1, 2)])


def store(channels, side=1080):
    return SimpleNamespace(
        path="W", channels=channels, plates=["P"], container=lambda plate: SimpleNamespace(image_shape=(side, side + 8))
    )


def test_the_channel_of_nuclei_is_known_by_its_name():
    assert finder(store(("ER", "Hoechst 33342"))) == Finder("Hoechst 33342", None, 2)
    assert finder(store(("c0", "ER"), side=512), "c0", "ER") == Finder("c0", "ER", 1)
    for channels, nuclei, bodies, says in (
        (("c0", "c1"), None, None, r"none of the channels c0, c1 .* --nuclei"),
        (("DNA", "ER"), "DMA", None, r"--nuclei DMA: W has no such channel; did you mean DNA\?"),
        (("DNA", "ER"), None, "RNA", r"--bodies RNA: W has no such channel"),
        (("DNA", "ER"), None, "DNA", r"--bodies DNA: this channel shows the nuclei"),
    ):
        with pytest.raises(UsageError, match=says):
            finder(store(channels), nuclei, bodies)
