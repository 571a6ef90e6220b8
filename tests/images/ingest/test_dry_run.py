"""`kit ingest --dry-run` against the ingest itself: it refuses what that refuses, in the same words, and writes nothing."""

import numpy as np
import pytest

from tests.commands import kit_here
from tests.images.made_plates import write_image, write_metadata, write_plate


@pytest.fixture
def both(tmp_path, capsys, monkeypatch):
    """Run a dry run, then the ingest itself: return its exit code and line, which must be those of both."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("KIT_QUIET", "1")
    for barcode in ("BR01", "BR02"):
        write_plate(tmp_path / "images", barcode, channels=(1, 5))
    write_metadata(tmp_path / "metadata", {"BR01": "U2OS", "BR02": "A549"}, {"A01": "BRD-1", "B02": ""})

    def run(more: str, code: int) -> str:
        lines = []
        for dry in ("--dry-run", ""):
            before = snapshot(tmp_path)
            kit_here(f"ingest images --work w {more} {dry}", code)
            lines.append(capsys.readouterr().err)
            assert not dry or snapshot(tmp_path) == before
        assert lines[0] == lines[1]
        return lines[0]

    return run


def snapshot(folder):
    return {path: path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


@pytest.mark.parametrize(
    ("made_with", "asked", "line"),
    [
        ("", "--bits 16", "with --bits 8, not with --bits 16"),
        ("--bits 16", "", "with --bits 16, not with --bits 8"),
        ("", "--size 12", "without --size, not with --size 12"),
        ("--size 12", "", "with --size 12, not without --size"),
        ("", "--scale plate-percentile", "with --scale image, not with --scale plate-percentile"),
        ("--scale image-robust", "--scale image", "with --scale image-robust, not with --scale image"),
        ("", "--codec jpegls", "with --codec zstd, not with --codec jpegls"),
        ("", "--illum illum", "without --illum, not with --illum"),
    ],
)
def test_other_settings_than_the_store_s(both, tmp_path, made_with, asked, line):
    (tmp_path / "illum").mkdir()
    for barcode in ("BR01", "BR02"):
        np.save(tmp_path / "illum" / f"{barcode}_IllumDNA.npy", np.ones((24, 24)))
    kit_here(f"ingest images --work w --plates BR01 {made_with}")
    assert both(asked, 2).startswith(f"kit: w was made {line}: ")
    assert both(made_with, 0) == ""


def test_a_damaged_store(both, tmp_path):
    (tmp_path / "w").mkdir()
    (tmp_path / "w" / "store.toml").write_text("schema = 1\nbits = ")
    assert "store.toml is not readable" in both("", 1)


def test_a_damaged_table(both, tmp_path):
    kit_here("ingest images --work w --metadata metadata")
    path = tmp_path / "w" / "plates" / "BR01.parquet"
    path.write_bytes(path.read_bytes()[:-20])
    assert "failed: w/plates/BR01.parquet is damaged" in both("--metadata metadata", 1)


def test_a_plate_begun_with_other_images(both, tmp_path):
    kit_here("ingest images --work w --plates BR01")
    (tmp_path / "w" / "plates" / "BR01.parquet").unlink()
    write_image(next(tmp_path.glob("images/BR01*/Images")), "BR01", "C03", 1, 1)
    assert "failed: BR01: packing began with other images" in both("", 1)


def test_a_plate_without_readable_images(both, tmp_path):
    for path in tmp_path.glob("images/BR01*/Images/*"):
        path.write_bytes(b"II*\0")
    assert "failed: BR01: none of 8 images can be read" in both("", 1)


def test_the_labels_of_a_complete_plate_are_those_of_its_table(both, capsys):
    kit_here("ingest images --work w --metadata metadata --plates BR01")
    kit_here("ingest images --work w --plates BR02")
    capsys.readouterr()
    kit_here("ingest images --work w --dry-run")
    plates = dict(text.split(":", 1) for text in ("\n" + capsys.readouterr().out).split("\nBR")[1:])
    assert "without labels" not in plates["01"]
    assert "  without labels: no --metadata or --labels\n" in plates["02"]
    kit_here("ingest images --work w --metadata metadata --dry-run")
    plates = dict(text.split(":", 1) for text in ("\n" + capsys.readouterr().out).split("\nBR")[1:])
    assert "  already packed\n" in plates["01"]
    assert "  already packed; its table would get the labels of --metadata\n" in plates["02"]


def test_a_plate_that_is_complete_is_not_looked_for_again(both, tmp_path):
    """What a complete plate was made of may be damaged or gone since: both pass it over."""
    kit_here("ingest images --work w")
    for number, path in enumerate(sorted(tmp_path.glob("images/BR01*/Images/*"))):
        path.rename(path.with_name(f"kept-{number}.tiff"))
    for path in tmp_path.glob("images/BR02*/Images/*"):
        path.write_bytes(b"II*\0")
    assert both("", 0) == ""
