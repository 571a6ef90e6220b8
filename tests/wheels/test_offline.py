"""The folders of kit wheels, made for real: one for Kaggle's image, and one that an environment with torch alone lives on."""

import importlib.metadata
import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

from kit.wheels.image import KAGGLE, Image, canonical, read_image
from kit.wheels.resolving import Machine
from tests.commands import kit_child
from tests.notebooks.test_notebooks import FOLDER, NO_NETWORK, lay_out
from tests.wheels.made import made_wheel

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]
CELLS = """
import json, sys
cells = json.load(open(sys.argv[1]))["cells"]
program = "\\n".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == "code")
exec(compile(program, sys.argv[1], "exec"), {"__name__": "__main__"})
"""


def wheels(out: Path, *words: object) -> str:
    """Run kit wheels; skip the test where pip reaches no index."""
    try:
        return kit_child("wheels", out, *words).stdout
    except AssertionError as error:
        if re.search(
            r"No matching distribution found for setuptools|Temporary failure in name resolution|connection", str(error)
        ):
            pytest.skip("pip reaches no package index here")
        raise


def brought_by_torch() -> dict[str, importlib.metadata.Distribution]:
    """Return torch, triton and all they ask for, as they are installed here."""
    found: dict[str, importlib.metadata.Distribution] = {}
    waiting = ["torch", "triton"]
    while waiting:
        name = canonical(waiting.pop())
        try:
            found.setdefault(name, importlib.metadata.distribution(name))
        except importlib.metadata.PackageNotFoundError:
            continue  # for another system
        asks = [wish for wish in found[name].requires or () if "extra ==" not in wish]
        waiting += [other for wish in asks if (other := canonical(re.match(r"[\w.-]+", wish)[0])) not in found]
    return found


def python_with_torch_alone(folder: Path) -> Path:
    """Make an environment with nothing but pip and this one's torch, and return its Python."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder / "venv")], check=True)
    packages = folder / "torch"
    packages.mkdir()
    for distribution in (importlib.metadata.distribution("pip"), *brought_by_torch().values()):
        for name in {file.parts[0] for file in distribution.files or () if file.parts[0] not in ("..", "__pycache__")}:
            if not (packages / name).exists():
                (packages / name).symlink_to(Path(distribution.locate_file(name)))
    python = folder / "venv" / "bin" / "python"
    where = subprocess.run(
        [python, "-c", "import site; print(site.getsitepackages()[0])"], capture_output=True, text=True, check=True
    )
    (Path(where.stdout.strip()) / "torch.pth").write_text(f"{packages}\n")
    return python


def test_a_fresh_environment_with_torch_alone_runs_kaggle_infer_from_the_folder(tmp_path):
    """Its cells install kit; what they need besides torch comes from the folder, as nothing else can be reached."""
    attached, working, ids = lay_out(tmp_path)
    listed = tmp_path / "packages.txt"
    listed.write_text("".join(f"{name}=={there.version}\n" for name, there in brought_by_torch().items()))
    python = "{}.{}".format(*sys.version_info)
    wheels(attached / "datasets" / "somebody" / "kit-wheels", "--python", python, "--image", listed)
    fresh = python_with_torch_alone(tmp_path)
    own = {name: value for name, value in os.environ.items() if not name.startswith(("PIP_", "KIT_", "KAGGLE_", "PYTHON"))}
    own |= {"PYTHONPATH": str(NO_NETWORK), "PIP_NO_COMPILE": "1", "PIP_CONFIG_FILE": os.devnull, "HOME": str(tmp_path)}
    own |= {"KIT_QUIET": "1", "OMP_NUM_THREADS": "1", "MPLCONFIGDIR": str(tmp_path), "KAGGLE_INPUT": str(attached),
            "KAGGLE_WORKING": str(working), "KAGGLE_TEMP": str(tmp_path / "temp"), "KIT_COMPILE": "0", "KIT_IDS": ids.name,
            "KIT_STEPS": '{"merge": "mean"}', "KIT_RUNS": "", "KIT_WEIGHTS": "kit-weights/small.pth"}  # fmt: skip
    command = [fresh, "-c", CELLS, FOLDER / "kaggle_infer.ipynb"]
    done = subprocess.run(command, cwd=tmp_path, env=own, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-3000:]
    assert f"{working / 'submission.csv'}: 4 rows x 48 features; every ID once" in done.stdout
    doctor = subprocess.run(
        [fresh.with_name("kit"), "doctor", "--json"], cwd="/", env=own, capture_output=True, text=True, check=True
    )
    found = json.loads(doctor.stdout)
    assert found["compiled modules"]["kit.kernels._cpu"] == "not built"
    assert found["packages"]["torch"] == importlib.metadata.version("torch")
    assert "not installed" not in found["packages"].values()


@pytest.fixture(scope="module")
def for_kaggle(tmp_path_factory) -> Path:
    """The folder for Kaggle's image."""
    out = tmp_path_factory.mktemp("kaggle") / "kit-wheels"
    assert "torch 2.10.0+cu128, triton 3.6.0, numpy 2.4.6" in wheels(out, "--torch-from-image")
    return out


def python_312() -> str:
    """Return a Python 3.12 with pip, which reads conditions as Kaggle's does, or this one."""
    pyenv = [str(path) for path in sorted((Path.home() / ".pyenv" / "versions").glob("3.12.*/bin/python"))]
    for python in [*pyenv, shutil.which("python3.12")]:
        if python and subprocess.run([python, "-m", "pip", "--version"], capture_output=True, check=False).returncode == 0:
            return python
    return sys.executable


def test_the_folder_for_kaggle_fits_and_nothing_is_missing_or_replaced(for_kaggle, tmp_path):
    """Beside a made wheel for each package of the image, pip takes all that the folder holds, and from the image the rest."""
    image = read_image(KAGGLE)
    (tmp_path / "image").mkdir()
    for name, version in image.packages.items():
        made_wheel(tmp_path / "image", name, version)
    places = ["--no-index", "--find-links", for_kaggle, "--find-links", tmp_path / "image", "--target", tmp_path / "target"]
    words = ["install", "-q", "--dry-run", "--report", tmp_path / "report.json", *Machine("3.12", Image({})).tags, *places]
    subprocess.run(
        [python_312(), "-m", "pip", *words, "cellpaint-kit"],
        check=True,
        capture_output=True,
        env=os.environ | {"PIP_FIND_LINKS": ""},
    )
    taken = [item["download_info"]["url"] for item in json.loads((tmp_path / "report.json").read_text())["install"]]
    ours = {url.rpartition("/")[2] for url in taken if str(for_kaggle) in url}
    build = {path.name for path in for_kaggle.iterdir() if path.name.startswith(("setuptools-", "pybind11-"))}
    assert ours == {path.name for path in for_kaggle.glob("*.whl")} - build
    assert len(build) == 2
    names = {canonical(name.partition("-")[0]) for name in ours}
    assert names.isdisjoint({"torch", "triton", "numpy", "pandas", "scipy"})
    assert {"cellpaint-kit", "zarr", "tomli-w", "imagecodecs"} <= names
    assert (for_kaggle / "cellpaint_kit-0.1.0-py3-none-any.whl").is_file()


def test_the_source_builds_the_wheel_again_without_a_network(for_kaggle, tmp_path):
    """Isolated, from the folder's own setuptools and pybind11; not compiled here, which takes minutes."""
    with tarfile.open(for_kaggle / "cellpaint_kit-0.1.0.tar.gz") as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    checkout = Path(__file__).parents[2]
    sources = {
        path.relative_to(checkout).as_posix()
        for ending in ("cpp", "cu", "h")
        for path in (checkout / "csrc").rglob(f"*.{ending}")
    }
    assert sources <= names
    assert not [name for name in names if name.endswith(".so")]
    words = ["wheel", "-q", "--no-deps", "--no-index", "--find-links", for_kaggle, "-w", tmp_path]
    switches = {"KIT_CPU_EXT": "0", "KIT_CUDA": "0", "PIP_FIND_LINKS": ""}
    command = [sys.executable, "-m", "pip", *words, for_kaggle / "cellpaint_kit-0.1.0.tar.gz"]
    subprocess.run(command, check=True, capture_output=True, env=os.environ | switches)
    assert [path.name for path in tmp_path.iterdir()] == ["cellpaint_kit-0.1.0-py3-none-any.whl"]
