"""Tables as `kit export` writes them are read as any CSV is, to the bit; all others are left to the reader of every CSV."""

import numpy as np
import polars as pl
import pytest

from kit.challenge import csv_files
from kit.challenge.rows import read_plain, write_rows


def is_text(name):
    return name.startswith("Metadata_") or name == "ID"


def test_a_submission_is_read_as_any_csv_is(tmp_path, monkeypatch):
    rng = np.random.default_rng(0)
    features_MF = (rng.standard_normal((300, 7)) * 10.0 ** rng.integers(-44, 38, size=(300, 7))).astype(np.float32)
    features_MF[:, 0] = np.arange(300)  # whole numbers
    write_rows(tmp_path / "s.csv", [f"{row:04d}" for row in range(300)], tuple(f"f {column}" for column in range(7)), features_MF)
    found = read_plain(tmp_path / "s.csv", is_text)
    assert found is not None
    np.testing.assert_array_equal(found.drop("ID").to_numpy(), features_MF)
    assert csv_files.read_csv(tmp_path / "s.csv", is_text, pl.Float32).equals(found)
    monkeypatch.setattr(csv_files, "read_plain", lambda *_: None)
    inferred = csv_files.read_csv(tmp_path / "s.csv", is_text, pl.Float32)
    assert inferred.schema == found.schema
    assert inferred.equals(found)


def test_numbers_of_others_are_rounded_once_whoever_reads_them(tmp_path, monkeypatch):
    texts = [
        "1.00000005960464477540",
        "0.1",
        "16777217",
        "-3.4028235e38",
        "1e-45",
        "7.0064923216240862e-46",
        "123456789.123456789",
    ]
    (tmp_path / "s.csv").write_text("ID,a\n" + "".join(f"x{row},{text}\n" for row, text in enumerate(texts)))
    found = csv_files.read_csv(tmp_path / "s.csv", is_text, pl.Float32)
    monkeypatch.setattr(csv_files, "read_plain", lambda *_: None)
    assert csv_files.read_csv(tmp_path / "s.csv", is_text, pl.Float32).equals(found)


def test_a_submission_is_not_read_twice(tmp_path, monkeypatch):
    (tmp_path / "s.csv").write_text("ID,a\nx,1.5\n")
    frame = pl.DataFrame({"ID": ["y"]})
    monkeypatch.setattr(csv_files, "read_plain", lambda *_: frame)
    assert csv_files.read_csv(tmp_path / "s.csv", is_text, pl.Float32) is frame
    assert csv_files.read_csv(tmp_path / "s.csv", is_text, pl.Float64)["a"].to_list() == [1.5]  # `kit check` wants every digit


@pytest.mark.parametrize(
    "text",
    [
        "ID,a\r\nx,1\r\n",
        'ID,a\n"x",1\n',
        "ID,a\n,1\n",
        "ID,a\nx,nan\n",
        "ID,a\nx,1e39\n",
        "ID,a\nx,\n",
        "ID,a\nx,1,2\n",
        "ID,a\n",
        "ID\nx\n",
        "ID,a,a\nx,1,2\n",
        "a,ID\n1,x\n",
        "ID,a,Metadata_Plate\nx,1,2\n",
        '"ID",a\nx,1\n',
        "\ufeffID,a\nx,1\n",
        "",
    ],
)
def test_what_is_not_plain_is_left_to_the_reader_of_every_csv(tmp_path, text):
    (tmp_path / "s.csv").write_bytes(text.encode())
    assert read_plain(tmp_path / "s.csv", is_text) is None


def test_a_packed_file_is_not_plain(tmp_path):
    (tmp_path / "s.csv.gz").write_bytes(b"\x1f\x8b\xff,\n")
    assert read_plain(tmp_path / "s.csv.gz", is_text) is None
