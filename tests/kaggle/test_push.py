"""What becomes of a folder at Kaggle: layout, parts, metadata, new or next version; the kaggle command is played here."""

import json
import os
import re
import shutil
import zipfile
from pathlib import Path

import pytest

import kit
from kit.errors import KitError, UsageError
from kit.kaggle import dataset, metadata, notebook
from kit.kaggle.answers import INTERRUPTED, REFUSED, Failure
from kit.kaggle.command import Refused
from kit.kaggle.metadata import address_of, check_dataset, check_notebook, full_id
from kit.kaggle.notebook import pull_runs, push_notebook
from kit.kaggle.push import push_dataset
from kit.kaggle.split import assign_plates
from kit.kaggle.stage import Piece, digest_of, lay_out, pieces_of
from tests.commands import kit_command
from tests.images.made_work import make_work


class Kaggle:
    """Plays the kaggle command: keeps what is pushed, unpacked as Kaggle does."""

    def __init__(self, mount: Path):
        self.mount, self.calls, self.fails, self.output = mount, [], [], {}
        self.status, self.said = "KernelWorkerStatus.COMPLETE", ""

    def run(self, words, **_):
        self.calls.append(" ".join(words[:2]))
        if self.fails and words[1] in ("create", "version", "push"):
            raise Refused(self.fails.pop(0))
        return getattr(self, f"{words[0]}_{words[1]}")(words)

    def config_view(self, words):
        return "Configuration values from /home\n- username: someone\n- auth_method: LEGACY_API_KEY"

    def datasets_status(self, words):
        if not (self.mount / words[2].partition("/")[2]).is_dir():
            raise Refused(Failure(kind=REFUSED, message="Not found"))
        return "ready"

    def datasets_create(self, words):
        folder = Path(words[3])
        ref = json.loads((folder / "dataset-metadata.json").read_text())["id"]
        target = self.mount / ref.partition("/")[2]
        shutil.rmtree(target, ignore_errors=True)
        target.mkdir(parents=True)
        for path in folder.iterdir():
            if path.suffix == ".zip":
                zipfile.ZipFile(path).extractall(target / path.stem)
            elif path.name != "dataset-metadata.json":
                shutil.copyfile(path, target / path.name)
        return f"Your private Dataset is being created. Please check progress at https://www.kaggle.com/datasets/{ref}"

    datasets_version = datasets_create

    def kernels_push(self, words):
        self.pushed = json.loads((Path(words[3]) / "kernel-metadata.json").read_text())
        return f"{self.said}Kernel version 1 successfully pushed.  Please check progress at https://www.kaggle.com/code/x"

    def kernels_status(self, words):
        return f'{words[2]} has status "{self.status}"'

    def kernels_output(self, words):
        for name, text in self.output.items():
            (Path(words[4]) / name).parent.mkdir(parents=True, exist_ok=True)
            (Path(words[4]) / name).write_text(text)
        return "Output file downloaded"


@pytest.fixture
def kaggle(tmp_path, monkeypatch):
    played = Kaggle(tmp_path / "input")
    for module in (dataset, metadata, notebook):
        monkeypatch.setattr(module, "run", played.run)
    return played


@pytest.fixture
def work(tmp_path):
    return make_work(tmp_path / "work", plates=("P1", "P2", "P3"), wells=2, sites=1, lines=("U2OS",) * 3)


def plate_gb(work) -> float:
    files = [*(work.path / "plates/P1.zarr").rglob("*"), work.path / "plates/P1.parquet"]
    return sum(path.stat().st_size for path in files if path.is_file()) / 1e9


def test_a_large_store_is_pushed_in_parts_that_open_as_one(kaggle, work, tmp_path):
    said = []
    urls = push_dataset("store", work.path, part_gb=2.5 * plate_gb(work), say=said.append)
    assert urls == [f"https://www.kaggle.com/datasets/someone/{name}" for name in ("cpjump1-store", "cpjump1-store-2")]
    assert said[0].startswith("someone/cpjump1-store: 2 of 3 plates, P1 to P2, ")
    assert kaggle.calls == ["config view", *["datasets status", "datasets create"] * 2]
    back = kit.open(kaggle.mount)
    assert back.plates == ["P1", "P2", "P3"]
    assert back.sites.equals(work.sites)
    assert (back.read_site("P3", "A02", 1) == work.read_site("P3", "A02", 1)).all()
    assert not list((tmp_path / "work.kaggle").rglob("*.zip"))  # what was uploaded takes no room


def test_what_has_not_changed_is_not_pushed_again_and_a_new_plate_moves_no_other(kaggle, work):
    options = {"part_gb": 2.5 * plate_gb(work)}
    push_dataset("store", work.path, **options)
    kaggle.calls.clear()
    said = []
    push_dataset("store", work.path, say=said.append, **options)
    assert kaggle.calls == ["config view", *["datasets status"] * 2]
    assert all("unchanged since" in line for line in said)
    make_work(work.path, plates=("P0",), wells=2, sites=1, lines=("U2OS",))  # the first by name
    kaggle.calls.clear()
    push_dataset("store", work.path, **options)
    assert kaggle.calls == ["config view", *["datasets status"] * 2, "datasets version"]
    assert kit.open(kaggle.mount).plates == ["P0", "P1", "P2", "P3"]
    assert kit.open(kaggle.mount / "cpjump1-store-2").plates == ["P0", "P3"]


def test_a_push_that_broke_off_goes_on_where_it_was(kaggle, work, tmp_path):
    kaggle.fails = [Failure(kind=REFUSED, message="no quota left")]
    with pytest.raises(KitError, match="no quota left"):
        push_dataset("store", work.path, part_gb=2.5 * plate_gb(work))
    (archive,) = (tmp_path / "work.kaggle").rglob("plates.zip")
    before = archive.stat()
    kaggle.fails = [Failure(kind=REFUSED, message="no quota left")]
    with pytest.raises(KitError, match="no quota left"):
        push_dataset("store", work.path, part_gb=2.5 * plate_gb(work))
    assert archive.stat().st_mtime_ns == before.st_mtime_ns  # kaggle goes on with a file that is as it was
    kaggle.fails = [Failure(kind=INTERRUPTED, message="Upload unsuccessful: plates.zip", began=True)]
    push_dataset("store", work.path, part_gb=2.5 * plate_gb(work), pauses=(0.0,))  # tried again by itself
    assert kit.open(kaggle.mount).plates == ["P1", "P2", "P3"]


def test_plates_are_dealt_to_parts_for_good():
    sizes = {"A": 4, "B": 4, "C": 3, "D": 9}
    assert assign_plates(sizes, 10, {}) == {"A": 1, "B": 1, "C": 2, "D": 3}
    assert assign_plates({**sizes, "AA": 1}, 10, {"A": 1, "B": 1, "C": 2, "D": 3})["AA"] == 3
    assert assign_plates({**sizes, "AA": 2}, 10, {"A": 1, "B": 1, "C": 2, "D": 3})["AA"] == 4
    with pytest.raises(KitError, match="plate D takes 9 MB and a part holds 8 MB: raise --part-gb"):
        assign_plates({"D": 9_000_000}, 8_000_000, {})
    with pytest.raises(KitError, match="part 1 has grown to 12 MB"):
        assign_plates({"A": 6_000_000, "B": 6_000_000}, 8_000_000, {"A": 1, "B": 1})


def run_folder(path, text="a = 1\n"):
    (path / "checkpoints").mkdir(parents=True)
    (path / "run.toml").write_text(text)
    (path / "checkpoints" / "last.pt").write_bytes(b"weights")
    (path / ".lock").touch()
    return path


@pytest.mark.parametrize("which", ["work", "work/runs", "work/runs/fluo"])
def test_runs_keep_their_folders(kaggle, work, tmp_path, which):
    run_folder(work.path / "runs" / "fluo")
    (work.path / "runs" / "empty").mkdir()
    push_dataset("runs", tmp_path / which)
    found = sorted(str(path.relative_to(kaggle.mount)) for path in kaggle.mount.rglob("*") if path.is_file())
    assert found == ["kit-runs/fluo/checkpoints/last.pt", "kit-runs/fluo/run.toml"]


def test_wheels_keep_what_their_metadata_say(kaggle, tmp_path):
    folder = tmp_path / "wheels"
    folder.mkdir()
    (folder / "a-1-py3-none-any.whl").write_bytes(b"wheel")
    told = {"title": "wheels of mine", "id": "OWNER/my-wheels", "licenses": [{"name": "CC0-1.0"}]}
    (folder / "dataset-metadata.json").write_text(json.dumps(told))
    assert push_dataset("wheels", folder) == ["https://www.kaggle.com/datasets/someone/my-wheels"]
    assert [path.name for path in (kaggle.mount / "my-wheels").iterdir()] == ["a-1-py3-none-any.whl"]
    (folder / "dataset-metadata.json").write_text("[")
    with pytest.raises(KitError, match="is not readable as JSON"):
        push_dataset("wheels", folder)


def test_what_a_folder_does_not_hold_is_not_pushed(kaggle, work, tmp_path):
    (tmp_path / "empty").mkdir()
    for kind, said in {
        "weights": r"no \.pt or \.pth",
        "wheels": r"no \.whl",
        "runs": r"no run\.toml",
        "store": "holds no store",
    }.items():
        with pytest.raises(UsageError, match=said):
            push_dataset(kind, tmp_path / "empty")
    (tmp_path / "w.pt").write_bytes(b"0" * 2000)
    with pytest.raises(KitError, match=r"takes 0\.002 MB and a data set holds 0\.001 MB"):
        push_dataset("weights", tmp_path / "w.pt", part_gb=1e-6)
    with pytest.raises(UsageError, match="has 4 characters: need 6 to 50; title 'abc' has 3"):
        push_dataset("weights", tmp_path / "w.pt", name="some", title="abc")
    assert "datasets create" not in kaggle.calls


def test_an_archive_of_the_same_files_is_the_same(tmp_path):
    for name in ("a", "b"):
        run_folder(tmp_path / name / "fluo")
    os.utime(tmp_path / "b/fluo/run.toml", (1, 1))
    one, other = (pieces_of(tmp_path / name) for name in ("a", "b"))
    assert digest_of(one) == digest_of(other)
    made = [lay_out(pieces, tmp_path / f"stage-{n}", "d") / "fluo.zip" for n, pieces in enumerate((one, other))]
    assert made[0].read_bytes() == made[1].read_bytes()
    (tmp_path / "b/fluo/run.toml").write_text("a = 2\n")
    assert digest_of(one) != digest_of(other)
    pixels = {"P1.zarr/c/0": tmp_path / "b/fluo/run.toml"}
    before = digest_of([Piece(name="plates.zip", files=pixels, archive=True)])
    (tmp_path / "b/fluo/run.toml").write_text("a = 3\n")  # of the same size: its checksum is in the table of the plate
    assert digest_of([Piece(name="plates.zip", files=pixels, archive=True)]) == before
    (tmp_path / "a" / "fluo.zip").touch()
    with pytest.raises(KitError, match=r"holds fluo\.zip and a folder fluo"):
        pieces_of(tmp_path / "a")


def test_metadata_that_kaggle_would_refuse(tmp_path):
    good = {"id": "someone/abcdef", "title": "abcdef", "licenses": [{"name": "other"}]}
    check_dataset(good)
    for key, (value, said) in {
        "id": ("abcdef", "need OWNER/NAME"),
        "title": ("a" * 51, "has 51 characters: need 6 to 50"),
        "subtitle": ("short", "has 5 characters: need 20 to 80"),
        "licenses": ([], "need exactly one"),
    }.items():
        with pytest.raises(UsageError, match=re.escape(said)):
            check_dataset({**good, key: value})
    assert address_of("Kit: infer  on T4!") == "kit-infer-on-t4"
    (tmp_path / "n.ipynb").touch()
    fine = {
        "id": "someone/kit-infer",
        "title": "kit infer",
        "code_file": "n.ipynb",
        "language": "python",
        "kernel_type": "notebook",
    }
    check_notebook(fine, tmp_path)
    with pytest.raises(UsageError, match="makes the address kit-train, and the id says kit-infer"):
        check_notebook({**fine, "title": "kit train"}, tmp_path)
    with pytest.raises(UsageError, match="code_file None: no such file"):
        check_notebook({**fine, "code_file": None}, tmp_path)


def test_names_at_kaggle(kaggle):
    assert full_id("abc-def") == full_id("OWNER/abc-def") == "someone/abc-def"
    assert full_id("other/abc") == "other/abc"
    for wrong in ("a/b/c", "/abc", "a b", "abc/", "../x", "https://kaggle.com/x"):
        with pytest.raises(UsageError, match="need NAME or OWNER/NAME"):
            full_id(wrong)


def test_a_notebook_takes_its_metadata_along(kaggle, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "notebooks"
    folder.mkdir()
    for name in ("kaggle_infer", "my_own"):
        (folder / f"{name}.ipynb").write_text(json.dumps({"cells": []}))
    table = {
        "id": "OWNER/kit-infer",
        "title": "kit infer",
        "code_file": "kaggle_infer.ipynb",
        "language": "python",
        "kernel_type": "notebook",
        "enable_internet": False,
        "dataset_sources": ["OWNER/cpjump1-store", "other/weights"],
    }
    (folder / "kernel-metadata.json").write_text(json.dumps(table))
    said = push_notebook("kaggle_infer")
    assert kaggle.pushed["id"] == "someone/kit-infer"
    assert kaggle.pushed["dataset_sources"] == ["someone/cpjump1-store", "other/weights"]
    assert said[-1] == "attached: someone/cpjump1-store, other/weights"
    push_notebook("my_own", ref="my-second", datasets=["cpjump1-store", "cpjump1-store-2"])
    assert (kaggle.pushed["id"], kaggle.pushed["title"], kaggle.pushed["is_private"]) == ("someone/my-second", "my second", True)
    assert kaggle.pushed["dataset_sources"] == ["someone/cpjump1-store", "someone/cpjump1-store-2"]
    kaggle.said = "The following are not valid dataset sources and could not be added to the kernel: ['someone/cpjump1-store']\n"
    with pytest.raises(KitError, match=r"was pushed without its dataset sources \['someone/cpjump1-store'\]"):
        push_notebook("kaggle_infer")
    with pytest.raises(UsageError, match=r"none\.ipynb does not exist"):
        push_notebook("none")


def test_the_record_of_an_upload_is_no_run(kaggle, tmp_path):
    kaggle.output = {"submissions/today_fluo/run.toml": '[submission]\nfile = "a.csv"\n'}
    with pytest.raises(KitError, match=r"holds no run: no run\.toml of one among 1 file"):
        pull_runs("kit-train", tmp_path)
    kaggle.output["work/runs/fluo/run.toml"] = "a = 1\n"
    assert pull_runs("kit-train", tmp_path)[1:] == [f"{tmp_path / 'runs/fluo'}: new"]


def test_runs_of_a_notebook_come_back(kaggle, tmp_path):
    kaggle.output = {"work/runs/fluo/run.toml": "a = 1\n", "work/runs/fluo/checkpoints/last.pt": "w", "submission.csv": "ID"}
    assert pull_runs("kit-train", tmp_path) == ["someone/kit-train: complete", f"{tmp_path / 'runs/fluo'}: new"]
    assert (tmp_path / "runs/fluo/checkpoints/last.pt").read_text() == "w"
    assert pull_runs("kit-train", tmp_path)[-1].endswith("the same as here")
    kaggle.output["work/runs/fluo/checkpoints/last.pt"] = "further"
    with pytest.raises(KitError, match="has another fluo already: --replace"):
        pull_runs("kit-train", tmp_path)
    assert pull_runs("kit-train", tmp_path, replace=True)[-1].endswith("replaced")
    assert (tmp_path / "runs/fluo/checkpoints/last.pt").read_text() == "further"
    assert [path.name for path in (tmp_path / "runs").iterdir()] == ["fluo"]
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".pull")] == []
    before = sorted(path.name for path in tmp_path.iterdir())
    kaggle.status = "KernelWorkerStatus.RUNNING"
    with pytest.raises(KitError, match="is running: its output can be fetched when it has ended"):
        pull_runs("kit-train", tmp_path)
    kaggle.status, kaggle.output = "complete", {"run.toml": "a = 1\n"}  # the output is a run itself
    assert pull_runs("kit-own", tmp_path)[-1] == f"{tmp_path / 'runs/kit-own'}: new"
    assert sorted(path.name for path in tmp_path.iterdir()) == before
    kaggle.status, kaggle.output = "error", {"x.log": ""}
    with pytest.raises(KitError, match=r"\(error\) holds no run: no run\.toml of one among 1 file"):
        pull_runs("kit-train", tmp_path)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["push"], "give either --dataset KIND PATH or --notebook NAME"),
        (["push", "--dataset", "store"], "give either"),
        (["push", "x"], "give either"),
        (["push", "--dataset", "runs", "x", "--attach", "a"], "--attach is for --notebook"),
        (["push", "--notebook", "n", "--public"], "are for --dataset"),
        (["push", "--notebook", "n", "--part-gb", "3"], "are for --dataset"),
        (["push", "--dataset", "store", "x", "--part-gb", "0"], "0 is not a number above 0"),
        (["push", "--dataset", "pixels", "x"], "'pixels' is not one of"),
        (["pull", "n"], "Missing option '--work'"),
    ],
)
def test_the_command_line_is_checked_first(words, said):
    assert said in kit_command("kaggle", *words, code=2).stderr
