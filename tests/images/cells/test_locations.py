"""Cells from CellProfiler's tables: each way of writing them gives the same places, and what does not fit is refused."""

import pandas as pd
import pytest

import kit
from kit.config import StoreConfig
from kit.errors import KitError, UsageError
from kit.images.cells.locations import read_locations
from kit.images.cells.table import read_cells
from kit.images.store.work import Work
from tests.commands import kit_command
from tests.images.made_work import make_work

ROWS = [("P1", "A01", 1, 4.25, 7.5), ("P1", "A01", 1, 31.0, 0.0), ("P1", "A02", 2, 10.0, 20.0), ("P2", "A01", 1, 1.0, 2.0)]
WHO = ["Metadata_Plate", "Metadata_Well", "Metadata_Site"]


@pytest.fixture(scope="module")
def work(tmp_path_factory):
    return make_work(tmp_path_factory.mktemp("locations"), wells=2, sites=2, side=32)


def single_cells(**changes) -> pd.DataFrame:
    """As pycytominer writes them; a change replaces a column."""
    table = pd.DataFrame(ROWS, columns=[*WHO, "Nuclei_Location_Center_X", "Nuclei_Location_Center_Y"])
    return table.assign(Nuclei_AreaShape_Area=50, Cells_Intensity=0.1, **changes)


def by_image(folder) -> tuple[pd.DataFrame, pd.DataFrame]:
    """As ExportToSpreadsheet writes them: Nuclei.csv by ImageNumber, and Image.csv."""
    table = single_cells()
    table["ImageNumber"] = table.groupby(WHO).ngroup() + 1
    names = {"Nuclei_Location_Center_X": "Location_Center_X", "Nuclei_Location_Center_Y": "Location_Center_Y",
             "Nuclei_AreaShape_Area": "AreaShape_Area"}  # fmt: skip
    images = table.drop_duplicates("ImageNumber")[["ImageNumber", *WHO]]
    return table.rename(columns=names).drop(columns=WHO), images


def check(cells: pd.DataFrame) -> None:
    found = sorted(cells[[*WHO, "x", "y"]].itertuples(index=False, name=None))
    assert found == sorted(ROWS)


def test_every_way_of_writing_them_gives_the_same_cells(work, tmp_path):
    single_cells().to_csv(tmp_path / "a.csv", index=False)
    single_cells().to_parquet(tmp_path / "b.parquet")
    single_cells(Metadata_Well=["a1", "A1", "A02", "A01"]).to_csv(tmp_path / "c.csv.gz", index=False)
    single_cells().rename(columns={name: f"Image_{name}" for name in WHO}).to_csv(tmp_path / "d.csv", index=False)
    for name in ("a.csv", "b.parquet", "c.csv.gz", "d.csv"):
        found = read_locations(work, tmp_path / name)
        check(found.cells)
        assert set(found.cells["area_px"]) == {50}
    objects, images = by_image(tmp_path)
    objects.to_csv(tmp_path / "Nuclei.csv", index=False)
    images.to_csv(tmp_path / "Image.csv", index=False)
    check(read_locations(work, tmp_path / "Nuclei.csv", tmp_path / "Image.csv").cells)


def test_the_command_stores_them_in_place_of_others(work, tmp_path):
    table = tmp_path / "cells.csv"
    pd.concat([single_cells(), single_cells(Metadata_Plate="P9")]).to_csv(table, index=False)
    said = kit_command("cells", work.path, "--locations", table).stdout
    assert "P1: 3 cells in 4 sites, 0 a site (0 to 2); 2 sites without a cell" in said
    assert "left out: the rows of 1 plate that are not in the store (P9)" in said
    check(read_cells(kit.open(work.path), ["P1", "P2"]))
    assert "2 plates had them already" in kit_command("cells", work.path, "--locations", table).stdout


def test_places_in_larger_images_are_scaled(work, tmp_path):
    single_cells().to_csv(tmp_path / "a.csv", index=False)
    small = Work(work.path, StoreConfig(size=32))
    with pytest.raises(UsageError, match="was made with --size 32: say with --site-px"):
        read_locations(small, tmp_path / "a.csv")
    found = read_locations(small, tmp_path / "a.csv", site_px=64).cells
    first = found[(found["Metadata_Plate"] == "P2")].iloc[0]
    assert (first["x"], first["y"], first["area_px"]) == ((1.0 + 0.5) / 2 - 0.5, (2.0 + 0.5) / 2 - 0.5, 12.5)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"Metadata_Well": ["A01", "A01", "C07", "A01"]}, r"plate P1 has no well C07 in .*1 such site of 3"),
        ({"Metadata_Site": [1, 1, 5, 1]}, r"plate P1 has no site 5 in well A02"),
        ({"Metadata_Site": [1, 1, "f2", 1]}, "Metadata_Site 'f2' is not a field number"),
        ({"Metadata_Well": ["A01", "A01", "7", "A01"]}, "'7' is not a well"),
        ({"Nuclei_Location_Center_X": [1, 1, 31.6, 1]}, r"well A02 site 2 is at x = 31.6, y = 20.0, outside its site of 32 x 32"),
        ({"Nuclei_Location_Center_Y": [1, 1, -0.6, 1]}, "y = -0.6, outside its site"),
        ({"Nuclei_Location_Center_Y": [1, 1, None, 1]}, "outside its site"),
        ({"Metadata_Plate": "PX"}, r"has no row of a plate of .*: its plates are PX; did you mean P1|it has P1, P2"),
    ],
)  # fmt: skip
def test_what_does_not_fit_the_store_is_refused(work, tmp_path, change, says):
    single_cells(**change).to_csv(tmp_path / "a.csv", index=False)
    with pytest.raises(KitError, match=says):
        read_locations(work, tmp_path / "a.csv")


def test_a_table_without_the_columns_is_refused(work, tmp_path):
    path, objects = tmp_path / "a.csv", by_image(tmp_path)[0]
    for table, error, says in (
        (single_cells().drop(columns="Nuclei_Location_Center_X"), KitError, "has no column of places"),
        (single_cells().drop(columns="Metadata_Site"), KitError, "names no sites: need Metadata_Well and Metadata_Site"),
        (single_cells().drop(columns="Metadata_Plate"), UsageError, "name the one plate it is of with --plates"),
        (objects, UsageError, r"by ImageNumber: give the image table with --images"),
    ):
        table.to_csv(path, index=False)
        with pytest.raises(error, match=says):
            read_locations(work, path)
    path.write_bytes(b"\x00\xff\x12" * 50)
    with pytest.raises(KitError):
        read_locations(work, path)
    (tmp_path / "x.parquet").write_bytes(b"PAR1 no")
    with pytest.raises(KitError, match="cannot be read as a table"):
        read_locations(work, tmp_path / "x.parquet")


def test_tables_of_two_runs_are_refused(work, tmp_path):
    objects, images = by_image(tmp_path)
    objects.to_csv(tmp_path / "Nuclei.csv", index=False)
    images[:2].to_csv(tmp_path / "Image.csv", index=False)
    with pytest.raises(KitError, match=r"ImageNumber 3 is not in .*Image.csv"):
        read_locations(work, tmp_path / "Nuclei.csv", tmp_path / "Image.csv")
    pd.concat([images, images]).to_csv(tmp_path / "Image.csv", index=False)
    with pytest.raises(KitError, match="ImageNumber 1 has two rows"):
        read_locations(work, tmp_path / "Nuclei.csv", tmp_path / "Image.csv")
    single_cells().to_csv(tmp_path / "a.csv", index=False)
    with pytest.raises(UsageError, match="names wells and sites itself"):
        read_locations(work, tmp_path / "a.csv", tmp_path / "Image.csv")


def test_one_plate_needs_no_column(work, tmp_path):
    single_cells()[:3].drop(columns="Metadata_Plate").to_csv(tmp_path / "a.csv", index=False)
    assert len(read_locations(work.only(["P1"]), tmp_path / "a.csv").cells) == 3
