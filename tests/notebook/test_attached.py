"""Attached things are found by name, wherever Kaggle mounts them."""

import pytest

from kit.errors import UsageError
from kit.notebook.attached import attached, attached_parts


@pytest.mark.parametrize("place", ["kit-runs", "datasets/me/kit-runs", "notebooks/me/kit-runs", "competitions/kit-runs"])
def test_at_the_top_or_in_a_folder_of_its_kind(tmp_path, place):
    (tmp_path / place).mkdir(parents=True)
    (tmp_path / place / "weights.pth").touch()
    assert attached(tmp_path, "kit-runs") == tmp_path / place
    assert attached(tmp_path, "kit-runs/weights.pth") == tmp_path / place / "weights.pth"
    assert attached_parts(tmp_path, "kit-runs") == [tmp_path / place]


def test_parts_in_the_order_of_their_numbers(tmp_path):
    for name in ("datasets/me/store-10", "datasets/me/store-2", "datasets/me/store", "store-1", "store-old", "store-2b"):
        (tmp_path / name).mkdir(parents=True)
    found = [str(path.relative_to(tmp_path)) for path in attached_parts(tmp_path, "store")]
    assert found == ["datasets/me/store", "store-1", "datasets/me/store-2", "datasets/me/store-10"]


def test_what_is_not_there_is_named_with_what_is(tmp_path):
    with pytest.raises(UsageError, match=r"^kit-runs is not attached below .*, nothing is$"):
        attached(tmp_path, "kit-runs")
    (tmp_path / "datasets" / "me" / "kit-run").mkdir(parents=True)
    (tmp_path / "datasets" / "me" / "kit-run" / "fluo").mkdir()
    with pytest.raises(UsageError, match=r"did you mean kit-run\?; there: kit-run$"):
        attached_parts(tmp_path, "kit-runs")
    with pytest.raises(UsageError, match=r"holds no flou; did you mean fluo\?; it holds: fluo$"):
        attached(tmp_path, "kit-run/flou")
    (tmp_path / "kit-run").mkdir()
    with pytest.raises(UsageError, match=r"two things of the name kit-run are attached"):
        attached(tmp_path, "kit-run")
