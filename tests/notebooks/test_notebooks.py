"""Each notebook from its first to its last cell, on tiny made plates, with no network, as Kaggle lays its folders out."""

import ast
import contextlib
import io
import json
import os
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

from kit.challenge.check import check
from tests.commands import SHORT

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
def test_notebooks_define_nothing_and_are_kept_without_outputs(path):
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    for cell in notebook.cells:
        if cell.cell_type == "code":
            defined = [node for node in ast.walk(ast.parse(cell.source))
                       if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Lambda))]  # fmt: skip
            assert not defined
            assert not cell.outputs
            assert cell.execution_count is None


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


@pytest.fixture(params=["store", "TIFFs"])
def kaggle(request, quickstart, tmp_path):
    """Return folders laid out as Kaggle's, the input read-only: plates as a store or as TIFFs, the trained run, the IDs."""
    out = quickstart[0]
    attached, working, temp = (tmp_path / name for name in ("input", "working", "temp"))
    working.mkdir()
    plates = attached / "cpjump1-store"
    if request.param == "store":
        shutil.copytree(out / "work" / "plates", plates / "plates")
        shutil.copyfile(out / "work" / "store.toml", plates / "store.toml")
    else:
        shutil.copytree(out / "plates" / "images", plates)
        shutil.copytree(out / "plates" / "metadata", attached / "cpjump1-metadata")
    for part in ("checkpoints", "run.toml"):
        copy = shutil.copytree if part == "checkpoints" else shutil.copyfile
        (attached / "kit-runs" / "fluorescence").mkdir(parents=True, exist_ok=True)
        copy(out / "work" / "runs" / "fluorescence" / part, attached / "kit-runs" / "fluorescence" / part)
    ids = attached / "cell-line-transferability-challenge-cvdd" / "metadata_test.csv"
    ids.parent.mkdir()
    shutil.copyfile(out / "plates" / "metadata_test.csv", ids)
    everything = [attached, *attached.rglob("*")]
    for path in everything:
        path.chmod(path.stat().st_mode & ~0o222)
    yield attached, working, temp, ids
    for path in everything:
        path.chmod(path.stat().st_mode | 0o200)


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


def test_kernel_metadata_attaches_what_the_notebook_reads():
    said = json.loads((FOLDER / "kernel-metadata.json").read_text())
    assert said["enable_internet"] is False
    cells = nbformat.read(FOLDER / said["code_file"], as_version=4).cells
    parameters = next(cell.source for cell in cells if cell.cell_type == "code")
    for name in [source.removeprefix("OWNER/") for source in said["dataset_sources"]] + said["competition_sources"]:
        assert f'"{name}' in parameters
