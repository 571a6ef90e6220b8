"""Texture beside a file of profiles: the file's own steps, on texture and on both."""

import json

import numpy as np
import pytest

from kit.errors import KitError, UsageError
from kit.profiles.beside import Recorded, hint, write_texture
from kit.profiles.places import NINE_PLACES
from kit.profiles.profile import profile
from kit.profiles.table import read_profiles

from .made_runs import make_runs
from .test_places import GRID

EVERY_STEP = [
    {},
    {"merge": "mean", "normalize": "centre", "whiten": "sphere", "controls": "all", "ridge": 0.3, "l2": True},
    {
        "parts": ("patch",),
        "merge": "mean",
        "sites": "area",
        "order": "position",
        "normalize": "mad",
        "controls": "all",
        "rank_normal": "plate",
    },
    {"merge": "mean", "normalize": "centre", "whiten": "tvn", "whiten_on": "sites", "controls": "all", "align": 0.7},
    {"plates": ("P2",), "normalize": "centre", "controls": "all"},
]


def about(work, run: str, **facts) -> None:
    path = work.run_folder(run) / "features" / "features.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"channels": ["DNA", "ER"], "made_by": run, **facts}))


@pytest.fixture
def work(tmp_path):
    """A network, another of the same channels, and texture of them under a name of its own."""
    work = make_runs(tmp_path, {"P1": NINE_PLACES, "P2": GRID}, runs=("fluo", "twin", "by-hand"))
    for run, facts in {"fluo": {}, "twin": {}, "by-hand": {"baseline": "texture", "parts": {"cls": [0, 2]}}}.items():
        about(work, run, **facts)
    return work


@pytest.mark.parametrize("steps", EVERY_STEP)
def test_texture_gets_the_steps_that_the_file_records(work, tmp_path, steps):
    path = tmp_path / "p.parquet"
    profile(work, ["fluo"], path, **steps)
    texture, both = write_texture(work, path)
    assert (texture.name, both.name) == ("p-texture.parquet", "p+texture.parquet")
    for out, runs, weights in ((texture, ["by-hand"], None), (both, ["fluo", "by-hand"], {"fluo": 1.0, "by-hand": 1.0})):
        profile(work, runs, tmp_path / "typed.parquet", weights=weights, **steps)
        found, typed = read_profiles(out), read_profiles(tmp_path / "typed.parquet")
        assert found.names == typed.names
        np.testing.assert_array_equal(found.features_MF, typed.features_MF)
    assert [step["step"] for step in read_profiles(texture).steps] == [step["step"] for step in read_profiles(path).steps]


def test_weights_stay_and_a_texture_is_taken_once(work, tmp_path):
    path = tmp_path / "two.csv"
    profile(work, ["fluo", "twin"], path, merge="mean", weights={"fluo": 3.0, "twin": 1.0})
    _, both = write_texture(work, path)
    assert Recorded.of(both).steps["balance"]["weights"] == {"fluo": 3.0, "twin": 1.0, "by-hand": 1.0}
    assert write_texture(work, both) == [tmp_path / "two+texture-texture.parquet"]  # both are there already


def test_what_cannot_be_beside(work, tmp_path):
    path = tmp_path / "p.parquet"
    profile(work, ["fluo"], path)
    (tmp_path / "p-texture.parquet").write_bytes(path.read_bytes())
    with pytest.raises(UsageError, match=r"--texture writes .*p-texture.parquet, which is another file"):
        write_texture(work, path)
    (tmp_path / "p-texture.parquet").unlink()
    about(work, "by-hand", channels=["DNA"])
    with pytest.raises(KitError, match=r"no texture of DNA, ER.*--run by-hand --channels DNA,ER --baseline texture"):
        write_texture(work, path)
    (work.run_folder("fluo") / "run.toml").touch()
    with pytest.raises(KitError, match=r"kit embed --work \S+ --run fluo --baseline texture"):
        write_texture(work, path)
    about(work, "fluo", made_by="other weights")
    with pytest.raises(KitError, match=r"run fluo of .* was embedded anew"):
        write_texture(work, path)
    profile(work, ["by-hand"], path)
    with pytest.raises(UsageError, match="holds no network's run"):
        write_texture(work, path)


def test_the_hint_is_for_a_network_without_texture(work, tmp_path):
    network, texture, other = tmp_path / "a network.parquet", tmp_path / "t.parquet", tmp_path / "o.csv"
    profile(work, ["fluo"], network)
    profile(work, ["by-hand"], texture)
    other.write_text("Metadata_Plate,Metadata_Well,x\nP1,A01,1\n")
    assert hint([other, network]).endswith(f"kit score '{network}' --texture WORK")
    assert [hint([texture]), hint([other]), hint([network, texture]), hint([tmp_path])] == ["", "", "", ""]
