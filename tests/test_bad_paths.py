"""What a user types wrong at any verb: exit code 2 and one line, and 1 where a file is damaged; nothing is written or lost.

A path that is not there, a value that cannot be, a file that is another or was cut short.
"""

import contextlib
import gzip
import io
import json
import os
import re
import resource
import shutil
from pathlib import Path

import pytest

from kit.kaggle.plan import Standing
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
    Path("link.csv").symlink_to("gone.csv")
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
        ("score nowhere/profiles.parquet --metadata plates/metadata", "does not exist: no folder nowhere"),
        ("score nonsense --metadata plates/metadata", "nonsense does not exist\n"),
        ("score link.csv --metadata plates/metadata", "link.csv is a dangling symlink"),
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
    plain, packed = ((walk / f"submission.csv{end}.json").read_text() for end in ("", ".gz"))
    assert packed.replace("submission.csv.gz", "submission.csv") == plain
    assert json.loads(packed)["null"]["final_features_only"] is False  # the manifest is that of the CSV inside


@contextlib.contextmanager
def full_disk():
    """No file may grow beyond 256 bytes: writing fails as on a full disk, for root too, and for pytest's own log."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (256, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.parametrize(
    "words",
    [
        "export profiles.parquet --ids plates/metadata_test.csv --out new.csv",
        "profile --work work --run r-intensity --out new.parquet",
    ],
)
def test_a_full_disk_is_said_of_the_file_that_was_to_be(line, walk, words):
    before = sorted(walk.rglob("*"))
    with full_disk():
        said = line(words, 1)
    assert said == f"kit: no space left for {words.split()[-1]}: free some and run the same command again\n"
    assert sorted(walk.rglob("*")) == before


def test_a_full_disk_leaves_no_page_and_no_half_written_figure(line, walk):
    with full_disk():
        said = line("report --work work --out new.html", 1)
    assert re.fullmatch(r"kit: no space left for new_files/\w+\.(csv|png): free some and run the same command again\n", said)
    assert not (walk / "new.html").exists()
    assert {path.suffix for path in (walk / "new_files").iterdir()} <= {".csv", ".png"}
    shutil.rmtree(walk / "new_files")


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="needs a folder in which nobody can make a file: /proc")
def test_where_nothing_can_be_written_the_final_file_is_named(line):
    said = line("export profiles.parquet --ids plates/metadata_test.csv --out /proc/new.csv", 1)
    assert said.endswith(": /proc/new.csv\n")


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("ingest plates/images --work ''", "Invalid value for '--work': the path is empty"),
        ("ingest '' --work new", "SOURCE is empty"),
        ("ingest plates/images --work submission.csv", "--work submission.csv is not a folder"),
        ("ingest plates/images --work new --plates ''", "--plates ''"),
        ("ingest plates/images --work work --illum plates", "was made without --illum, not with --illum"),
        ("ingest plates/images --work work --size 9", "was made without --size, not with --size 9"),
        ("ingest plates/images --work new --illum s3://bucket/illum", "local folder"),
        ("train --work work --run new --recipe demo --channels DNA --max-hours nan", "not a number above 0"),
        ("train --work work --run new --recipe demo --channels DNA --seed -1", "seed = -1"),
        ("train --work work --run new --recipe demo --channels DNA --plates ,", "--plates ','"),
        ("train --work work --run new --recipe demo --channels ''", "--channels ''"),
        ("plan --recipe demo --channels fluorescense", "CPJUMP1 has no channel fluorescense"),
        ("plan --recipe demo --channels DMA --work work", "work has no channel DMA; did you mean DNA?"),
        ("views work --out new.txt", "use a name ending in .png"),
        ("phantom new --picture new.pdf", "use a name ending in .png"),
        ("profile --work work --run r-intensity --out work", "'work' is a directory"),
        ("export profiles.parquet --ids plates/metadata_test.csv --out plates", "'plates' is a directory"),
        ("report --work work --out plates", "'plates' is a directory"),
        ("score profiles.parquet --metadata plates/metadata --json plates", "'plates' is a directory"),
        ("score submission.csv --metadata plates/metadata", "add --ids, which gives the plate and well of each ID"),
        ("check submission.csv --ids submission.csv", "r-intensity_s2_cls_1 and 14 more; name it with"),
        ("submit submission.csv --message ''", "--message is empty"),
    ],
)
def test_a_value_that_cannot_be(line, walk, words, expected):
    before = sorted(walk.rglob("*"))
    assert expected in line(words, 2)
    assert sorted(walk.rglob("*")) == before


def test_nobody_is_there_to_be_asked(walk, monkeypatch, capsys):
    monkeypatch.chdir(walk)
    monkeypatch.setattr("sys.stdin", io.StringIO())
    monkeypatch.setenv("KAGGLE_API_TOKEN", "of nobody")
    monkeypatch.setattr("kit.kaggle.plan.ask_kaggle", lambda competition: Standing(left=None, known=frozenset()))
    kit_here("submit submission.csv --message m", 2)
    assert capsys.readouterr().err.splitlines()[-1] == (
        "kit: not uploaded: stdin is not a terminal: add --yes to upload without asking"
    )


@pytest.mark.parametrize("start", ["kit score", "kit check", "--ids"])
def test_text_that_is_not_utf8(line, walk, start):
    (walk / "wide.csv").write_bytes((walk / "submission.csv").read_text().encode("utf-16"))
    words = {
        "kit score": "score wide.csv --metadata plates/metadata --ids plates/metadata_test.csv",
        "kit check": "check wide.csv --ids plates/metadata_test.csv",
        "--ids": "check submission.csv --ids wide.csv",
    }
    assert "wide.csv is not a CSV text file: it contains NUL bytes" in line(words[start], 1)


def test_a_gzipped_file_cut_short_is_named(line, walk):
    (walk / "cut.csv.gz").write_bytes((walk / "submission.csv.gz").read_bytes()[:100])
    words = "score cut.csv.gz --metadata plates/metadata --ids plates/metadata_test.csv"
    assert "cut.csv.gz cannot be read as CSV" in line(words, 1)


def test_damaged_features_are_named_and_made_again(line, walk):
    folder = walk / "work" / "runs" / "r-intensity" / "features"
    whole = {path: path.read_bytes() for path in folder.iterdir()}
    table = next(path for path in whole if path.suffix == ".parquet")
    words = "profile --work work --run r-intensity --out new.parquet"
    table.write_bytes(whole[table][:50])
    assert f"{table.name} is not a parquet file" in line(words, 1)
    assert f"{table.name} is not a parquet file" in line("report --work work --out new.html", 1)
    (folder / "features.json").write_text("{")
    assert "features.json is damaged" in line(words, 1)
    kit_here("embed --work work --run r --baseline intensity")
    assert {path: path.read_bytes() for path in folder.iterdir()} == whole


def test_a_score_that_is_none_of_ours(line, walk):
    (walk / "work" / "score.json").write_text('{"schema": 1}')
    assert "score.json was not written by kit score --json" in line("report --work work --out new.html", 1)
    (walk / "work" / "score.json").unlink()


@pytest.mark.parametrize(("sign", "name"), [(";", "semicolons"), ("\t", "tabs")])
def test_other_signs_than_commas_are_said(line, walk, sign, name):
    (walk / "other.csv").write_text((walk / "submission.csv").read_text().replace(",", sign))
    said = f"other.csv: its columns are separated by {name}"
    assert said in line("score other.csv --metadata plates/metadata --ids plates/metadata_test.csv", 1)
    assert said in line("check other.csv --ids plates/metadata_test.csv", 1)
    assert said in line("check submission.csv --ids other.csv", 1)


def test_a_column_with_a_word_in_it_is_not_left_out_in_silence(walk, monkeypatch, caplog):
    monkeypatch.chdir(walk)
    lines = Path("submission.csv").read_text().splitlines()
    cells = lines[3].split(",")
    Path("word.csv").write_text("\n".join([*lines[:3], ",".join([cells[0], "abc", *cells[2:]]), *lines[4:]]) + "\n")
    kit_here("score word.csv --metadata plates/metadata --ids plates/metadata_test.csv --k 1 --cross all")
    column = "r-intensity_s1_cls_0"
    assert f"word.csv: ignored 1 column holding text: {column}; {column} of row 3 is 'abc'" in caplog.text


@pytest.mark.parametrize(
    ("name", "old", "new", "expected"),
    [
        ("MADE-Target_compound_platemap.txt", "A", "ZZ", "MADE-Target_compound_platemap.txt: 'ZZ"),
        ("MADE-Target_compound_platemap.txt", "A", "9", "is not a well: need a row letter"),
        ("experiment-metadata.tsv", "\t", ",", "tabs separate its columns"),
        ("experiment-metadata.tsv", "Cell_type", "Cell", "no column Cell_type"),
        ("barcode_platemap.csv", ",", ";", "commas separate its columns"),
    ],
)
def test_wrong_tables_of_metadata_are_named(line, walk, tmp_path, name, old, new, expected):
    metadata = shutil.copytree(walk / "plates" / "metadata", tmp_path / "metadata")
    text = (metadata / name).read_text()
    if old == "A":  # the row of the first well
        head, _, rest = text.partition("\n")
        (metadata / name).write_text(f"{head}\n{new}{rest[1:]}")
    else:
        (metadata / name).write_text(text.replace(old, new))
    said = line(f"score profiles.parquet --metadata {metadata}", 1)
    assert expected in said
    assert name in said
