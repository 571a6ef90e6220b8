"""Every site counts: what is chosen for the plates of a file, what is averaged, what is said of sites that have no place."""

import numpy as np
import pytest

from kit.errors import KitError
from kit.profiles.places import NINE_PLACES
from kit.profiles.profile import profile
from kit.profiles.table import read_facts

from .made_runs import make_runs, site_vectors
from .test_places import GRID


def block(columns: int, rows: int) -> list[tuple[float, float]]:
    """A centred block, row-major, in steps of the grid."""
    return [(x - (columns - 1) / 2, (rows - 1) / 2 - y) for y in range(rows) for x in range(columns)]


UNKNOWN = [(np.nan, np.nan)]
ELSEWHERE = {
    "one field": [(0.0, 0.0)],
    "one field at a common place": [NINE_PLACES[4]],
    "2 x 2": block(2, 2),
    "2 x 3": block(3, 2),
    "3 x 3": block(3, 3),
    "3 x 3, half the usual pitch": (block(3, 3), 322.9),  # two of its fields are at common places of the usual pitch
    "3 x 3 from a corner": ([(x + 0.5, y - 1.5) for x, y in block(3, 3)], 100.0),
    "5 x 5": (block(5, 5), 200.0),
    "6 x 6": block(6, 6),  # all nine places are among them
    "16 in two rows": block(8, 2),
    "no position": UNKNOWN,
    "nine without position": UNKNOWN * 9,
    "sixteen without position": UNKNOWN * 16,
}


@pytest.mark.parametrize("at", ELSEWHERE.values(), ids=ELSEWHERE)
def test_all_sites_are_averaged_where_the_plate_is_not_the_challenges(at, tmp_path):
    work = make_runs(tmp_path, {"P": at}, missing=[("P", "A02", 2), ("P", "A02", 5)])
    made = profile(work, ["fluo"], tmp_path / "p.parquet")
    assert made.names == ("fluo_mean_cls_0", "fluo_mean_cls_1", "fluo_mean_patch_0", "fluo_mean_patch_1")
    for row, well in enumerate(("A01", "A02", "B01")):
        sites = np.stack(list(site_vectors(work, "fluo", "P", well).values()))
        np.testing.assert_allclose(made.features_MF[row], sites.mean(axis=0), rtol=1e-5, atol=1e-6)
    step = read_facts(tmp_path / "p.parquet")["steps"][2]
    assert (step["how"], step["sites"], step["order"]) == ("mean", "all", None)
    assert step["why"].startswith("plate P ")
    assert f"--merge mean): {step['why']}" in made.text()


@pytest.mark.parametrize(("at", "pitch"), [(NINE_PLACES, 645.8), (GRID, 645.8), (GRID, 50.0), (GRID[:1] + GRID[2:], 645.8)])
def test_the_challenges_places_are_concatenated(at, pitch, tmp_path):
    work = make_runs(tmp_path, {"P": (at, pitch)}, missing=[("P", "A02", 7)])
    made = profile(work, ["fluo"], tmp_path / "p.parquet")
    asked = profile(work, ["fluo"], tmp_path / "q.parquet", merge="concat", sites="position")
    np.testing.assert_array_equal(made.features_MF, asked.features_MF)
    assert made.names == asked.names
    assert made.names[-1] == "fluo_s9_patch_1"
    assert "nine sites concatenated (--merge concat): every plate images the challenge's nine places" in made.text()
    assert "--merge" not in asked.text()  # who asked for it knows


def test_one_plate_of_another_layout_decides_for_the_file(tmp_path):
    work = make_runs(tmp_path, {"P1": NINE_PLACES, "P2": block(2, 2), "P3": GRID, "P4": UNKNOWN})
    made = profile(work, ["fluo"], tmp_path / "p.parquet")
    assert made.features_MF.shape == (12, 4)
    assert (
        "(1 to 16 a well; --merge mean): plate P2 images 2 of the challenge's nine places (4 fields), and 1 more plate"
        in made.text()
    )


def test_a_plate_that_is_not_in_every_run_does_not_decide(tmp_path):
    work = make_runs(tmp_path, {"P1": NINE_PLACES, "P2": UNKNOWN}, runs=("fluo", "bright"))
    (work.run_folder("bright") / "features" / "P2.parquet").unlink()
    made = profile(work, ["fluo", "bright"], tmp_path / "p.parquet")
    assert made.steps[1]["wells_not_in_every_run"] == 3
    assert made.features_MF.shape == (3, 2 * 9 * 4)


def test_the_mean_needs_no_position_and_takes_all_sixteen(tmp_path):
    work = make_runs(tmp_path, {"NINE": NINE_PLACES, "ONE": UNKNOWN, "SIXTEEN": GRID})
    made = profile(work, ["fluo"], tmp_path / "p.parquet", merge="mean")
    for row, who in made.who.iterrows():
        sites = np.stack(list(site_vectors(work, "fluo", who["Metadata_Plate"], who["Metadata_Well"]).values()))
        np.testing.assert_array_equal(made.features_MF[row], sites.mean(axis=0))
    assert "--merge" not in made.text()


def test_the_mean_of_nine_sites_is_that_of_nine_blocks_bit_for_bit(tmp_path):
    work = make_runs(tmp_path, {"P": NINE_PLACES})
    every, blocks = (
        profile(work, ["fluo"], tmp_path / "p.parquet", merge="mean", sites=sites).features_MF for sites in (None, "position")
    )
    np.testing.assert_array_equal(every, blocks)


@pytest.mark.parametrize(
    ("at", "asked"),
    [
        (block(5, 5), {"merge": "concat"}),
        (block(5, 5), {"merge": "concat", "sites": "area"}),
        (block(5, 5), {"sites": "bilinear"}),
        (block(3, 2), {"sites": "area", "order": "position", "merge": "mean"}),
        (block(3, 3), {"merge": "concat"}),
        (UNKNOWN, {"merge": "concat"}),
        (UNKNOWN * 9, {"merge": "mean", "sites": "position"}),
    ],
)
def test_the_way_out_of_what_does_not_fit_works(at, asked, tmp_path):
    work = make_runs(tmp_path, {"P": at})
    with pytest.raises(KitError, match=r"plate P.*: use --merge mean without --sites, which averages all sites") as error:
        profile(work, ["fluo"], tmp_path / "p.parquet", **asked)
    assert "\n" not in str(error.value)
    assert not (tmp_path / "p.parquet").exists()
    assert profile(work, ["fluo"], tmp_path / "p.parquet", merge="mean").features_MF.shape == (3, 4)


def test_sites_without_a_place_are_named(tmp_path):
    plates = {"P1": NINE_PLACES, "P2": GRID, "P3": block(2, 2), "P4": GRID}
    made = profile(make_runs(tmp_path, plates), ["fluo"], tmp_path / "p.parquet", sites="position")
    sixteen = [site for site, place in enumerate(GRID, 1) if place not in NINE_PLACES]
    step = made.steps[2]
    assert step["left_out"] == {
        "P2": {"fields": sixteen, "of": 16}, "P3": {"fields": [2, 3], "of": 4}, "P4": {"fields": sixteen, "of": 16},
    }  # fmt: skip
    listed = ", ".join(map(str, sixteen))
    assert made.text().split("\n  ")[1:] == [
        f"left out, at none of the nine places: fields {listed} (7 of 16) of plates P2, P4",
        "left out, at none of the nine places: fields 2, 3 (2 of 4) of plate P3",
        "2 of 9 grid positions imaged; the other 7 filled with the well mean: plate P3",
    ]


def test_positions_that_nobody_imaged_are_not_called_missing_sites(tmp_path):
    work = make_runs(tmp_path, {"P1": [NINE_PLACES[4]], "P2": NINE_PLACES}, runs=("fluo", "bright"), missing=[("P2", "A01", 3)])
    made = profile(work, ["fluo", "bright"], tmp_path / "p.parquet", merge="concat")
    assert made.text().split("\n  ")[1:] == [
        "1 of 9 grid positions imaged; the other 8 filled with the well mean: plate P1",
        "1 site missing in single wells: filled with the well mean",
    ]
    assert made.steps[2]["slots_filled"] == {"fluo": 25, "bright": 25}
