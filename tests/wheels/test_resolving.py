"""What a machine lacks: by its own packages, its Python's conditions and its glibc, whichever Python asks."""

import pytest

from kit.errors import KitError
from kit.wheels import resolving
from kit.wheels.image import Image
from kit.wheels.resolving import Machine, fetch, lacking
from tests.wheels.made import made_wheel


@pytest.fixture
def index(tmp_path, monkeypatch):
    """An empty folder that is all pip knows."""
    folder = tmp_path / "index"
    folder.mkdir()
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    monkeypatch.setenv("PIP_EXTRA_INDEX_URL", "")
    return folder


HAVE = {"torch": "2.10.0+cu128", "numpy": "2.4.6", "table": "1.0", "old-reader": "1.35.2", "old-reader-runtime": "1.35.2"}


def test_what_is_lacking_or_too_old_in_files_that_fit_and_never_another_torch_or_numpy(index, tmp_path):
    """For Python 3.14, which runs none of these tests: conditions on the version must be read for it."""
    for name, version, requires in [
        ("torch", "2.13.0", ["setuptools; python_version >= '3.12'"]),
        ("numpy", "3.0", []),
        ("table", "2.0", []),  # newer than the machine's, and not needed
        ("old-reader", "2.0", ["old-reader-runtime==2.0"]),
        ("store", "3.0", ["numpy>=3"]),  # would replace numpy
        ("store", "2.0", ["numpy>=1", "codec", "typing-old; python_version < '3.14'", "typing-new; python_version >= '3.14'"]),
        ("typing-old", "1.0", []),
        ("typing-new", "1.0", []),
    ]:
        made_wheel(index, name, version, *requires)
    made_wheel(index, "codec", "2.0", tag="cp314-cp314-manylinux_2_39_x86_64")  # a newer glibc
    made_wheel(index, "codec", "1.9", tag="cp313-cp313-manylinux_2_28_x86_64")
    made_wheel(index, "codec", "1.8", tag="cp314-cp314-manylinux_2_28_aarch64")
    codec = made_wheel(index, "codec", "1.5", tag="cp314-cp314-manylinux_2_35_x86_64")
    runtime = made_wheel(index, "old-reader-runtime", "2.0", tag="cp39-abi3-manylinux_2_17_x86_64.manylinux2014_x86_64")
    machine = Machine("3.14", Image(HAVE, glibc=35))
    found = lacking(machine, ["torch>=2.10", "numpy>=1.26", "table>=1", "old_reader>=1.38", "store"])
    assert found == {"codec": "1.5", "old-reader": "2.0", "old-reader-runtime": "2.0", "store": "2.0", "typing-new": "1.0"}
    fetch(machine, {name: found[name] for name in ("codec", "old-reader-runtime")}, tmp_path / "out")
    assert {path.name for path in (tmp_path / "out").iterdir()} == {codec.name, runtime.name}


def test_what_the_tests_have_not_run_with_is_not_taken(index, tmp_path, monkeypatch):
    tested = tmp_path / "newest.txt"
    tested.write_text("# a comment\nstore==2.0; platform_system == 'Linux'\ntable==1.0\n")
    monkeypatch.setattr(resolving, "TESTED", tested)
    for name in ("store", "table"):
        made_wheel(index, name, "2.0")
        made_wheel(index, name, "3.0")
    found = lacking(Machine("3.12", Image(HAVE)), ["store", "table>=2"])
    assert found == {"store": "2.0", "table": "3.0"}  # what is there and too old comes as new as it is to be had


def test_what_cannot_be_had_is_named(index):
    made_wheel(index, "store", "3.0", "numpy>=3")
    made_wheel(index, "numpy", "3.0")
    with pytest.raises(KitError, match=r"Python 3\.12.*store"):
        lacking(Machine("3.12", Image(HAVE)), ["store"])
