"""Each notebook from its first to its last cell, on tiny made plates, with no network, as Kaggle lays its folders out."""

import ast
import contextlib
import io
import json
import os
import re
import runpy
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import nbformat
import pandas as pd
import pytest
from nbclient import NotebookClient
from safetensors.numpy import load_file

from kit.challenge.check import check
from tests.commands import SHORT
from tests.images.made_work import make_work
from tests.profiles.test_embed import published
from tests.test_first import write_ids

FOLDER = Path(__file__).parents[2] / "notebooks"
NO_NETWORK = Path(__file__).parent / "no_network"
NOTEBOOKS = sorted(FOLDER.glob("*.ipynb"))
SMALL = "plates_per_line=2 wide_plates_per_line=0 compounds=3 dmso_wells=3 side=64"


def run_notebook(name: str, folder: Path, **variables: object) -> nbformat.NotebookNode:
    """Execute a notebook in `folder` without network, with its parameters given as environment variables; return it."""
    notebook = nbformat.read(FOLDER / name, as_version=4)
    given = {"PYTHONPATH": NO_NETWORK, "OMP_NUM_THREADS": "1", "KIT_QUIET": "1",
             "IPYTHONDIR": folder / ".ipython", "MPLCONFIGDIR": folder / ".matplotlib", **variables}  # fmt: skip
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("KAGGLE_", "KIT_", "MPLBACKEND"))}
    client = NotebookClient(notebook, timeout=240, kernel_name="python3", resources={"metadata": {"path": str(folder)}})
    return client.execute(env={**environment, **{key: str(value) for key, value in given.items()}})


def run_cells(name: str, folder: Path, monkeypatch, **variables: object) -> str:
    """Execute the cells of a notebook in this process, which has torch imported, without network; return what they printed."""
    for method in ("connect", "connect_ex", "sendto"):
        monkeypatch.setattr(socket.socket, method, getattr(socket.socket, method))  # put back afterwards
    monkeypatch.setattr(socket, "getaddrinfo", socket.getaddrinfo)
    runpy.run_path(str(NO_NETWORK / "sitecustomize.py"))
    for key, value in variables.items():
        monkeypatch.setenv(key, str(value))
    monkeypatch.chdir(folder)
    cells, said = nbformat.read(FOLDER / name, as_version=4).cells, io.StringIO()
    program = "\n".join(cell.source for cell in cells if cell.cell_type == "code")
    with contextlib.redirect_stdout(said):
        exec(compile(program, name, "exec"), {"__name__": "__main__"})
    return said.getvalue()


def text_of(notebook: nbformat.NotebookNode) -> str:
    """Return all that the cells printed."""
    return "".join(output.get("text", "") for cell in notebook.cells for output in cell.get("outputs", ()))


def listing(folder: Path) -> dict[str, tuple[int, int, int]]:
    """Return size, time and mode of everything below `folder`."""
    facts = {path: path.lstat() for path in sorted(folder.rglob("*"))}
    return {str(path.relative_to(folder)): (fact.st_size, fact.st_mtime_ns, fact.st_mode) for path, fact in facts.items()}


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.name)
def test_notebooks_define_nothing(path):
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    for cell in notebook.cells:
        if cell.cell_type == "code":
            defined = [node for node in ast.walk(ast.parse(cell.source))
                       if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Lambda))]  # fmt: skip
            assert not defined
            if path.name != "quickstart.ipynb":  # it is kept as it was executed, to be read without running it
                assert not cell.outputs
                assert cell.execution_count is None


def test_the_quickstart_is_kept_with_its_outputs():
    cells = [cell for cell in nbformat.read(FOLDER / "quickstart.ipynb", as_version=4).cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in cells] == list(range(1, len(cells) + 1))
    outputs = [output for cell in cells for output in cell.outputs]
    assert not [output for output in outputs if output.output_type == "error" or output.get("name") == "stderr"]
    assert sum("image/png" in output.get("data", {}) for output in outputs) == 4
    said = "".join(output.get("text", "") for output in outputs)
    assert "made plates, batch MADE_0" in said
    assert "A549->A549    mean" in said
    assert not re.search(r"(^|\s)/\w+/", said)  # no folder of the machine that ran it
    assert (FOLDER / "quickstart.ipynb").stat().st_size < 600_000


@pytest.mark.parametrize(
    ("address", "answer"), [("192.0.2.1", "no network"), ("example.org", "no network"), ("127.0.0.1", "reached")]
)
def test_the_block_refuses_all_but_this_machine(address, answer):
    listen = "import socket; server = socket.create_server(('127.0.0.1', 0)); port = server.getsockname()[1]"
    connect = f"socket.create_connection(({address!r}, port), timeout=5); print('reached')"
    done = subprocess.run([sys.executable, "-c", f"{listen}; {connect}"], capture_output=True, text=True, check=False,
                          env={**os.environ, "PYTHONPATH": str(NO_NETWORK)})  # fmt: skip
    assert answer in done.stdout + done.stderr


@pytest.fixture(scope="module")
def quickstart(tmp_path_factory):
    """Return the folder of the executed quickstart, and the notebook."""
    folder = tmp_path_factory.mktemp("quickstart")
    notebook = run_notebook("quickstart.ipynb", folder, QUICKSTART_OUT="out", QUICKSTART_PLATES=SMALL, QUICKSTART_JOBS=1,
                            QUICKSTART_TRAINING=" ".join(SHORT), QUICKSTART_SEED=5)  # fmt: skip
    return folder / "out", notebook


def test_quickstart(quickstart):
    out, notebook = quickstart
    pictures = [output for cell in notebook.cells for output in cell.get("outputs", ()) if "image/png" in output.get("data", {})]
    assert len(pictures) == 4  # the plates, stored sites, the loss, the scores
    said = text_of(notebook)
    assert "made plates, batch MADE_5" in said
    assert "U2OS->A549" in said
    assert check(out / "submission.csv", out / "plates" / "metadata_test.csv").rows == 4 * 3 * 2


def read_only(folder: Path) -> list[Path]:
    """Take the right to write to a folder and all below it."""
    everything = [folder, *folder.rglob("*")]
    for path in everything:
        path.chmod(path.stat().st_mode & ~0o222)
    return everything


@pytest.fixture(params=["store", "TIFFs"])
def kaggle(request, quickstart, tmp_path):
    """Return Kaggle's folders, the input read-only: a store in two parts, each kind in its folder; or TIFFs, all at the top."""
    out, packed = quickstart[0], request.param == "store"
    attached, working, temp = (tmp_path / name for name in ("input", "working", "temp"))
    working.mkdir()
    data = attached / "datasets" / "somebody" if packed else attached
    if packed:
        split_store(out / "work", data / "cpjump1-store", data / "cpjump1-store-2")
    else:
        shutil.copytree(out / "plates" / "images", data / "cpjump1-store")
        shutil.copytree(out / "plates" / "metadata", data / "cpjump1-metadata")
    for part in ("checkpoints", "run.toml"):
        copy = shutil.copytree if part == "checkpoints" else shutil.copyfile
        (data / "kit-runs" / "fluorescence").mkdir(parents=True, exist_ok=True)
        copy(out / "work" / "runs" / "fluorescence" / part, data / "kit-runs" / "fluorescence" / part)
    competition = (attached / "competitions" if packed else attached) / "cell-line-transferability-challenge-cvdd"
    competition.mkdir(parents=True)
    ids = competition / "metadata_test.csv"
    shutil.copyfile(out / "plates" / "metadata_test.csv", ids)
    everything = read_only(attached)
    yield attached, working, temp, ids
    for path in everything:
        path.chmod(path.stat().st_mode | 0o200)


def split_store(work: Path, *parts: Path) -> None:
    """Deal the plates of a store out to folders."""
    for number, path in enumerate(sorted((work / "plates").iterdir())):
        part = parts[number // 2 % len(parts)]  # NAME.parquet and NAME.zarr
        (part / "plates").mkdir(parents=True, exist_ok=True)
        shutil.copyfile(work / "store.toml", part / "store.toml")
        (shutil.copytree if path.is_dir() else shutil.copyfile)(path, part / "plates" / path.name)


def test_kaggle_infer(request, kaggle, quickstart, tmp_path, monkeypatch):
    attached, working, temp, ids = kaggle
    before = listing(attached)
    given = {"KAGGLE_INPUT": attached, "KAGGLE_WORKING": working, "KAGGLE_TEMP": temp,
             "KIT_STEPS": '{"merge": "mean", "normalize": "centre"}'}  # fmt: skip
    if request.node.callspec.params["kaggle"] == "TIFFs":
        said = text_of(run_notebook("kaggle_infer.ipynb", tmp_path, **given))
    else:  # one kernel is enough: the cells are the same
        said = run_cells("kaggle_infer.ipynb", tmp_path, monkeypatch, **given)
    assert listing(attached) == before
    assert sorted(path.name for path in working.iterdir()) == ["submission.csv", "submission.manifest.json"]
    checked = check(working / "submission.csv", ids)
    assert (checked.rows, checked.columns) == (4 * 3 * 2, 2 * 96)
    assert checked.text() in said
    # The same sites, weights and steps as in the quickstart: the same features.
    found, known = (pd.read_csv(folder / "submission.csv", index_col="ID") for folder in (working, quickstart[0]))
    pd.testing.assert_frame_equal(found, known, rtol=1e-4, atol=1e-4)


def lay_out(folder: Path) -> tuple[Path, Path, Path]:
    """Lay out a small store, IDs and a file of published weights as Kaggle does; return input and working folder, and the IDs."""
    attached, working = folder / "input", folder / "working"
    data = attached / "datasets" / "somebody"
    working.mkdir()
    work = make_work(data / "cpjump1-store", wells=3, sites=1, side=64)
    (attached / "competitions").mkdir()
    ids = write_ids(attached / "competitions" / "metadata_test.csv", work.plates, ["A01", "A02"])
    (data / "kit-weights").mkdir()
    published(data / "kit-weights" / "small.pth", patch=32)
    return attached, working, ids


def test_kaggle_infer_with_published_weights(tmp_path, monkeypatch):
    attached, working, ids = lay_out(tmp_path)
    given = {"KAGGLE_INPUT": attached, "KAGGLE_WORKING": working, "KAGGLE_TEMP": tmp_path / "temp", "KIT_IDS": ids.name,
             "KIT_RUNS": "", "KIT_WEIGHTS": "kit-weights/small.pth", "KIT_STEPS": '{"merge": "mean"}'}  # fmt: skip
    said = run_cells("kaggle_infer.ipynb", tmp_path, monkeypatch, **given)
    assert "small-fluorescence: 6 sites" in said
    checked = check(working / "submission.csv", ids)
    assert (checked.rows, checked.columns) == (2 * 2, 2 * 24)  # class token and mean patch; the store has one group of channels


TRAINING = {
    "KIT_RECIPE": "demo",
    "KIT_SETTINGS": " ".join([*SHORT, "train.max_steps=3", "train.batch=4", "model.depth=1"]),
    "KIT_NETWORKS": '{"net": "AGP,RNA"}',
}


def train_session(work: Path, session: Path, monkeypatch, previous: Path | None, **given: object) -> tuple[Path, str]:
    """Run kaggle_train over a store and the output of the session before, all read-only; return its output and what it said."""
    attached, working = session / "input", session / "working"
    working.mkdir(parents=True)
    split_store(work, attached / "datasets" / "somebody" / "cpjump1-store")
    if previous:
        shutil.copytree(previous, attached / "notebooks" / "somebody" / "kit-train")
    everything = read_only(attached)
    before = listing(attached)
    folders = {"KAGGLE_INPUT": attached, "KAGGLE_WORKING": working, "KAGGLE_TEMP": session / "temp"}
    said = run_cells("kaggle_train.ipynb", session, monkeypatch, **folders, **TRAINING, **given)
    assert listing(attached) == before
    for path in everything:
        path.chmod(path.stat().st_mode | 0o200)
    return working, said


def bits(output: Path) -> dict[str, dict]:
    """Return every tensor of the last checkpoint of each run, by run and name."""
    last = {run.name: max((run / "checkpoints").glob("*.safetensors")) for run in sorted((output / "runs").iterdir())}
    return {name: {key: value.tobytes() for key, value in load_file(path).items()} for name, path in last.items()}


def test_three_short_sessions_of_kaggle_train_are_the_run_of_one(tmp_path, monkeypatch):
    work = tmp_path / "work"
    make_work(work, wells=6, sites=2, side=64)
    whole, said = train_session(work, tmp_path / "whole", monkeypatch, None)
    assert "no earlier session is attached" in said
    assert said.endswith("all networks are finished\n")
    output, hours = None, "1e-9"  # over after a step
    for session in ("first", "second", "third"):
        output, said = train_session(work, tmp_path / session, monkeypatch, output, KIT_MAX_HOURS=hours)
        if session != "third":
            assert "--max-hours 1e-09: stopped cleanly after step" in said
            assert said.endswith("not finished\n")
            hours = "1e-9" if session == "first" else "1"
    assert "net: step 2, from" in said
    assert said.endswith("all networks are finished\n")
    assert bits(output) == bits(whole)
    assert len(bits(whole)["net"]) > 100


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*kernel-metadata.json")), ids=lambda path: path.name)
def test_kernel_metadata_attaches_what_the_notebook_reads(path):
    said = json.loads(path.read_text())
    assert said["enable_internet"] is False
    cells = nbformat.read(FOLDER / said["code_file"], as_version=4).cells
    parameters = next(cell.source for cell in cells if cell.cell_type == "code")
    for name in [source.removeprefix("OWNER/") for source in said["dataset_sources"]] + said["competition_sources"]:
        assert f'"{name}' in parameters
    assert said["id"] == f"OWNER/{said['title'].replace(' ', '-')}"  # Kaggle makes the one from the other
