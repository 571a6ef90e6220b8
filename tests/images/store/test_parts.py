"""A store in parts opens as the whole does, from wherever Kaggle mounts data sets; parts that do not belong together do not."""

import pickle
import shutil

import numpy as np
import pytest

import kit
from kit.errors import KitError, UsageError
from kit.images.store.parts import find_parts, link_store
from tests.images.made_work import make_work


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    return make_work(tmp_path_factory.mktemp("whole"), plates=("P1", "P2", "P3"), wells=2, sites=1, lines=("U2OS",) * 3)


@pytest.fixture
def attached(whole, tmp_path):
    """The same store as two data sets below an input folder, at the two depths of Kaggle, beside another data set."""
    for name, plates in {"input/store": ("P1", "P3"), "input/datasets/someone/store-2": ("P2",)}.items():
        (tmp_path / name / "plates").mkdir(parents=True)
        shutil.copyfile(whole.path / "store.toml", tmp_path / name / "store.toml")
        for plate in plates:
            shutil.copytree(whole.path / "plates" / f"{plate}.zarr", tmp_path / name / "plates" / f"{plate}.zarr")
            shutil.copyfile(whole.path / "plates" / f"{plate}.parquet", tmp_path / name / "plates" / f"{plate}.parquet")
    (tmp_path / "input/kit-runs/fluo").mkdir(parents=True)
    return tmp_path / "input"


def assert_same(work, whole):
    assert work.plates == whole.plates
    assert work.sites.equals(whole.sites)
    for plate in whole.plates:
        assert np.array_equal(work.read_site(plate, "A02", 1), whole.read_site(plate, "A02", 1))
    assert np.array_equal(work.channel_stats(["Mito", "RNA"]), whole.channel_stats(["Mito", "RNA"]))


def test_parts_open_as_one_store(attached, whole):
    work = kit.open(attached)
    assert_same(work, whole)
    assert_same(pickle.loads(pickle.dumps(work)), whole)  # as a loader's processes get it
    assert work.only(["P2"]).plates == ["P2"]
    assert len(work.only(["P2"]).sites) == 2
    assert [folder.parent.name for folder in work.plate_folders] == ["store-2", "store"]


def test_links_make_a_work_folder_of_parts_and_of_a_whole(attached, whole, tmp_path):
    assert link_store(attached, tmp_path / "work") == ["P1", "P2", "P3"]
    assert link_store(attached, tmp_path / "work") == ["P1", "P2", "P3"]  # again
    assert_same(kit.open(tmp_path / "work"), whole)
    assert find_parts(tmp_path / "work") == [tmp_path / "work"]
    assert link_store(whole.path, tmp_path / "other") == whole.plates
    assert_same(kit.open(tmp_path / "other"), whole)
    (tmp_path / "work" / "store.toml").write_text("schema = 2\n")
    with pytest.raises(KitError, match="holds a store of its own"):
        link_store(attached, tmp_path / "work")


def test_parts_of_two_stores_are_refused(attached):
    with (attached / "store" / "store.toml").open("a") as file:
        file.write("# another\n")
    with pytest.raises(KitError, match="are of two stores"):
        kit.open(attached)


def test_a_plate_in_two_parts_is_refused(attached):
    shutil.copyfile(attached / "store/plates/P1.parquet", attached / "datasets/someone/store-2/plates/P1.parquet")
    with pytest.raises(KitError, match="plate P1 is in two parts"):
        kit.open(attached)


def test_without_parts_the_message_is_as_before(tmp_path):
    with pytest.raises(UsageError, match="holds no store"):
        kit.open(tmp_path)
    with pytest.raises(UsageError, match=r"holds no store: no store\.toml in it or up to 4 folders below"):
        link_store(tmp_path, tmp_path / "work")
