"""What the network looks at, on the page: an ignored channel has no bar, background no colour; what lacks is said."""

import numpy as np
import pandas as pd
import pytest

from kit.errors import KitError
from kit.profiles import opening
from kit.profiles.looks import ChannelUse
from kit.report import looks
from kit.report.context import Context
from kit.report.looks import section
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


def test_an_ignored_channel_has_no_bar_and_background_no_colour(context, monkeypatch):
    add_run(context, monkeypatch)
    maps, channels = section(context).blocks
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
    image = looks._enlarged(colour)
    half = looks._SIDE // 2
    assert image[half - 1, half - 1].tolist() == [255, 31, 143]
    assert image[0, -1].tolist() == [13, 13, 13]
    assert image[-1, -1].tolist() == [255, 255, 255]
