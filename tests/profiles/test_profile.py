"""Runs to a profiles file: the names of the columns, the wells, what the file says of itself."""

import json

import numpy as np
import pandas as pd
import pytest

from kit.errors import KitError, UsageError
from kit.profiles.places import NINE_PLACES
from kit.profiles.profile import profile
from kit.profiles.table import read_facts, read_profiles

from .made_runs import make_runs, site_vectors, write_run
from .test_places import GRID

LAYOUTS = {"P1": NINE_PLACES, "P2": GRID}


@pytest.fixture
def work(tmp_path):
    """Two plates, of nine and sixteen sites, three wells each, with features of two runs."""
    return make_runs(tmp_path, LAYOUTS, runs=("fluo", "bright"))


def site_vector(work, run: str, plate: str, well: str, site: int) -> np.ndarray:
    return site_vectors(work, run, plate, well)[site]


def test_every_value_lies_under_its_name(work, tmp_path):
    made = profile(work, ["fluo", "bright"], tmp_path / "p.parquet")
    assert made.features_MF.shape == (6, 2 * 9 * 4)
    assert made.names[:4] == ("fluo_s1_cls_0", "fluo_s1_cls_1", "fluo_s1_patch_0", "fluo_s1_patch_1")
    assert made.names[-1] == "bright_s9_patch_1"
    table = pd.DataFrame(made.features_MF, columns=list(made.names))
    row = np.flatnonzero((made.who["Metadata_Plate"] == "P1") & (made.who["Metadata_Well"] == "A02"))[0]
    assert table.loc[row, "bright_s7_patch_1"] == site_vector(work, "bright", "P1", "A02", 7)[3]
    row = np.flatnonzero((made.who["Metadata_Plate"] == "P2") & (made.who["Metadata_Well"] == "B01"))[0]
    site = GRID.index(NINE_PLACES[6]) + 1  # the seventh common place, wherever the sixteen-site plate numbers it
    assert table.loc[row, "fluo_s7_cls_1"] == site_vector(work, "fluo", "P2", "B01", site)[1]


def test_the_file_gives_back_what_was_made(work, tmp_path):
    made = profile(work, ["fluo"], tmp_path / "p.parquet", normalize="centre", align=0.9, l2=True)
    read = read_profiles(tmp_path / "p.parquet")
    np.testing.assert_array_equal(read.features_MF, made.features_MF)
    assert read.features_MF.dtype == np.float32
    assert read.names == made.names
    pd.testing.assert_frame_equal(read.who, made.who)
    assert read.labels == read_facts(tmp_path / "p.parquet")["labels"] == work.labels
    assert list(read.steps) == json.loads(json.dumps(made.steps))
    assert [step["step"] for step in read.steps] == ["parts", "runs", "merge", "normalize", "align", "l2"]
    assert read_facts(tmp_path / "p.parquet")["uses_well_position"] is True
    plain = pd.read_parquet(tmp_path / "p.parquet")  # any reader's
    assert all(name.startswith(("Metadata_", "fluo_s")) for name in plain)
    assert plain["fluo_s1_cls_0"].dtype == np.float32
    profile(work, ["fluo"], tmp_path / "q.parquet")
    assert read_facts(tmp_path / "q.parquet")["uses_well_position"] is False


def test_the_mean_of_nine_blocks_and_parts(work, tmp_path):
    nine = profile(work, ["fluo"], tmp_path / "p.parquet", parts=["patch"])
    mean = profile(work, ["fluo"], tmp_path / "q.parquet", parts=["patch"], merge="mean", sites="position")
    assert mean.names == ("fluo_mean_patch_0", "fluo_mean_patch_1")
    np.testing.assert_array_equal(mean.features_MF, nine.features_MF.reshape(6, 9, 2).mean(axis=1))


def test_a_run_with_one_part_gives_it_for_any(work, tmp_path):
    write_run(work, "intensity", 5, parts={"cls": [0, 4]})
    assert profile(work, ["intensity"], tmp_path / "p.parquet", merge="mean").names == tuple(
        f"intensity_mean_cls_{i}" for i in range(4)
    )


def test_wells_that_a_run_lacks_are_left_out_and_counted(work, tmp_path):
    write_run(work, "less", 3, skip="A02")
    made = profile(work, ["fluo", "less"], tmp_path / "p.parquet")
    assert sorted(made.who["Metadata_Well"].unique()) == ["A01", "B01"]
    assert made.steps[1]["wells_not_in_every_run"] == 2
    for row, who in made.who.iterrows():  # and the rows of both runs are still the same wells
        site = 1 if who["Metadata_Plate"] == "P1" else GRID.index(NINE_PLACES[0]) + 1
        for run in ("fluo", "less"):
            value = made.features_MF[row, made.names.index(f"{run}_s1_cls_0")]
            assert value == site_vector(work, run, who["Metadata_Plate"], who["Metadata_Well"], site)[0]


def test_what_cannot_be_made_is_one_line_and_leaves_no_file(work, tmp_path):
    out = tmp_path / "p.parquet"
    for runs, options, message in [
        (["nothing"], {}, "no run nothing in .*; available: bright, fluo"),
        (["fluo", "fluo"], {}, "each only once"),
        (["fluo"], {"parts": ["cls", "pixel"]}, "no part 'pixel'"),
        (["fluo"], {"align": 2.0}, "--align 2.0"),
        (["fluo"], {"controls": "all"}, "--controls all says which wells --normalize and --whiten are fitted on"),
    ]:
        with pytest.raises((KitError, UsageError), match=message) as error:
            profile(work, runs, out, **options)
        assert "\n" not in str(error.value)
    assert not list(tmp_path.glob("*.parquet*"))


def test_not_finite_features_are_named(work, tmp_path):
    path = work.run_folder("fluo") / "features" / "P1.parquet"
    table = pd.read_parquet(path)
    table.loc[4, "f0002"] = np.nan
    table.to_parquet(path)
    with pytest.raises(KitError, match="f0002 of plate P1 well A01 site 5"):
        profile(work, ["fluo"], tmp_path / "p.parquet")


def test_only_the_plates_that_are_named(work, tmp_path):
    write_run(work, "less", 3, skip="A02")
    (work.run_folder("less") / "features" / "P1.parquet").unlink()
    whole = profile(work, ["fluo"], tmp_path / "p.parquet", merge="mean")
    one = profile(work, ["fluo"], tmp_path / "p.parquet", merge="mean", plates=["P2", "P2"])
    np.testing.assert_array_equal(one.features_MF, whole.features_MF[3:])
    assert one.who["Metadata_Plate"].unique().tolist() == one.steps[1]["plates"] == ["P2"]
    assert "plates" not in whole.steps[1]
    both = profile(work, ["fluo", "less"], tmp_path / "p.parquet", plates=["P2"])
    assert both.steps[1]["wells_not_in_every_run"] == 1  # those of P1 were not asked for
    for runs, plate, message in [
        (["fluo"], "P3", r"--plates P3: run fluo has no features of this plate; did you mean P2\?; it has P1, P2"),
        (["fluo", "less"], "P1", r"--plates P1: run less has no features of this plate; did you mean P2\?; it has P2"),
    ]:
        with pytest.raises(UsageError, match=message):
            profile(work, runs, tmp_path / "p.parquet", plates=["P2", plate])


@pytest.mark.parametrize("steps", [{"normalize": "centre"}, {"normalize": "mad"}, {"whiten": "tvn"}])
@pytest.mark.parametrize("whiten_on", ["wells", "sites"])
def test_a_plate_without_controls_can_be_left_out(work, tmp_path, steps, whiten_on):
    work.wells.loc[work.wells["Metadata_Plate"] == "P1", "Metadata_broad_sample"] = "BRD-1"
    work.wells.loc[work.wells["Metadata_Plate"] == "P2", "Metadata_broad_sample"] = ["", "", "BRD-1"]
    with pytest.raises(KitError, match=r"plate P1 has .*leave the plate out by --plates"):
        profile(work, ["fluo"], tmp_path / "p.parquet", whiten_on=whiten_on, **steps)
    assert len(profile(work, ["fluo"], tmp_path / "p.parquet", plates=["P2"], whiten_on=whiten_on, **steps).who) == 3
