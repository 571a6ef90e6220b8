"""kit profile --explain: the weights that it shows are those that merging used."""

import numpy as np
import pytest

from kit.profiles.explain import draw_weights, explain_merging
from kit.profiles.merge import merge_runs
from kit.profiles.places import NINE_PLACES

from .made_runs import make_runs, site_vectors
from .test_places import GRID


@pytest.fixture
def work(tmp_path):
    return make_runs(tmp_path, {"P1": NINE_PLACES, "P2": GRID, "P3": NINE_PLACES})


@pytest.mark.parametrize(
    ("merge", "sites"), [(None, None), ("mean", None), ("mean", "position"), ("concat", "area"), (None, "corners")]
)
def test_the_weights_make_the_profiles(work, merge, sites):
    layouts = explain_merging(work, ["P1", "P2", "P3"], merge, sites, "file")
    assert [layout.plates for layout in layouts] == [("P1", "P3"), ("P2",)]
    made = merge_runs(work, ["fluo"], parts=["cls", "patch"], merge=merge, sites=sites)
    for layout in layouts:
        np.testing.assert_allclose(layout.weight_BF.sum(axis=1) + layout.mean_B, 1)
        vectors = site_vectors(work, "fluo", layout.plates[0], "A02")
        expected_BD = layout.weight_BF @ np.stack([vectors[field] for field in layout.fields])
        row = made.features_MF[
            np.flatnonzero((made.who["Metadata_Plate"] == layout.plates[0]) & (made.who["Metadata_Well"] == "A02"))[0]
        ]
        np.testing.assert_allclose(row.reshape(expected_BD.shape), expected_BD, atol=1e-6)


def test_a_place_without_a_field_takes_the_mean(tmp_path):
    work = make_runs(tmp_path, {"P1": NINE_PLACES[:8]})
    (layout,) = explain_merging(work, ["P1"], "concat", "position", "file")
    assert layout.mean_B.tolist() == [0] * 8 + [1]
    assert layout.text().splitlines() == [
        "1 plate (P1), 8 fields:",
        *(f"    s{field} = f{field:02d}" for field in range(1, 9)),
        "    s9 = mean of the well",
    ]
    (averaged,) = explain_merging(work, ["P1"], None, None, "file")
    assert averaged.text().splitlines()[1] == "  mean = 0.125 of each of f01, f02, f03, f04, f05, f06, f07, f08"


def test_the_picture_has_a_row_a_layout(work, tmp_path):
    layouts = explain_merging(work, ["P1", "P2"], None, "area", "file")
    draw_weights(layouts, tmp_path / "p.png")
    assert (tmp_path / "p.png").read_bytes().startswith(b"\x89PNG")
    assert "  s5 = 0.25 f06 + 0.25 f07 + 0.25 f10 + 0.25 f11" in layouts[1].text()
