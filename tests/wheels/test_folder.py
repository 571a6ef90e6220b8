"""A folder of wheels: what kit wheels writes, keeps, replaces and refuses. How kit is built is test_offline's."""

import contextlib
import json

import pytest

from kit.errors import UsageError
from kit.wheels import folder as wheels_folder
from kit.wheels.folder import make_wheels, source_of
from kit.wheels.image import KAGGLE, Image, read_image
from tests.commands import kit_command
from tests.wheels.made import made_wheel


class MadeBuilder:
    """Writes files in place of kit's own."""

    def source(self, out):
        (out / "cellpaint_kit-0.1.0.tar.gz").write_bytes(b"source")

    def wheel(self, out):
        return made_wheel(out, "cellpaint-kit", "0.1.0", "torch>=2", "zarr>=3")


@pytest.fixture
def no_pip(monkeypatch):
    """Let made packages be all there is: name -> version, as pip would find them."""
    there = {"setuptools": "84.0", "pybind11": "3.0", "zarr": "3.1", "torch": "2.13"}

    def lacking(machine, wanted):
        names = ["setuptools", "pybind11"] if "setuptools>=77.0.3" in wanted else ["cellpaint-kit", "zarr", "torch"]
        return {name: there.get(name, "0.1.0") for name in names if name not in machine.image.packages}

    def fetch(machine, packages, folder):
        for name, version in packages.items():
            made_wheel(folder, name, version)

    monkeypatch.setattr(wheels_folder, "lacking", lacking)
    monkeypatch.setattr(wheels_folder, "fetch", fetch)
    monkeypatch.setattr(wheels_folder, "builder", lambda tools: contextlib.nullcontext(MadeBuilder()))
    return there


OURS = ["cellpaint_kit-0.1.0-py3-none-any.whl", "cellpaint_kit-0.1.0.tar.gz", "dataset-metadata.json"]
BUILD = ["pybind11-3.0-py3-none-any.whl", "setuptools-84.0-py3-none-any.whl"]


def names(folder) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_folder_holds_kit_its_source_and_what_is_lacking(no_pip, tmp_path, monkeypatch):
    monkeypatch.delenv("KAGGLE_USERNAME", raising=False)
    out = tmp_path / "new" / "kit-wheels"
    summary = make_wheels(out, image=Image({"torch": "2.10.0", "setuptools": "75.2.0"}, python="3.12", date="2026-11-27"))
    assert names(out) == sorted([*OURS, *BUILD, "zarr-3.1-py3-none-any.whl"])  # setuptools too: an isolated build asks for it
    said = summary.text()
    assert "6 files" in said
    assert "Python 3.12 on Linux, x86_64, glibc 2.35 or newer" in said
    assert "with it    zarr 3.1\n" in said
    assert "(2 packages, a list of 2026-11-27): torch 2.10.0\n" in said
    assert "data set kit-wheels" in said
    known = json.loads((out / "dataset-metadata.json").read_text())
    assert known == {"title": "kit wheels", "id": "OWNER/kit-wheels", "licenses": [{"name": "other"}]}


def test_what_is_not_wanted_is_left_out(no_pip, tmp_path):
    summary = make_wheels(tmp_path, image=Image({"torch": "2.10.0"}, python="3.12"), without=("Zarr",))
    assert names(tmp_path) == sorted([*OURS, *BUILD])
    said = summary.text()
    assert "without    Zarr" in said
    assert "left out   what is installed there (1 package): torch 2.10.0" in said
    assert "pip install --no-index --no-deps --find-links" in said


def test_again_drops_what_is_not_needed_and_keeps_the_owner(no_pip, tmp_path):
    make_wheels(tmp_path / "out")
    assert "torch-2.13-py3-none-any.whl" in names(tmp_path / "out")
    (tmp_path / "out" / "dataset-metadata.json").write_text('{"id": "me/kit-wheels"}')
    no_pip["zarr"] = "3.2"
    make_wheels(tmp_path / "out", image=Image({"torch": "2.10.0"}))
    assert names(tmp_path / "out") == sorted([*OURS, *BUILD, "zarr-3.2-py3-none-any.whl"])
    assert (tmp_path / "out" / "dataset-metadata.json").read_text() == '{"id": "me/kit-wheels"}'


def test_other_files_are_left_alone(no_pip, tmp_path):
    (tmp_path / "thesis.docx").touch()
    with pytest.raises(UsageError, match=r"holds thesis\.docx"):
        make_wheels(tmp_path)
    assert names(tmp_path) == ["thesis.docx"]


def test_kaggles_list_has_a_date_and_what_must_not_be_replaced():
    image = read_image(KAGGLE)
    assert (image.python, image.glibc, image.date) == ("3.12", 35, "2026-11-27")
    assert len(image.packages) == 874
    assert [image.packages[name] for name in ("torch", "triton", "numpy")] == ["2.10.0+cu128", "3.6.0", "2.4.6"]
    assert "jinja2" in image.packages
    assert "zarr" not in image.packages


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["--python", "2.7"], 2, "--python 2.7: need a version such as 3.12, 3.11 or newer"),
        (["--python", "3.10"], 2, "--python 3.10: need a version such as 3.12, 3.11 or newer"),
        (["--python", "3.13", "--torch-from-image"], 2, "--python 3.13, but the image has Python 3.12"),
        (["--image", "gone.txt"], 2, "gone.txt does not exist"),
        (["--image", "bad.txt"], 2, "bad.txt, line 2: 'zarr @ file:///x' is not NAME==VERSION"),
        (["--image", "empty.txt"], 2, "empty.txt lists no package"),
        (["--image", "bad.txt", "--torch-from-image"], 2, "give one of --torch-from-image and --image"),
        (["--python", "3.99", "--binary"], 2, "not for 3.99"),
        (["--compile", "--binary"], 2, "--compile takes the folder alone"),
        (["--compile"], 2, "out does not exist"),
    ],
)
def test_wrong_words_are_one_line(tmp_path, monkeypatch, words, code, message):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "bad.txt").write_text("numpy==2.4.6\nzarr @ file:///x\n")
    (tmp_path / "empty.txt").write_text("# python 3.12\n\n")
    said = kit_command("wheels", "out", *words, code=code)
    assert message in said.stderr
    assert said.stderr.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_the_source_is_found_packed_or_as_kaggle_unpacks_it(tmp_path):
    with pytest.raises(UsageError, match=r"holds no source of kit"):
        source_of(tmp_path)
    unpacked = tmp_path / "cellpaint_kit-0.1.0" / "cellpaint_kit-0.1.0"
    (unpacked / "csrc").mkdir(parents=True)
    (unpacked / "setup.py").touch()
    (unpacked / "PKG-INFO").touch()
    assert source_of(tmp_path) == unpacked
    (tmp_path / "cellpaint_kit-0.1.0.tar.gz").touch()
    assert source_of(tmp_path) == tmp_path / "cellpaint_kit-0.1.0.tar.gz"
