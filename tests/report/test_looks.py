"""What the network looks at, on the page: an ignored channel has no bar, background no colour; what lacks is said."""

import numpy as np
import pandas as pd
import pytest

from kit.errors import KitError
from kit.model.patch_matches import Matches
from kit.profiles import opening
from kit.profiles.looks import ChannelUse
from kit.report import looks
from kit.report.context import Context
from kit.report.looks import section
from kit.report.matches import matched_colours
from kit.report.pixels import enlarged
from tests.images.made_work import change_table, make_work
from tests.model.tiny import CHANNELS
from tests.profiles.blind import blind_backbone


@pytest.fixture
def context(tmp_path):
    make_work(tmp_path / "work", wells=6, sites=1)
    for plate in ("P1", "P2"):
        change_table(
            tmp_path / "work", plate,
            lambda table: table.assign(
                Metadata_broad_sample=table["Metadata_Well"].replace("A01", ""),
                Metadata_is_control=table["Metadata_Well"] == "A01",
            ),
        )  # fmt: skip
    from kit.images.store.work import open_work

    return Context(work=open_work(tmp_path / "work"), out=tmp_path / "report.html")


def add_run(context, monkeypatch) -> None:
    """A run whose network ignores AGP."""
    folder = context.work.path / "runs" / "fluo" / "checkpoints"
    folder.mkdir(parents=True)
    (folder / "step_00000001.safetensors").touch()
    backbone = blind_backbone(context.work)
    monkeypatch.setattr(opening, "open_run", lambda work, run: backbone)


def test_an_ignored_channel_has_no_bar_background_no_colour_and_patches_are_found_again(context, monkeypatch):
    add_run(context, monkeypatch)
    maps, found_again, channels = section(context).blocks
    own = pd.read_csv(context.files.folder / "channels_fluo.csv").set_index("channel")["change"]
    assert list(own.index) == list(CHANNELS)
    assert own["AGP"] == 0
    assert own.drop("AGP").min() > 0.01
    assert "AGP 0.00" in channels.alt
    assert maps.pictures[0].title == "control"
    assert len(maps.pictures) == looks.SITES
    colours = pd.read_csv(context.files.folder / "looks_fluo.csv")
    assert 0 < len(colours) < looks.SITES * 16
    assert colours[["red", "green", "blue"]].min().min() == 0
    assert all(picture.html.count("data:image/jpeg") == 2 for picture in maps.pictures)
    matches, cosines = (pd.read_csv(context.files.folder / f"matches_fluo{what}.csv") for what in ("", "_cosine"))
    assert matches["perturbation"].nunique() == looks.SITES - 1
    asked = cosines.iloc[cosines["cosine"].argmax()]
    assert (asked["perturbation"], asked["cosine"]) == ("control", 1)
    for _, row in matches[(matches["row"] == asked["row"]) & (matches["column"] == asked["column"])].iterrows():
        own = cosines[(cosines["plate"] == row["plate"]) & (cosines["well"] == row["well"])].set_index(["row", "column"])
        assert own.loc[(row["nearest_row"], row["nearest_column"]), "cosine"] == row["cosine"]
    assert all(picture.html.count("data:image/jpeg") == 3 for picture in found_again.pictures)


def test_the_score_without_a_channel_stands_beside_its_change(context):
    use = ChannelUse(
        channels=("A", "B"), similarity_C=np.array([0.75, 1.0]), accuracy=0.5, accuracy_C=np.array([0.25, 0.5]), chance=0.1,
        sites=48, plates=2, side=16,
    )  # fmt: skip
    block = looks._channels(context, "fluo", use, 32)
    assert block.table.to_dict("list") == {
        "channel": ["A", "B"], "change": [0.25, 0.0], "accuracy_without": [0.25, 0.5], "accuracy_with_all": [0.5] * 2,
        "chance": [0.1] * 2,
    }  # fmt: skip
    assert len(block.pictures) == 2
    assert "48 sites of 2 plates, the middle 16 of 32 px" in block.caption


def test_without_a_network_or_with_a_broken_one_it_is_said(context, monkeypatch):
    (missing,) = section(context).blocks
    assert "kit train" in missing.how
    add_run(context, monkeypatch)

    def broken(work, run):
        raise KitError("run fluo has no whole checkpoint")

    monkeypatch.setattr(opening, "open_run", broken)
    (missing,) = section(context).blocks
    assert "run fluo has no whole checkpoint" in missing.how


def test_patches_are_squares_and_background_is_near_black():
    colour = np.array([[[1, 0, 0.5], [np.nan] * 3], [[0, 0, 0], [1, 1, 1]]], dtype=np.float32)
    image = enlarged(colour, 20)
    half = 10
    assert image[half - 1, half - 1].tolist() == [255, 31, 143]
    assert image[0, -1].tolist() == [13, 13, 13]
    assert image[-1, -1].tolist() == [255, 255, 255]


def test_a_patch_has_the_colour_of_its_partners_place():
    found = Matches(
        cosine_NM=np.eye(4), nearest_N=np.array([3, 0, -1, 0]), mutual_N=np.array([True, False, False, True])
    )  # the first's top left is the second's bottom right, its bottom right is the second's top left
    colour_RR3 = matched_colours(found, 2)
    assert colour_RR3[1, 1].tolist() == [0.0, 0.45, 0.70]
    assert colour_RR3[0, 0].tolist() == [0.80, 0.47, 0.65]
    assert np.isnan(colour_RR3[0, 1]).all()
    assert np.isnan(colour_RR3[1, 0]).all()
