"""A work folder over read-only plates and runs: links, copies, and what cannot be put together."""

import pytest

from kit.config import StoreConfig
from kit.errors import KitError, UsageError
from kit.images.store.settings import write_settings
from kit.notebook.folders import copy_runs, link_runs, open_plates


def made_part(folder, *plates: str, bits: int = 8):
    """Write what of a packed store is looked at before a plate is opened."""
    (folder / "plates").mkdir(parents=True)
    write_settings(folder, StoreConfig(bits=bits))
    for plate in plates:
        (folder / "plates" / f"{plate}.zarr").mkdir()
        (folder / "plates" / f"{plate}.parquet").touch()
    return folder


def made_run(folder, *steps: int):
    (folder / "checkpoints").mkdir(parents=True)
    (folder / "run.toml").write_text(f"# {folder.parent.name}\n")
    for step in steps:
        (folder / "checkpoints" / f"step_{step:08d}.json").write_text(str(step))
        (folder / "checkpoints" / f"step_{step:08d}.safetensors").touch()
    return folder


def test_the_parts_of_a_store_are_one_store(tmp_path):
    parts = [made_part(tmp_path / "a", "BR1", "BR2"), made_part(tmp_path / "b", "BR3")]
    for _ in range(2):  # a cell may be run again
        assert open_plates(parts, tmp_path / "work").plates == ["BR1", "BR2", "BR3"]
    assert (tmp_path / "work" / "plates" / "BR3.zarr").readlink() == tmp_path / "b" / "plates" / "BR3.zarr"


def test_parts_that_do_not_belong_together_are_refused(tmp_path):
    one = made_part(tmp_path / "a", "BR1")
    with pytest.raises(KitError, match=r"work holds a store of its own, other than .*b:"):
        open_plates([one, made_part(tmp_path / "b", "BR2", bits=16)], tmp_path / "work")
    (tmp_path / "tiffs").mkdir()
    with pytest.raises(UsageError, match=r"tiffs holds no store\.toml: only a packed store may lie in several folders"):
        open_plates([one, tmp_path / "tiffs"], tmp_path / "work")


def test_runs_are_linked_from_a_folder_of_runs_or_the_output_of_training(tmp_path):
    made_run(tmp_path / "set" / "fluo", 4)
    made_run(tmp_path / "output" / "runs" / "bright", 4)
    work = tmp_path / "work"
    for folder, name in [("set", "fluo"), ("output", "bright")]:
        assert link_runs(tmp_path / folder, work) == [name]
        assert (work / "runs" / name / "checkpoints" / "step_00000004.json").is_file()
    assert not (work / "runs" / "fluo").is_symlink()  # features are written beside the checkpoints
    with pytest.raises(UsageError, match=r"holds no run: need RUN/run\.toml"):
        link_runs(tmp_path / "nothing", work)


def test_the_session_that_got_furthest_is_continued(tmp_path):
    made_run(tmp_path / "v1" / "runs" / "fluo", 1)
    furthest = made_run(tmp_path / "v2" / "runs" / "fluo", 1, 2)
    made_run(tmp_path / "v1" / "runs" / "bright")
    for path in [furthest, *furthest.rglob("*")]:
        path.chmod(path.stat().st_mode & ~0o222)
    work = tmp_path / "work"
    said = copy_runs([tmp_path / "v1", tmp_path / "v2"], work)
    assert said == [f"fluo: step 2, from {furthest}"]  # bright has no checkpoint: nothing to go on from
    copied = work / "runs" / "fluo"
    assert sorted(path.name for path in (copied / "checkpoints").glob("*.json")) == ["step_00000001.json", "step_00000002.json"]
    assert copied.stat().st_mode & 0o200
    assert (copied / "checkpoints" / "step_00000002.json").stat().st_mode & 0o200
    (copied / "checkpoints" / "step_00000003.json").touch()  # this session trained on
    assert copy_runs([tmp_path / "v2"], work) == []
    assert (copied / "checkpoints" / "step_00000003.json").is_file()
