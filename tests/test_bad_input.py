"""What a user can get wrong: one clear line, the right exit code, nothing half-written."""

import shutil
from pathlib import Path

import pandas as pd
import pytest

from kit.errors import UsageError
from kit.images.phantom.config import PhantomConfig
from kit.images.source.source import choose_plates
from kit.recipe import config_from_settings, load_recipe
from tests.commands import TINY, kit_child, kit_command, settings


@pytest.fixture(scope="module")
def plates(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("bad") / "plates"
    small = settings((*TINY, "plates_per_line=1", "wide_plates_per_line=0", "side=56", "missing_wells=0"))
    kit_command("phantom", folder, "--jobs", 1, *small)
    return folder


def one_line(*words: object, code: int) -> str:
    """Return the error line of a command that must fail with `code` and say so in one line."""
    stderr = kit_command(*words, code=code).stderr
    assert len(stderr.splitlines()) == 1, stderr
    return stderr


def ingest_words(plates, work, *more):
    return ("ingest", plates / "images", "--metadata", plates / "metadata", "--work", work, *more)


def test_an_empty_folder(tmp_path, plates):
    empty = tmp_path / "empty"
    empty.mkdir()
    line = one_line("ingest", empty, "--metadata", plates / "metadata", "--work", tmp_path / "work", code=2)
    assert str(empty) in line
    assert not (tmp_path / "work" / "plates").exists()


def test_a_folder_that_is_not_there(tmp_path, plates):
    line = one_line("ingest", tmp_path / "nowhere", "--metadata", plates / "metadata", "--work", tmp_path / "work", code=2)
    assert "nowhere" in line


def test_metadata_without_a_column(tmp_path, plates):
    metadata = shutil.copytree(plates / "metadata", tmp_path / "metadata")
    table = pd.read_csv(metadata / "experiment-metadata.tsv", sep="\t", dtype=str).drop(columns="Cell_type")
    table.to_csv(metadata / "experiment-metadata.tsv", sep="\t", index=False)
    line = one_line("ingest", plates / "images", "--metadata", metadata, "--work", tmp_path / "work", code=1)
    assert "Cell_type" in line
    assert "experiment-metadata.tsv" in line


def test_a_plate_that_does_not_exist(tmp_path, plates):
    line = one_line(*ingest_words(plates, tmp_path / "work", "--plates", "MADE0009"), code=2)
    assert "MADE0009" in line
    assert "MADE0001" in line


@pytest.mark.parametrize("content", [b"", b"this is a text file named .tiff\n", None], ids=["empty", "text", "truncated"])
def test_a_broken_image_is_set_aside(tmp_path, plates, content):
    source = shutil.copytree(plates / "images", tmp_path / "images")
    victim = sorted(source.glob("MADE0001*/Images/*.tiff"))[5]
    victim.write_bytes(victim.read_bytes()[:1000] if content is None else content)
    words = ("ingest", source, "--metadata", plates / "metadata", "--work", tmp_path / "work")
    assert victim.name in kit_command(*words).stdout
    line = one_line(*words[:-1], tmp_path / "strict", "--strict", code=1)
    assert victim.name in line


@pytest.fixture(scope="module")
def work(plates, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("bad_work") / "work"
    kit_command(*ingest_words(plates, folder))
    return folder


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (("--recipe", "sslprofiler-locall", "--channels", "all"), "did you mean sslprofiler-local"),
        (("--recipe", "demo", "--channels", "all", "--set", "train.lrr=1"), "did you mean train.lr?"),
        (("--recipe", "demo", "--channels", "all", "--set", "train.lr=high"), "train.lr"),
        (("--recipe", "demo", "--channels", "all", "--set", "trian.lr=1"), "did you mean train.lr?"),
        (("--recipe", "demo", "--channels", "Mito,GFP"), "GFP"),
    ],
)
def test_a_wrong_recipe_or_key(work, words, expected):
    assert expected in one_line("train", "--work", work, "--run", "r", *words, code=2)
    assert not (work / "runs" / "r").exists()


def test_a_run_stays_in_its_folder(work):
    line = one_line("train", "--work", work, "--recipe", "demo", "--channels", "all", "--run", "../outside", code=2)
    assert "--run '../outside': need a name" in line
    assert not (work / "outside").exists()


@pytest.mark.parametrize(
    ("setting", "expected"),
    [
        ("elastic_p=0", "unknown key elastic_p; did you mean views.elastic_p?"),
        ("train.elastic_p=0", "unknown key train.elastic_p; did you mean views.elastic_p?"),
        ("elastc_p=0", "unknown key elastc_p; did you mean views.elastic_p?"),
        ("views.elastc_p=0", "unknown key views.elastc_p; did you mean views.elastic_p?"),
        ("batch=8", "unknown key batch; did you mean train.batch or embed.batch?"),
        ("embbed.batch=8", "unknown key embbed.batch; did you mean embed.batch?"),
        ("chanels=DNA", "unknown key chanels; did you mean channels?"),
        ("qqqq=1", "unknown key qqqq"),
        ("train.optimizer=sgd", "unknown key train.optimizer"),
        ("views=1", "views is a table, not 1"),
        ("seed=-1", "seed = -1: need 0 or more, below 2**63"),
        ("=3", "--set '=3': need key=value, for example train.lr=1e-4"),
    ],
)
def test_an_unknown_key_is_looked_for_in_every_table(setting, expected):
    with pytest.raises(UsageError) as refused:
        load_recipe("demo", (setting,))
    assert str(refused.value).removeprefix("recipe demo: ") == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('extends = "b.toml"', "recipe cycle: a.toml extends b.toml extends a.toml"),
        ("extends = 3", "extends = 3: need the name of a recipe"),
        ("[train", "is not valid TOML"),
        ('extends = "demo"\ntrain = 3', "train is a table, not 3"),
    ],
)
def test_a_wrong_recipe_file(tmp_path, monkeypatch, text, expected):
    monkeypatch.chdir(tmp_path)
    Path("a.toml").write_text(text + "\n")
    Path("b.toml").write_text('extends = "a.toml"\n')
    with pytest.raises(UsageError) as refused:
        load_recipe("a.toml")
    assert expected in str(refused.value)


def test_a_wrong_key_of_made_plates():
    with pytest.raises(UsageError, match="unknown key compound; did you mean compounds"):
        config_from_settings(PhantomConfig, ("compound=3",), where="phantom")


def test_a_wrong_plate_among_many():
    there = [f"BR{number:08d}" for number in range(116991, 117091)]
    with pytest.raises(UsageError) as refused:
        choose_plates(there, ("BR0011699",))
    assert str(refused.value).startswith("--plates BR0011699: no such plate; did you mean BR0011699")
    assert str(refused.value).endswith("; available: BR00116991, BR00116992, BR00116993, BR00116994, BR00116995 and 95 more")


def test_no_permission_to_write(tmp_path, plates):
    """Root may write anywhere, so a file stands where the folder should be: the same failure, for everybody."""
    (tmp_path / "file").write_text("")
    assert "file" in one_line(*ingest_words(plates, tmp_path / "file" / "work"), code=1)


def test_a_work_folder_that_is_not_one(tmp_path):
    assert str(tmp_path) in one_line("views", tmp_path, "--out", tmp_path / "views.png", code=2)


def profile_table(plates: Path) -> pd.DataFrame:
    ids = pd.read_csv(plates / "metadata_test.csv", dtype=str)
    return pd.DataFrame(
        {"Metadata_Plate": ids.iloc[:, 1], "Metadata_Well": ids.iloc[:, 2], "f0000": 0.5, "f0001": range(len(ids))}
    )


def test_ids_and_features_that_do_not_fit(tmp_path, plates):
    ids = plates / "metadata_test.csv"
    table = profile_table(plates)
    table.to_parquet(tmp_path / "whole.parquet")
    kit_command("export", tmp_path / "whole.parquet", "--ids", ids, "--out", tmp_path / "whole.csv")
    table.iloc[1:].to_parquet(tmp_path / "short.parquet")
    missing = pd.read_csv(ids, dtype=str)["ID"].iloc[0]
    assert missing in one_line("export", tmp_path / "short.parquet", "--ids", ids, "--out", tmp_path / "short.csv", code=1)
    table.assign(f0000=[float("nan"), *table["f0000"].iloc[1:]]).to_parquet(tmp_path / "nan.parquet")
    assert "f0000" in one_line("export", tmp_path / "nan.parquet", "--ids", ids, "--out", tmp_path / "nan.csv", code=1)
    twice = pd.read_csv(ids, dtype=str)
    pd.concat([twice, twice.iloc[:1]]).to_csv(tmp_path / "twice.csv", index=False)
    line = one_line("export", tmp_path / "whole.parquet", "--ids", tmp_path / "twice.csv", "--out", tmp_path / "t.csv", code=1)
    assert missing in line
    assert sorted(path.name for path in tmp_path.glob("*.csv")) == ["twice.csv", "whole.csv"]


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (("export", "x.csv"), "Missing option '--ids' (kit export --help"),
        (("train", "--work"), "Option '--work' requires an argument (kit train --help"),
        (("trian",), "Did you mean 'train'? (kit --help"),
        (("benchmark", "cell-dino"), "Missing argument 'FILES...' (kit benchmark cell-dino --help"),
        (("benchmark", "cell-din"), "(kit benchmark --help"),
        (("score", "x.csv", "--metadata", "m", "--k", "five"), "'five' is not a valid integer"),
    ],
)
def test_a_wrong_command_line_is_one_line(words, expected):
    done = kit_child(*words, code=2)
    assert expected in done.stderr
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize(
    ("words", "option", "times"),
    [
        ("score f.csv --label a --label b", "--label", 2),
        ("score f.csv --k 3 --ties nearest --k=5 --k 7", "--k", 3),
        ("export f.csv --ids a.csv --ids b.csv --out s.csv", "--ids", 2),
        ("ingest images --work w --size 540 --size 270", "--size", 2),
        ("train --work w --recipe demo --run a --run b", "--run", 2),
        ("profile --work w --run a --run b --out x.csv --out y.csv", "--out", 2),
        ("compare --work w --recipe a --recipe b --seeds 1 --seeds 2 --out c.json", "--seeds", 2),
    ],
)
def test_an_option_given_twice_is_not_half_ignored(words, option, times):
    assert f"kit: {option} is given {times} times: it takes one value (" in one_line(*words.split(), code=2)
