"""Single cells as the source of an ingest: what a plate, a well and a label become, pixels back from the store, refusals."""

import re

import numpy as np
import pandas as pd
import pytest

import kit
from kit.errors import KitError, UsageError
from kit.images.source.cell_source import COLUMNS, ROWS, CellReader, open_cells
from kit.images.source.tiff import read_tiff
from tests.commands import kit_command

IMAGES = np.random.default_rng(0).integers(0, 4096, (6, 2, 9, 11)).astype(np.uint16)


def files(folder, table: dict, images=IMAGES):
    np.savez(folder / "set.npz", images=images)
    pd.DataFrame(table).to_csv(folder / "cells.csv", index=False)
    return folder / "set.npz", folder / "cells.csv"


def opened(folder, table: dict, images=IMAGES):
    return open_cells(*files(folder, table, images))


def test_cells_of_a_well_are_its_sites(tmp_path):
    table = {"plate": list("PPPQQQ"), "Well": ["a1", "A01", "B2"] * 2, "drug": list("xxyxyz"), "area": list("123456")}
    source = opened(tmp_path, table)
    assert list(source.plates) == ["P", "Q"]
    assert [(*key, sorted(images)) for key, images in source.plate("P").images.items()] == [
        ("A01", 1, ["c0", "c1"]), ("A01", 2, ["c0", "c1"]), ("B02", 1, ["c0", "c1"]),
    ]  # fmt: skip
    assert source.labels.columns == []  # on plate Q the drug differs within A01, as the area does on both
    assert source.notes[1] == "left out, as they differ within a well: drug, area"
    with pytest.raises(UsageError, match="--perturbation drug: its cells differ within a well"):
        source.named("drug", "--perturbation")


def test_without_wells_each_cell_has_one_of_its_own(tmp_path):
    source = opened(tmp_path, {"phase": list("abcabc"), "well_position": ["00365"] * 6})
    assert source.where.values.tolist() == [["set", f"A{place + 1:02d}", 1] for place in range(6)]
    assert source.labels.columns == ["Metadata_phase", "Metadata_well_position", "Metadata_Cell"]
    assert source.notes[0].endswith("each the one site of a well of its own: column well_position of cells.csv names no wells")
    many = ROWS * COLUMNS + 3
    source = opened(tmp_path, {"barcode": ["P"] * many, "n": range(many)}, np.zeros((many, 8, 8), np.uint8))
    assert source.where.iloc[[0, COLUMNS, many - 1]].values.tolist() == [["P", "A01", 1], ["P", "B01", 1], ["P-2", "A03", 1]]
    assert list(source.plates) == ["P", "P-2"]


def test_the_reader_gives_the_pixels_of_each_image(tmp_path):
    source = opened(tmp_path, {"phase": list("abcabc")})
    reader = CellReader(cells=source.cells)
    for (well, _), by_channel in source.plate("set").images.items():
        for name, file in by_channel.items():
            np.testing.assert_array_equal(read_tiff(reader(file)).counts_HW, IMAGES[int(well[1:]) - 1, int(name[1:])])


def test_a_store_holds_the_cells_and_their_labels(tmp_path):
    array, table = files(tmp_path, {"plate": list("PPPPQQ"), "phase": ["G1", "G2", "", "G1", "G2", "S"]})
    words = ["ingest", array, "--cells", table, "--work", tmp_path / "work", "--perturbation", "phase", "--control", "G1"]
    assert "nothing was written" in kit_command(*words, "--dry-run").stdout
    said = kit_command(*words, "--channel-names", "c0=DNA,c1=Actin", "--bits", "16", "--verify").stdout
    assert said.startswith("6 cells of set.npz, each the one site of a well of its own\n")
    assert "phase of cells.csv: 3 of 4 wells labelled, 2 controls (G1)" in said
    work = kit.open(tmp_path / "work")
    assert work.labels == {"perturbation": "Metadata_phase", "control": "G1"}
    for _, row in work.sites.iterrows():
        cell = IMAGES[int(row["Metadata_Cell"])]
        for channel, image in zip(("DNA", "Actin"), cell, strict=True):
            np.testing.assert_array_equal(work.read_counts(row["Metadata_Plate"], row["Metadata_Well"], 1, channel), image)
    assert "already packed: P, Q" in kit_command(*words, "--channel-names", "c0=DNA,c1=Actin", "--bits", "16").stdout


@pytest.mark.parametrize(
    ("table", "says"),
    [
        ({"plate": ["P"] * 5 + [""]}, r"row 7: '' cannot be the name of a plate"),
        ({"plate": ["../x"] * 6}, r"row 2: '../x' cannot be the name of a plate"),
        ({"a": list("123456"), "Metadata_a": list("123456")}, "column Metadata_a cannot be kept as Metadata_a, which is that"),
        ({"Metadata_Site": list("123456")}, "cannot be kept as Metadata_Site, which is a name of kit's own"),
        ({"a": list("12345")}, "has 5 rows, .* 6 cells"),
    ],
)  # fmt: skip
def test_tables_that_cannot_be_used(tmp_path, table, says):
    with pytest.raises(KitError, match=says):
        opened(tmp_path, table)


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["set.npz"], "set.npz is an array of single cells: also give their table with --cells"),
        (["folder", "--cells", "cells.csv"], "--cells .*cells.csv: give its array of images as SOURCE"),
        (["--cells", "cells.csv"], "give SOURCE"),
        (["set.npz", "--cells", "no.csv"], "no.csv does not exist"),
        (["set.npz", "--cells", "cells.csv", "--array", "x"], "--array x: .* has no such array"),
        (["set.npz", "--cells", "cells.csv", "--labels", "cells.csv"], "--labels has no meaning for single cells"),
        (["set.npz", "--cells", "cells.csv", "--plane", "1"], "--plane and --time are for folders"),
        (["set.npz", "--cells", "cells.csv", "--control", "x", "--perturbation", "fase"], "no column fase; did you mean phase"),
    ],
)  # fmt: skip
def test_wrong_usage_is_one_line(tmp_path, monkeypatch, words, says):
    files(tmp_path, {"phase": list("abcabc")})
    (tmp_path / "folder").mkdir()
    monkeypatch.chdir(tmp_path)
    said = kit_command("ingest", *words, "--work", "work", code=1 if "fase" in words else 2).stderr
    assert len(said.splitlines()) == 1
    assert re.search(says, said), said
