"""Reading single cells: what comes back, and what is refused before a pixel is read."""

import io
import zipfile

import numpy as np
import pandas as pd
import pytest

from kit.errors import KitError, UsageError
from kit.images.source.cells import read_cell_images

IMAGES = np.random.default_rng(0).integers(0, 4096, (3, 2, 9, 11)).astype(np.uint16)
TABLE = "class,plate,note\n01,p1,\nNA,p1,x\n03,p2,y\n"


class Files:
    """An array and a table in a folder."""

    def __init__(self, folder):
        self.array, self.table = folder / "cells.npz", folder / "cells.csv"
        self.write(TABLE, images=IMAGES)

    def write(self, table=TABLE, **arrays):
        np.savez_compressed(self.array, **arrays)
        self.table.write_text(table)

    def refused(self, match, kind=KitError, **options):
        with pytest.raises(kind, match=match) as caught:
            read_cell_images(self.array, self.table, **options)
        assert type(caught.value) is kind
        assert "\n" not in str(caught.value)


@pytest.fixture
def files(tmp_path) -> Files:
    return Files(tmp_path)


def test_pixels_channels_and_text_as_they_are(files):
    cells = read_cell_images(files.array, files.table, channels=(1,))
    assert np.array_equal(cells.images_NCHW, IMAGES[:, 1:])
    assert cells.names == ("c1",)
    assert cells.table["class"].tolist() == ["01", "NA", "03"]
    assert cells.column("note", "--label").tolist() == ["", "x", "y"]
    assert np.array_equal(read_cell_images(files.array, files.table).images_NCHW, IMAGES)


@pytest.mark.parametrize("stored", [IMAGES[:, 0].astype(">u2"), np.asfortranarray(IMAGES[:, 0])], ids=["other end", "columns"])
def test_one_channel_in_any_order_of_bytes(files, stored):
    files.write(images=stored)
    images = read_cell_images(files.array, files.table).images_NCHW
    assert np.array_equal(images, IMAGES[:, :1])
    assert images.dtype == np.uint16
    assert images.dtype.isnative
    np.save(files.array.with_suffix(".npy"), stored)
    assert np.array_equal(read_cell_images(files.array.with_suffix(".npy"), files.table).images_NCHW, images)


def test_an_array_is_named_where_there_are_several(files):
    files.write(images=IMAGES, masks=IMAGES[:, :1])
    assert np.array_equal(read_cell_images(files.array, files.table, name="masks").images_NCHW, IMAGES[:, :1])
    files.refused(r"several arrays: name one with --array: images, masks", UsageError)
    files.refused(r"--array image: .* no such array; did you mean images", UsageError, name="image")


@pytest.mark.parametrize(("stored", "said"), [
    (IMAGES.astype(np.int32), "int32 pixels; save them as unsigned"),
    (IMAGES.astype(np.float32), "float32 pixels"),
    (np.array([{}, {}, {}], dtype=object), "object pixels"),
    (IMAGES[0, 0], r"shape \(9, 11\); need \(cells, height, width\)"),
    (IMAGES[:0], r"shape \(0, 2, 9, 11\); need"),
    (np.zeros((3, 20, 20, 3), np.uint8), "has 20 channels; need .cells, channels, height, width"),
    (IMAGES[..., :7], "cells of 9 x 7 pixels; a side has 8 to 1024"),
])  # fmt: skip
def test_arrays_that_are_not_cells(files, stored, said):
    files.write(images=stored)
    files.refused(said)


def test_a_header_that_promises_other_pixels_than_there_are(files):
    for shape, said in (
        ((1 << 20, 64, 64), "0 bytes of pixels, 8589934592 expected"),
        ((1 << 40, 64, 64), "GB of pixels; at most 8"),
    ):
        buffer = io.BytesIO()
        np.lib.format.write_array_header_1_0(buffer, {"descr": "<u2", "fortran_order": False, "shape": shape})
        with zipfile.ZipFile(files.array, "w") as archive:
            archive.writestr("images.npy", buffer.getvalue())
        files.refused(said)


def test_damage(files):
    whole = files.array.read_bytes()
    at = whole.index(b"images.npy") + 200
    for data in (whole[:-30], whole[:at] + bytes([whole[at] ^ 255]) + whole[at + 1 :], b"", b"PK\x03\x04", b"text"):
        files.array.write_bytes(data)
        files.refused("cells.npz: not an array that numpy can read")


@pytest.mark.parametrize(("table", "said"), [
    (TABLE + "04,p2,z\n", "has 4 rows, .* 3 cells: need a row a cell"),
    ("", "cannot be read as a table"),
    (TABLE.replace("x", "x,7"), "cannot be read as a table"),
    ("class\na,7\nb,7\nc,7\n", "cannot be read as a table: a row has more values than the first line has names$"),
])  # fmt: skip
def test_tables_that_do_not_fit(files, table, said):
    files.write(table, images=IMAGES)
    files.refused(said)


@pytest.mark.parametrize("kind", ["parquet", "utf-16", "latin-1"])
def test_a_table_that_is_no_csv_is_told_so_in_one_line(files, kind):
    if kind == "parquet":
        pd.DataFrame({"class": [f"c{row}" for row in range(200)], "area": np.linspace(0, 1, 200)}).to_parquet(files.table)
    else:
        files.table.write_text(TABLE.replace("x", "é"), encoding=kind)
    files.refused(r"cells\.csv is not UTF-8 text: save the table of the cells as CSV in UTF-8$")


def test_what_is_not_there(files):
    files.refused("channel 2: .* has 2 channels, counted from 0", UsageError, channels=(0, 2))
    with pytest.raises(UsageError, match="--label klass: no such column; did you mean class"):
        read_cell_images(files.array, files.table).column("klass", "--label")
    files.table.unlink()
    files.refused("cells.csv", UsageError)
