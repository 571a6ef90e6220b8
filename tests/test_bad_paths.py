"""A path or a name the user typed that is not there: exit code 2 and one line that names it, whatever the verb."""

import gzip
import os
import resource
import shutil
from pathlib import Path

import pytest

from tests.commands import SHORT, TINY, kit_here, settings

SMALL = " ".join(settings((*TINY, "plates_per_line=1", "wide_plates_per_line=0", "side=56", "missing_wells=0")))


@pytest.fixture(scope="module")
def walk(tmp_path_factory) -> Path:
    """Made plates, a store of them with the run `r` (and its baseline) and the run `bare` (no features), and a submission."""
    folder, before = tmp_path_factory.mktemp("walk"), Path.cwd()
    os.chdir(folder)
    kit_here(f"phantom plates {SMALL} --jobs 1")
    kit_here("ingest plates/images --metadata plates/metadata --work work --load-data plates/load_data")
    short = " ".join(settings((*SHORT, "train.max_steps=1")))
    kit_here(f"train --work work --run r --recipe demo --channels DNA {short}")
    shutil.copytree("work/runs/r", "work/runs/bare")
    kit_here("embed --work work --run r --baseline intensity")
    kit_here("profile --work work --run r-intensity --out profiles.parquet")
    kit_here("export profiles.parquet --ids plates/metadata_test.csv --out submission.csv")
    Path("submission.csv.gz").write_bytes(gzip.compress(Path("submission.csv").read_bytes()))
    os.chdir(before)
    return folder


@pytest.fixture
def line(walk, monkeypatch, capsys):
    """Run `kit ...` in the folder of `walk` and return the one line with which it must fail."""
    monkeypatch.chdir(walk)

    def run(words: str, code: int) -> str:
        kit_here(words, code)
        stderr = capsys.readouterr().err
        assert len(stderr.splitlines()) == 1, stderr
        return stderr

    return run


@pytest.mark.parametrize(
    "words",
    [
        "score nowhere.csv --metadata plates/metadata",
        "score nowhere.parquet --metadata plates/metadata",
        "score profiles.parquet --metadata nowhere",
        "score profiles.parquet --metadata plates/metadata --ids nowhere.csv",
        "check nowhere.csv --ids plates/metadata_test.csv",
        "check submission.csv --ids nowhere.csv",
        "export nowhere.parquet --ids plates/metadata_test.csv --out new.csv",
        "export profiles.parquet --ids nowhere.csv --out new.csv",
        "submit nowhere.csv --message m --yes",
        "ingest nowhere --work new",
        "ingest nowhere.csv --work new",
        "ingest plates/images --work new --metadata nowhere",
        "ingest plates/images --work new --load-data nowhere",
        "ingest plates/images --work new --layout nowhere.csv",
        "ingest plates/images --work new --illum nowhere",
        "views nowhere --out new.png",
        "train --work nowhere --run new --recipe demo --channels DNA",
        "train --work work --run new --recipe nowhere.toml --channels DNA",
        "train --work work --run new --recipe demo --channels DNA --set model.weights=nowhere.pth",
        "plan --work nowhere",
        "embed --work nowhere --run r",
        "embed --work work --run nowhere",
        "embed --work work --run nowhere --baseline random",
        "embed --work work --run nowhere --baseline intensity",
        "embed --work work --run r --weights nowhere.pth",
        "embed --work work --run r --weights nowhere.safetensors",
        "embed --work work --run r --weights nowhere.json",
        "profile --work nowhere --run r --out new.parquet",
        "profile --work work --run nowhere --out new.parquet",
        "report --work nowhere --out new.html",
        "compare --work nowhere --recipe demo --out new.json",
    ],
)
def test_what_is_not_there_is_wrong_usage(line, walk, words):
    before = sorted(walk.rglob("*"))
    assert "nowhere" in line(words, 2)
    assert sorted(walk.rglob("*")) == before, "a refused command writes nothing"


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("score profile.parquet --metadata plates/metadata", "did you mean profiles.parquet?"),
        ("check submision.csv --ids plates/metadata_test.csv", "did you mean submission.csv?"),
        ("score nowhere/profiles.parquet --metadata plates/metadata", "there is no folder nowhere"),
        ("check plates --ids plates/metadata_test.csv", "plates is a folder"),
        ("embed --work work --run rr", "did you mean r?"),
        ("profile --work work --run r-intensiti --out new.parquet", "did you mean r-intensity?"),
    ],
)
def test_the_way_out_is_named(line, words, expected):
    assert expected in line(words, 2)


def test_a_run_that_was_not_embedded_is_there(line):
    assert "kit embed --work work --run bare" in line("profile --work work --run bare --out new.parquet", 1)


def test_damaged_content_is_a_failure(line, walk):
    for name in ("text.parquet", "text.csv", "text.json", "text.pth"):
        (walk / name).write_text("\0not this\n")
    assert "text.parquet" in line("score text.parquet --metadata plates/metadata", 1)
    assert "text.csv" in line("check text.csv --ids plates/metadata_test.csv", 1)
    assert "text.json" in line("embed --work work --run r --weights text.json", 1)
    assert "text.pth" in line("embed --work work --run r --weights text.pth", 1)


@pytest.mark.parametrize(
    "words", ["check submission.csv.gz --ids plates/metadata_test.csv", "submit submission.csv.gz --message m"]
)
def test_the_challenge_takes_plain_csv(line, words):
    assert "submission.csv.gz: the challenge takes a plain CSV; unpack it: gunzip -k submission.csv.gz" in line(words, 2)


def test_a_gzipped_submission_is_scored_as_the_plain_one(walk, monkeypatch):
    monkeypatch.chdir(walk)
    for name in ("submission.csv", "submission.csv.gz"):
        rules = "--metadata plates/metadata --ids plates/metadata_test.csv --k 1 --cross all"
        kit_here(f"score {name} {rules} --json {name}.json")
    assert (walk / "submission.csv.json").read_text() == (walk / "submission.csv.gz.json").read_text()


@pytest.fixture
def full_disk():
    """No file may grow beyond 256 bytes: writing fails as on a full disk, for root too."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (256, hard))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.parametrize(
    "words",
    [
        "export profiles.parquet --ids plates/metadata_test.csv --out new.csv",
        "profile --work work --run r-intensity --out new.parquet",
        "report --work work --out new.html",
    ],
)
def test_a_full_disk_is_said_of_the_file_that_was_to_be(line, walk, full_disk, words):
    before = sorted(walk.rglob("*"))
    assert line(words, 1) == f"kit: no space left for {words.split()[-1]}: free some and run the same command again\n"
    assert sorted(walk.rglob("*")) == before


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="needs a folder in which nobody can make a file: /proc")
def test_where_nothing_can_be_written_the_final_file_is_named(line):
    said = line("export profiles.parquet --ids plates/metadata_test.csv --out /proc/new.csv", 1)
    assert said.endswith(": /proc/new.csv\n")
