"""What a bare machine gets from the folder of wheels, what the tests' record says, and which fields travel."""

import csv
import json

import pytest

from kit.errors import KitError
from kit.gpu.environment import bounds, wanted_wheels
from kit.gpu.fields import copy_fields
from kit.gpu.tests import ROOT, gpu_files, lines_of, read_record


def test_wheels_are_installed_for_what_is_absent_or_too_old_and_never_kits_own(tmp_path):
    names = ["click-8.5.1-py3-none-any.whl", "tomli_w-1.2.0-py3-none-any.whl", "six-1.17.0-py2.py3-none-any.whl",
             "cellpaint_kit-0.1.0-py3-none-any.whl", "google_crc32c-1.9.0-cp312-cp312-manylinux_2_17_x86_64.whl",
             "notes.txt"]  # fmt: skip
    for name in names:
        (tmp_path / name).touch()
    installed = {"Click": "8.3.9", "six": "1.17.0", "Tomli-W": "1.0.0"}
    chosen = wanted_wheels(tmp_path, installed, {"click": "8.4", "tomli-w": "1.0"})
    assert [path.name.split("-")[0] for path in chosen] == ["click", "google_crc32c"]
    assert wanted_wheels(tmp_path / "none", installed, {}) == []


def test_the_bounds_are_the_projects():
    found = bounds(ROOT)
    assert found["setuptools"] == "77.0.3"
    assert found["google-crc32c"].startswith("1.")
    assert {"torch", "triton", "zarr", "pybind11"} <= set(found)


def test_the_record_survives_a_kill_and_says_why(tmp_path):
    entries = [{"test": "t.py::a", "outcome": "passed", "seconds": 1.5, "why": ""},
               {"test": "t.py::b", "outcome": "failed", "seconds": 0.5, "why": "x = 1\nE   AssertionError: off by 3\nt.py:7"},
               {"test": "t.py::c", "outcome": "skipped", "seconds": 0.0, "why": "no CUDA device here"}]  # fmt: skip
    path = tmp_path / "record.jsonl"
    path.write_text("".join(json.dumps(entry) + "\n" for entry in entries) + '{"test": "t.py::d", "outc')
    assert read_record(path) == entries
    assert lines_of(entries) == [
        "1 failed, 1 passed, 1 skipped",
        "failed t.py::b: AssertionError: off by 3",
        "skipped 1 test: no CUDA device here",
        "the slowest: 1.5 s, t.py::a",
    ]
    assert lines_of([]) == ["no test has ended"]


def test_every_file_with_a_gpu_test_is_found():
    found = {path.relative_to(ROOT / "tests").as_posix() for path in gpu_files(ROOT / "tests")}
    assert {"kernels/test_view_gpu.py", "kernels/test_tile_cuda.py", "images/crops/test_gpu.py", "model/test_gpu_step.py",
            "model/test_gpu_resume.py"} <= found  # fmt: skip
    assert "model/test_step.py" not in found


def test_some_weeks_of_fields_are_copied_whole(tmp_path):
    source, out = tmp_path / "source", tmp_path / "out"
    (source / "images").mkdir(parents=True)
    rows = [
        ["file", "week", "compound"],
        *([f"images/{i}.tif", week, "a, b"] for i, week in enumerate(("Week1", "Week3", "Week9"))),
    ]
    with (source / "images.csv").open("w", newline="") as file:
        csv.writer(file).writerows(rows)
    for i in range(3):
        (source / "images" / f"{i}.tif").write_bytes(bytes([i]) * 500_000)
    assert copy_fields(source, out) == f"{out}: 2 fields of Week3 and Week9, 1.0 MB"
    with (out / "images.csv").open(newline="") as file:
        assert list(csv.reader(file)) == [rows[0], *rows[2:]]
    assert sorted(path.name for path in (out / "images").iterdir()) == ["1.tif", "2.tif"]
    assert (out / "images" / "2.tif").read_bytes() == b"\x02" * 500_000
    (source / "images" / "1.tif").unlink()
    with pytest.raises(KitError, match=r"1\.tif does not exist"):
        copy_fields(source, out)
    with pytest.raises(KitError, match="no field of Week7"):
        copy_fields(source, out, ("Week7",))
